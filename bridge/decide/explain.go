package decide

import (
	"slices"
	"time"
)

// Explanation is a decision with every rule that was looked at for it.
type Explanation struct {
	Decision   Decision
	Considered []Considered // in the order in which they decide
}

// Considered is a rule that was looked at: an index of the table brought it up
// for the request. The rules that are not among them cannot match.
type Considered struct {
	Rule     string // "<document>/<rule id>"
	Effect   Effect
	Priority int32
	Index    Index
	Outcome  Outcome
	Failed   Condition // the first condition that does not hold; NoCondition unless OutcomeFailed
	Field    string    // the custom field, when Failed is ConditionCustom

	rule *rule
}

// Outcome is what became of a rule that was considered.
type Outcome string

// The outcomes.
const (
	OutcomeDecides   Outcome = "decides"
	OutcomeOutranked Outcome = "outranked" // all conditions hold, another rule goes before it
	OutcomeFailed    Outcome = "failed"    // a condition does not hold
)

// Index is the part of a table that brings a rule up.
type Index string

// The indexes.
const (
	IndexName Index = "name" // by exact stream name
	IndexRest Index = "rest" // looked at for every request
)

// Explain decides as Decide does, by the same code, and tells of each rule that
// was considered what became of it. It allocates.
func (t *Table) Explain(in *Input, now time.Time) Explanation {
	if d, ok := undecided(in); ok {
		return Explanation{Decision: d}
	}
	considered := []Considered{}
	s := search{query: query{in: in, now: now}, trail: &considered}
	t.visit(&s)
	slices.SortStableFunc(considered, func(a, b Considered) int { return a.rule.compare(b.rule) })
	for i := range considered {
		if considered[i].rule == s.best && considered[i].Failed == NoCondition {
			considered[i].Outcome = OutcomeDecides
		}
	}
	return Explanation{Decision: t.decision(&s), Considered: considered}
}

// consider notes a candidate and the condition that failed.
func (s *search) consider(c *candidate, failed Condition) {
	seen := Considered{
		Rule: c.rule.name, Effect: c.rule.effect, Priority: c.rule.priority, Index: c.index,
		Outcome: OutcomeOutranked, Failed: failed, rule: c.rule,
	}
	if failed != NoCondition {
		seen.Outcome = OutcomeFailed
	}
	if failed == ConditionCustom {
		seen.Field = c.rule.more.failedCustom(&s.query).field
	}
	*s.trail = append(*s.trail, seen)
}
