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
	docs     map[string]*Document

	// Both are ordered by rule.compare, so the first rule that applies is the
	// best one of its list.
	exact    map[string][]*rule // stream name -> rules that name it
	patterns []*rule            // rules with a pattern, or without any name
}

// NewTable joins documents into one table. Their keys must differ. Revision is
// the version of the rule set and is only handed back.
func NewTable(revision uint64, d Defaults, docs []*Document) *Table {
	edit := (&Table{defaults: d}).Edit()
	for _, doc := range docs {
		edit.Replace(nil, doc)
	}
	return edit.Table(revision)
}

// Revision returns the revision the table was made with.
func (t *Table) Revision() uint64 { return t.revision }

// Rules returns how many rules the table has.
func (t *Table) Rules() int { return t.rules }

// Decide answers one request at the time now. A call that only tells gets the
// zero Effect with ReasonNotAsked. It does not allocate, as long as the address
// is one or is plainly none.
func (t *Table) Decide(in *Input, now time.Time) Decision {
	if d, ok := undecided(in); ok {
		return d
	}
	s := search{query: query{in: in, now: now}}
	t.visit(&s)
	return t.decision(&s)
}

// undecided answers what no rule is asked about.
func undecided(in *Input) (Decision, bool) {
	if !in.Call.Asks() {
		return Decision{Reason: ReasonNotAsked}, true
	}
	if in.Name == "" && (in.Call == subjects.Publish || in.Call == subjects.Play) {
		return Decision{Reason: ReasonEmptyName}, true
	}
	return Decision{}, false
}

func (t *Table) decision(s *search) Decision {
	if s.best == nil {
		return t.defaults.decide(s.in.Call)
	}
	return Decision{Effect: s.best.effect, Rule: s.best.name, Reason: s.best.reason()}
}

// visit offers the search every rule that may match.
func (t *Table) visit(s *search) {
	for _, r := range t.exact[s.in.Name] {
		if s.settled(r) {
			break
		}
		s.offer(candidate{rule: r, named: true, index: IndexName})
	}
	for _, r := range t.patterns {
		if s.settled(r) {
			break
		}
		s.offer(candidate{rule: r, index: IndexRest})
	}
}

// candidate is a rule that may match.
type candidate struct {
	rule  *rule
	named bool // the index it comes from has found that its name condition holds
	index Index
}

// search looks for the rule that decides a query.
type search struct {
	query
	best  *rule         // of those that match so far
	trail *[]Considered // nil unless every candidate is to be told
}

// settled reports whether r, and whatever goes after it, cannot become the best.
func (s *search) settled(r *rule) bool {
	return s.best != nil && s.trail == nil && s.best.compare(r) <= 0
}

// offer checks one candidate.
func (s *search) offer(c candidate) {
	failed := c.fails(&s.query)
	if s.trail != nil {
		s.consider(&c, failed)
	}
	if failed == NoCondition && (s.best == nil || c.rule.compare(s.best) < 0) {
		s.best = c.rule
	}
}

// Edit makes a new table out of another by exchanging documents. It belongs to
// one goroutine.
type Edit struct {
	table Table
}

// Edit starts to change the table. The table itself stays as it is.
func (t *Table) Edit() *Edit {
	e := &Edit{table: *t}
	e.table.docs = make(map[string]*Document, len(t.docs))
	for key, doc := range t.docs {
		e.table.docs[key] = doc
	}
	return e
}

// Replace takes the old document out and puts the new one in. Old is nil when
// there was none, and else is the very document that was put in; new is nil when
// it is removed.
func (e *Edit) Replace(old, doc *Document) {
	if old != nil {
		delete(e.table.docs, old.key)
		e.table.rules -= len(old.rules)
	}
	if doc != nil {
		e.table.docs[doc.key] = doc
		e.table.rules += len(doc.rules)
	}
}

// Table returns the changed table and ends the edit.
func (e *Edit) Table(revision uint64) *Table {
	t := e.table
	t.revision = revision
	ordered := make([]*rule, 0, t.rules)
	for _, doc := range t.docs {
		for i := range doc.rules {
			ordered = append(ordered, &doc.rules[i])
		}
	}
	slices.SortFunc(ordered, (*rule).compare)
	t.exact, t.patterns = make(map[string][]*rule), nil
	for _, r := range ordered {
		streams := r.streams()
		for _, name := range streams {
			t.exact[name] = append(t.exact[name], r)
		}
		if len(streams) == 0 || r.more != nil && len(r.more.globs) > 0 {
			t.patterns = append(t.patterns, r)
		}
	}
	return &t
}

// streams returns the exact names of the rule.
func (r *rule) streams() []string {
	switch {
	case r.stream != "":
		return []string{r.stream}
	case r.more != nil:
		return r.more.streams
	}
	return nil
}
