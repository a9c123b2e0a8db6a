package decide

import (
	"cmp"
	"slices"
	"time"
)

// Explanation is a decision with every rule that was looked at for it.
type Explanation struct {
	Decision    Decision
	Undecidable bool         // there is no one decision: it depends on what was not recorded
	Considered  []Considered // in the order in which they decide
	Shadow      []Considered // shadow rules that were looked at, likewise; they decide nothing
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
	Field    string    // the custom field, when Failed is ConditionCustom or ConditionToken
	Why      string    // what is wrong with the token, or how the expression failed, or why it is undecidable

	rule *rule
}

// Outcome is what became of a rule that was considered.
type Outcome string

// The outcomes.
const (
	OutcomeDecides   Outcome = "decides"
	OutcomeOutranked Outcome = "outranked" // all conditions hold, another rule goes before it
	OutcomeRecorded  Outcome = "recorded"  // a shadow rule, all conditions hold
	OutcomeFailed    Outcome = "failed"    // a condition does not hold

	// OutcomeUndecidable is that of a rule of a Review that depends on what was not recorded.
	OutcomeUndecidable Outcome = "undecidable"
)

// Explain decides as Decide does, by the same code, and tells of each rule that
// was considered what became of it. It allocates.
func (t *Table) Explain(in *Input, now time.Time) Explanation {
	if d, ok := undecided(in); ok {
		return Explanation{Decision: d}
	}
	considered := []Considered{}
	s := search{query: query{in: in, now: now}, trail: &considered}
	t.index(in.Call).visit(&s, t.keys)
	slices.SortStableFunc(considered, Considered.compare)
	considered = slices.CompactFunc(considered, func(a, b Considered) bool { return a.rule == b.rule })
	for i := range considered {
		if considered[i].rule == s.best && considered[i].Failed == NoCondition {
			considered[i].Outcome = OutcomeDecides
		}
	}
	return Explanation{Decision: t.decision(&s), Considered: considered, Shadow: t.explainShadow(in, now)}
}

// compare puts what decides first, and of a rule that several of its patterns
// brought up the one that holds.
func (c Considered) compare(other Considered) int {
	if order := c.rule.compare(other.rule); order != 0 {
		return order
	}
	return cmp.Compare(c.Failed, other.Failed)
}

// consider notes a candidate and the condition that failed.
func (s *search) consider(c *candidate, index Index, failed Condition) {
	seen := Considered{
		Rule: c.rule.name, Effect: c.rule.effect, Priority: c.rule.priority, Index: index,
		Outcome: OutcomeOutranked, Failed: failed, rule: c.rule,
	}
	if failed != NoCondition {
		seen.Outcome = OutcomeFailed
	}
	switch failed {
	case ConditionCustom:
		seen.Field = c.rule.more.failedCustom(&s.query).field
	case ConditionToken:
		token := c.rule.more.token
		seen.Field, seen.Why = token.field, token.check(&s.query).Error()
	case ConditionWhen:
		if _, err := c.rule.more.when.eval(&s.query); err != nil {
			seen.Why = quoteCut(err.Error(), maxComplaint)
		}
	}
	*s.trail = append(*s.trail, seen)
}
