package bridge

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"bintubridge/bridge/decide"
)

const (
	ruleSlots  = 1024 // different rules that one round tells apart; a power of two
	ruleProbes = 16   // slots that are looked at for a rule
	rulesKept  = 2048 // in the sums
	rulesShown = 100  // in the status
)

// ruleCounts counts decisions by rule. Requests count in the round's table, which is of
// a fixed size and which a request never waits for; collect takes the round's figures
// into the sums. Rules beyond either's room are counted together.
type ruleCounts struct {
	round atomic.Pointer[ruleTable]

	mu     sync.Mutex // guards what follows; no request takes it
	past   *ruleTable // of the round before: a request may have been in it until now
	sums   map[string]ruleCount
	others ruleCount
}

// ruleCount is what the status shows of one rule. Decisions that no rule made are under
// their reason, which has no slash.
type ruleCount struct {
	Rule    string `json:"rule"`
	Allowed uint64 `json:"allowed"`
	Denied  uint64 `json:"denied"`
	Recent  uint64 `json:"recent"` // of both, in this round and the one before
}

func (c ruleCount) total() uint64 { return c.Allowed + c.Denied }

// ruleTable is one round's counts, by open addressing.
type ruleTable struct {
	seed   maphash.Seed
	slots  [ruleSlots]ruleSlot
	others [2]counter // by effect, of rules that found no slot
}

// ruleSlot has a cache line of its own.
type ruleSlot struct {
	hash   atomic.Uint64 // of name; slotFree or slotTaken before it is there
	name   string        // written by who took the slot, read once hash is there
	counts [2]atomic.Uint64
	_      [24]byte
}

const (
	slotFree  = 0
	slotTaken = 1
)

func newRuleCounts() *ruleCounts {
	c := &ruleCounts{sums: map[string]ruleCount{}}
	c.past = &ruleTable{seed: maphash.MakeSeed()}
	c.round.Store(&ruleTable{seed: maphash.MakeSeed()})
	return c
}

// add counts a decision. It does not allocate, and keeps the rule's name, which may be a
// part of a document's text, for two rounds at the most.
func (c *ruleCounts) add(d *decide.Decision) {
	c.round.Load().add(cmp.Or(d.Rule, d.Reason), d.Effect)
}

func (t *ruleTable) add(name string, effect decide.Effect) {
	hash := max(maphash.String(t.seed, name), slotTaken+1)
	for i := range uint64(ruleProbes) {
		s := &t.slots[(hash+i)%ruleSlots]
		switch have := s.hash.Load(); {
		case have == slotFree && s.hash.CompareAndSwap(slotFree, slotTaken):
			s.name = name
			s.hash.Store(hash)
		case have != hash: // a rule that two take at once gets two slots
			continue
		}
		s.counts[effect].Add(1)
		return
	}
	t.others[effect].Add(1)
}

// addTo adds the table's counts to sums and others.
func (t *ruleTable) addTo(sums map[string]ruleCount, others *ruleCount, recent bool) {
	add := func(sum *ruleCount, allowed, denied uint64) {
		sum.Allowed, sum.Denied = sum.Allowed+allowed, sum.Denied+denied
		if recent {
			sum.Recent += allowed + denied
		}
	}
	for i := range t.slots {
		s := &t.slots[i]
		if s.hash.Load() <= slotTaken {
			continue
		}
		sum, known := sums[s.name]
		if !known {
			sum.Rule = strings.Clone(s.name) // without the document around it
		}
		add(&sum, s.counts[decide.Allow].Load(), s.counts[decide.Deny].Load())
		sums[sum.Rule] = sum
	}
	add(others, t.others[decide.Allow].Load(), t.others[decide.Deny].Load())
}

// collect ends a round and adds up the one before: its last requests are over.
func (c *ruleCounts) collect() {
	next := &ruleTable{seed: maphash.MakeSeed()}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.past.addTo(c.sums, &c.others, false)
	c.past = c.round.Swap(next)
	c.prune()
}

// prune gives the rules with the smallest sums to the others, when there are too many.
func (c *ruleCounts) prune() {
	if len(c.sums) <= rulesKept {
		return
	}
	for _, n := range byTotal(c.sums)[rulesKept/2:] {
		c.others.Allowed += n.Allowed
		c.others.Denied += n.Denied
		delete(c.sums, n.Rule)
	}
}

func byTotal(sums map[string]ruleCount) []ruleCount {
	return slices.SortedFunc(maps.Values(sums), func(a, b ruleCount) int {
		return cmp.Or(cmp.Compare(b.total(), a.total()), strings.Compare(a.Rule, b.Rule))
	})
}

// top returns the rules that decided most, and what all others did.
func (c *ruleCounts) top() (rules []ruleCount, others ruleCount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sums, others := maps.Clone(c.sums), c.others
	c.past.addTo(sums, &others, true)
	c.round.Load().addTo(sums, &others, true)
	rules = byTotal(sums)
	for _, n := range rules[min(len(rules), rulesShown):] {
		others.Allowed += n.Allowed
		others.Denied += n.Denied
		others.Recent += n.Recent
	}
	return rules[:min(len(rules), rulesShown)], others
}
