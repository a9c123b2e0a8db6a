package decide

import (
	"slices"
	"time"
)

// whyUndecidable is what is told of a rule that may match or not.
const whyUndecidable = "it depends on a value that was not recorded"

// Explain explains a recorded request as Table.Explain does. A rule that matches for
// some values that a redacted one may have been, and not for others, is
// OutcomeUndecidable; and so is the decision when it depends on such a rule.
func (r *Review) Explain(in *Input, received time.Time) Explanation {
	x := r.table.Explain(in, received)
	if _, ok := undecided(in); ok || !r.doubts(in) {
		return x
	}
	deciders, sure := r.deciders(in, received)
	x.Considered = doubted(x.Considered, in, received, r.named[in.Name], r.patterns)
	x.Shadow = doubted(x.Shadow, in, received, r.shadow)
	for i := range x.Considered {
		switch c := &x.Considered[i]; {
		case c.Outcome == OutcomeFailed || c.Outcome == OutcomeUndecidable:
		case !slices.Contains(deciders, c.Rule):
			c.Outcome = OutcomeOutranked
		case sure:
			c.Outcome = OutcomeDecides
		default:
			c.Outcome, c.Why = OutcomeUndecidable, whyUndecidable
		}
	}
	if !sure {
		x.Decision, x.Undecidable = Decision{}, true
	}
	return x
}

// deciders returns the names of the rules that may decide, and whether there is one
// decision alone.
func (r *Review) deciders(in *Input, received time.Time) (rules []string, sure bool) {
	var w worlds
	for w.next() {
		if d := r.decide(in, received, &w); !slices.Contains(rules, d.Rule) {
			rules = append(rules, d.Rule)
		}
	}
	return rules, len(rules) == 1 && !w.many && !w.spent
}

// doubted marks the rules of lists that may match or not, and puts those among the
// considered ones that no index brought up: an index of values does not know what a
// redacted one was.
func doubted(considered []Considered, in *Input, received time.Time, lists ...[]private) []Considered {
	for _, list := range lists {
		for i := range list {
			p := &list[i]
			if !p.doubtful(in, received) {
				continue
			}
			at := slices.IndexFunc(considered, func(c Considered) bool { return c.Rule == p.rule.name })
			if at < 0 {
				at = len(considered)
				considered = append(considered, Considered{
					Rule: p.rule.name, Effect: p.rule.effect, Priority: p.rule.priority, Index: IndexValue, rule: p.rule,
				})
			}
			c := &considered[at]
			c.Outcome, c.Failed, c.Field, c.Why = OutcomeUndecidable, NoCondition, "", whyUndecidable
		}
	}
	slices.SortStableFunc(considered, Considered.compare)
	return considered
}

// doubtful reports whether the rule matches in one world and not in another.
func (p *private) doubtful(in *Input, received time.Time) bool {
	var w worlds
	matches, fails := false, false
	for w.next() {
		q := query{in: in, now: received}
		if p.matches(&q, &w) {
			matches = true
		} else {
			fails = true
		}
	}
	return matches && fails || w.many
}
