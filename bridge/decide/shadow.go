package decide

import (
	"slices"
	"time"

	"bintubridge/subjects"
)

// Shadow rules are evaluated and recorded, never enforced. They stand in a table
// of their own, so that a decision never meets one and a table without any pays
// nothing for them.

// MaxShadow bounds how many shadow rules are recorded for one request: those that
// would decide first.
const MaxShadow = 8

// Shadows is the memory of looking for shadow rules, for one request after the
// other.
type Shadows struct {
	rules [MaxShadow]*rule // the first that match, in the order in which they would decide
	used  int
	found [MaxShadow]subjects.ShadowDecision
}

// Shadow returns the shadow rules that match the request, in the order in which
// they would decide, at most MaxShadow. The result is valid until m is used again.
// It does not allocate.
func (t *Table) Shadow(m *Shadows, in *Input, now time.Time) []subjects.ShadowDecision {
	if t.shadow == nil {
		return nil
	}
	if _, ok := undecided(in); ok {
		return nil
	}
	s := search{query: query{in: in, now: now}, all: m}
	t.shadow.index(in.Call).visit(&s, t.shadow.keys)
	for i, r := range m.rules[:m.used] {
		m.found[i] = subjects.ShadowDecision{Rule: r.name, Effect: r.effect.String()}
	}
	found := m.found[:m.used]
	clear(m.rules[:]) // a push may end them
	m.used = 0
	return found
}

// add puts r in its place, once: a rule with several patterns comes up for each.
// It returns the last rule when all places are taken: what goes behind it finds
// none any more.
func (m *Shadows) add(r *rule) *rule {
	at := 0
	for at < m.used && m.rules[at].compare(r) < 0 {
		at++
	}
	if at < MaxShadow && m.rules[at] != r {
		m.used = min(m.used+1, MaxShadow)
		copy(m.rules[at+1:m.used], m.rules[at:])
		m.rules[at] = r
	}
	return m.rules[MaxShadow-1]
}

// splitShadow takes the shadow rules out of a document's rules.
func splitShadow(key string, rules []rule) (enforced []rule, shadow *Document) {
	shadow = &Document{key: key}
	for i := range rules {
		if rules[i].shadow {
			shadow.rules = append(shadow.rules, rules[i])
		} else {
			enforced = append(enforced, rules[i])
		}
	}
	return enforced, shadow
}

// trials is the document's shadow rules as a document, nil when it has none.
func (d *Document) trials() *Document {
	if d == nil {
		return nil
	}
	return d.shadow
}

// replaceShadow exchanges the shadow rules of two documents.
func (e *Edit) replaceShadow(old, doc *Document) {
	if old.trials() == nil && doc.trials() == nil {
		return
	}
	if e.shadow == nil {
		before := e.table.shadow
		if before == nil {
			before = &Table{}
		}
		e.shadow = before.Edit()
	}
	e.shadow.Replace(old.trials(), doc.trials())
}

// shadowTable returns the table of the shadow rules after the edit, nil without any.
func (e *Edit) shadowTable() *Table {
	if e.shadow == nil {
		return e.table.shadow
	}
	if t := e.shadow.Table(0); t.rules > 0 {
		return t
	}
	return nil
}

// explainShadow tells of each shadow rule that was looked at what became of it.
func (t *Table) explainShadow(in *Input, now time.Time) []Considered {
	if t.shadow == nil {
		return nil
	}
	var m Shadows
	considered := t.shadow.explain(&search{query: query{in: in, now: now}, all: &m})
	for i := range considered {
		if c := &considered[i]; c.Failed == NoCondition && slices.Contains(m.rules[:m.used], c.rule) {
			c.Outcome = OutcomeRecorded
		}
	}
	return considered
}
