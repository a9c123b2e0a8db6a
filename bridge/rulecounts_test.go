package bridge

import (
	"fmt"
	"sync"
	"testing"

	"bintubridge/bridge/decide"
)

func decided(rule string, effect decide.Effect) *decide.Decision {
	return &decide.Decision{Rule: rule, Effect: effect}
}

func TestRuleCounts(t *testing.T) {
	c := newRuleCounts()
	for range 3 {
		c.add(decided("acme/in", decide.Allow))
	}
	c.add(decided("acme/in", decide.Deny)) // pushed anew with another effect
	c.add(&decide.Decision{Reason: decide.ReasonDefault})
	for round, want := range []string{
		"[{acme/in 3 1 4} {default 0 1 1}] { 0 0 0}", // counted at once
		"[{acme/in 3 1 4} {default 0 1 1}] { 0 0 0}",
		"[{acme/in 3 1 0} {default 0 1 0}] { 0 0 0}", // not lately any more
		"[{acme/in 3 1 0} {default 0 1 0}] { 0 0 0}",
	} {
		if rules, others := c.top(); fmt.Sprint(rules, others) != want {
			t.Errorf("round %d: %v %v, want %s", round, rules, others, want)
		}
		c.collect()
	}
}

// However many rules decide, the memory is bounded, nothing is lost from the sums, and
// the rules that decide most are told apart.
func TestRuleCountsOfManyRules(t *testing.T) {
	const rounds, names = 8, 3000
	c := newRuleCounts()
	for round := range rounds {
		for i := range names {
			c.add(decided("busy/a", decide.Allow))
			c.add(decided(fmt.Sprintf("doc/%d-%d", round, i), decide.Deny))
		}
		c.collect()
		if len(c.sums) > rulesKept {
			t.Fatalf("%d rules are kept", len(c.sums))
		}
	}
	c.collect()
	rules, others := c.top()
	if len(rules) != rulesShown || rules[0].Rule != "busy/a" || rules[0].Allowed != rounds*names {
		t.Fatalf("%d rules, the first is %v", len(rules), rules[0])
	}
	sum := others
	for _, r := range rules {
		sum.Allowed += r.Allowed
		sum.Denied += r.Denied
	}
	if sum.Allowed != rounds*names || sum.Denied != rounds*names {
		t.Errorf("%v in all, want %d of each", sum, rounds*names)
	}
}

// Requests on many goroutines while the status is read, for the race detector; nothing
// is lost.
func TestRuleCountsFromManyGoroutines(t *testing.T) {
	const rounds, goroutines, each = 4, 4, 5_000
	c := newRuleCounts()
	for range rounds {
		var wg sync.WaitGroup
		for range goroutines {
			wg.Go(func() {
				for i := range each {
					c.add(decided(fmt.Sprintf("d/%d", i%40), decide.Effect(i%2)))
				}
			})
		}
		wg.Go(func() { c.collect() })
		c.top()
		wg.Wait()
	}
	c.collect()
	c.collect()
	rules, _ := c.top()
	var sum uint64
	for _, r := range rules {
		sum += r.total()
	}
	if want := uint64(rounds * goroutines * each); len(rules) != 40 || sum != want {
		t.Errorf("%d rules with %d decisions, want 40 with %d", len(rules), sum, want)
	}
}

func TestRuleCountsDoNotAllocate(t *testing.T) {
	c, i := newRuleCounts(), 0
	names := make([]string, 2*ruleSlots)
	for i := range names {
		names[i] = fmt.Sprintf("d/%d", i)
	}
	d := decided("", decide.Allow)
	if n := testing.AllocsPerRun(len(names)-1, func() { d.Rule = names[i%len(names)]; i++; c.add(d) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRuleCounts(b *testing.B) {
	c := newRuleCounts()
	d := decided("acme/ingest", decide.Allow)
	b.ReportAllocs()
	for b.Loop() {
		c.add(d)
	}
}
