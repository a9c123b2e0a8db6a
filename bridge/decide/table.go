package decide

import (
	"slices"
	"time"

	"bintubridge/subjects"
)

// Table answers requests by the rules of all its documents. It is immutable and
// safe for concurrent use. The zero Table has no rules and denies publish and
// play.
type Table struct {
	revision uint64
	defaults Defaults
	rules    int

	// Both are ordered by rule.compare, so the first rule that applies is the
	// best one of its list.
	exact    map[string][]*rule // stream name -> rules that name it
	patterns []*rule            // rules with a pattern, or without any name
}

// NewTable joins documents into one table. Their keys must differ. Revision is
// the version of the rule set and is only handed back. Building sorts all
// rules: about 0.1 s for 100,000.
func NewTable(revision uint64, d Defaults, docs []*Document) *Table {
	t := &Table{revision: revision, defaults: d}
	for _, doc := range docs {
		t.rules += len(doc.rules)
	}
	ordered := make([]*rule, 0, t.rules)
	for _, doc := range docs {
		for i := range doc.rules {
			ordered = append(ordered, &doc.rules[i])
		}
	}
	slices.SortFunc(ordered, (*rule).compare)

	t.exact = make(map[string][]*rule, len(ordered))
	for _, r := range ordered {
		for _, name := range r.exact {
			t.exact[name] = append(t.exact[name], r)
		}
		if len(r.globs) > 0 || r.anyName() {
			t.patterns = append(t.patterns, r)
		}
	}
	return t
}

// Revision returns the revision given to NewTable.
func (t *Table) Revision() uint64 { return t.revision }

// Rules returns how many rules the table has.
func (t *Table) Rules() int { return t.rules }

// Decide answers one request at the time now. A call that only tells gets the
// zero Effect with ReasonNotAsked. It does not allocate, as long as the address
// is one or is plainly none.
func (t *Table) Decide(in *Input, now time.Time) Decision {
	if !in.Call.Asks() {
		return Decision{Reason: ReasonNotAsked}
	}
	if in.Name == "" && (in.Call == subjects.Publish || in.Call == subjects.Play) {
		return Decision{Reason: ReasonEmptyName}
	}
	q := query{in: in, now: now}
	best := t.bestPattern(&q, t.bestExact(&q))
	if best == nil {
		return t.defaults.decide(in.Call)
	}
	return Decision{Effect: best.effect, Rule: best.name, Reason: best.reason}
}

// bestExact returns the rule that decides among those that name the stream.
func (t *Table) bestExact(q *query) *rule {
	for _, r := range t.exact[q.in.Name] {
		if r.applies(q) {
			return r
		}
	}
	return nil
}

// bestPattern returns the rule that decides among the patterns and best, which
// may be nil. It stops where nothing can go before best any more.
func (t *Table) bestPattern(q *query, best *rule) *rule {
	for _, r := range t.patterns {
		if best != nil && best.compare(r) <= 0 {
			break
		}
		if r.matchesPattern(q.in.Name) && r.applies(q) {
			return r
		}
	}
	return best
}
