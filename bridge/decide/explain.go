package decide

import (
	"cmp"
	"encoding/json"
	"errors"
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
	Rule     string          `json:"rule"` // "<document>/<rule id>"
	Effect   Effect          `json:"effect"`
	Priority int32           `json:"priority"`
	Index    Index           `json:"index"`
	Outcome  Outcome         `json:"outcome"`
	Failed   Condition       `json:"failed,omitempty"` // the first condition that does not hold; NoCondition unless OutcomeFailed
	Field    string          `json:"field,omitempty"`  // the custom field, when Failed is ConditionCustom or ConditionToken
	Why      string          `json:"why,omitempty"`    // what is wrong with the token, or how the expression failed (of a deny rule that matches, too), or why it is undecidable
	Wants    json.RawMessage `json:"wants,omitempty"`  // what Document.Wants says, for who puts it in

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
	s := search{query: query{in: in, now: now}}
	considered := t.explain(&s)
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

// explain runs the search, and tells of every rule that it looked at or, because
// nothing could come of it any more, did not.
func (t *Table) explain(s *search) []Considered {
	told := trail{considered: []Considered{}, seen: map[candidate]bool{}, bare: map[string]*rule{}}
	s.trail = &told
	t.index(s.in.Call).visit(s, t.keys)
	told.others = true
	others := search{query: query{in: s.in, now: s.now}, trail: &told}
	t.index(s.in.Call).visit(&others, t.keys)
	t.index(s.in.Call).visitTokenless(&others)
	slices.SortStableFunc(told.considered, Considered.compare)
	return slices.CompactFunc(told.considered, func(a, b Considered) bool { return a.rule == b.rule })
}

// trail tells of the candidates that a search is offered.
type trail struct {
	considered []Considered
	seen       map[candidate]bool
	bare       map[string]*rule // those that stand in the table as bytes, by name
	others     bool             // tell of those that were not seen, each for itself
}

// offered checks a candidate as the search would, and notes what came of it.
func (t *trail) offered(s *search, c candidate, index Index) {
	if t.seen[c] {
		return
	}
	t.seen[c] = true
	if t.others {
		s.query = query{in: s.in, now: s.now}
	}
	s.why = nil
	failed := c.fails(&s.query)
	t.note(s, c, index, failed)
	if failed == NoCondition && !t.others {
		s.matched(c.rule)
	}
}

// note notes a candidate and the condition that failed.
func (t *trail) note(s *search, c candidate, index Index, failed Condition) {
	seen := Considered{
		Rule: c.rule.name, Effect: c.rule.effect, Priority: c.rule.priority, Index: index,
		Outcome: OutcomeOutranked, Failed: failed, rule: c.rule,
	}
	if failed != NoCondition {
		seen.Outcome = OutcomeFailed
	}
	cost := errors.Is(s.why, ErrTokenCost)
	switch {
	case failed == ConditionCustom:
		seen.Field = c.rule.more.failedCustom(&s.query).field
	case failed == ConditionToken || failed == NoCondition && cost:
		seen.Field, seen.Why = c.rule.more.token.field, s.why.Error()
	case s.why != nil && !cost && (failed == ConditionWhen || failed == NoCondition):
		seen.Why = quoteCut(s.why.Error(), maxComplaint)
	}
	t.considered = append(t.considered, seen)
}
