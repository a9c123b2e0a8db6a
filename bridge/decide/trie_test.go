package decide

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// state is an index structure at one moment, and the keys it must have.
type state[T any] struct {
	of   T
	want map[uint32]int // key -> which posting
}

// rulesNamed makes rules of different names, in order.
func rulesNamed(n int) []rule {
	rules := make([]rule, n)
	for i := range rules {
		rules[i] = rule{name: fmt.Sprintf("d/%05d", i), calls: startingCalls}
	}
	return rules
}

// Tries of thousands of keys that come and go in runs, so that leaves and nodes
// are split and joined, and every trie from before stays as it was.
func TestTrieAgreesWithMap(t *testing.T) {
	rules := rulesNamed(64)
	rapid.Check(t, func(t *rapid.T) {
		now := state[trie]{want: map[uint32]int{}}
		var old []state[trie]
		// Keys that agree in their low bits meet in the same node.
		key := func(i, spread int) uint32 { return uint32(i) << (spread * nodeBits) }
		change := func(t *rapid.T, step func(key uint32, i int, o *owner)) {
			old = append(old, state[trie]{now.of, maps.Clone(now.want)})
			o := new(owner)
			from, n := rapid.IntRange(0, 1000).Draw(t, "from"), rapid.IntRange(1, 1000).Draw(t, "n")
			spread := rapid.IntRange(0, 2).Draw(t, "spread")
			for i := from; i < from+n; i++ {
				step(key(i, spread), i, o)
			}
		}
		put := func(t *rapid.T) {
			change(t, func(key uint32, i int, o *owner) {
				now.of.set(o, key, posting{first: newCandidate(&rules[i%64], anyGlob)})
				now.want[key] = i % 64
			})
		}
		remove := func(t *rapid.T) {
			change(t, func(key uint32, _ int, o *owner) {
				now.of.set(o, key, posting{})
				delete(now.want, key)
			})
		}
		check := func(t *rapid.T) {
			for _, s := range append(old[max(len(old)-3, 0):], now) {
				keys := map[uint32]bool{}
				s.of.each(func(key uint32) { keys[key] = true })
				if s.of.count != len(s.want) || len(keys) != len(s.want) {
					t.Fatalf("counts %d keys, has %d, want %d", s.of.count, len(keys), len(s.want))
				}
				for key, i := range s.want {
					if p := s.of.get(key); p == nil || p.first.rule != &rules[i] {
						t.Fatalf("key %x: got %+v, want rule %d", key, p, i)
					}
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){"put": put, "remove": remove, "check": check})
	})
}

// What a trie takes is given back when its keys go.
func TestTrieShrinks(t *testing.T) {
	rules := rulesNamed(1)
	var tr trie
	o := new(owner)
	for i := range uint32(10_000) {
		tr.set(o, i, posting{first: newCandidate(&rules[0], anyGlob)})
	}
	if tr.root.node == nil {
		t.Fatal("10,000 keys stand in one leaf")
	}
	for i := range uint32(10_000) {
		tr.set(o, i, posting{})
	}
	if tr.root.node != nil {
		t.Error("an empty trie still has nodes")
	}
}

// Postings of hundreds of candidates stay in order, whatever comes and goes, and
// every posting from before stays as it was.
func TestPostingAgreesWithSlice(t *testing.T) {
	rules := rulesNamed(2000)
	for i := range rules {
		rules[i].priority = int32(i * 7919 % 100)
		rules[i].more = &conditions{notBefore: noon.Add(time.Duration(i%1000) * time.Second), expiresAt: noon.Add(time.Duration(i%2000+1000) * time.Second)}
	}
	rapid.Check(t, func(t *rapid.T) {
		var now posting
		has := map[int]bool{}
		type version struct {
			of   posting
			want []string
		}
		var old []version
		note := func() {
			var want []*rule
			for i := range has {
				want = append(want, &rules[i])
			}
			slices.SortFunc(want, (*rule).compare)
			v := version{of: now}
			for _, r := range want {
				v.want = append(v.want, r.name)
			}
			old = append(old, v)
		}
		for range rapid.IntRange(1, 6).Draw(t, "edits") {
			o := new(owner)
			from, n := rapid.IntRange(0, 1000).Draw(t, "from"), rapid.IntRange(1, 1000).Draw(t, "n")
			add := rapid.Bool().Draw(t, "add")
			for i := from; i < from+n; i++ {
				c := newCandidate(&rules[i], anyGlob)
				if now.has(c) != has[i] {
					t.Fatalf("has rule %d: %v", i, !has[i])
				}
				switch {
				case add && !has[i]:
					now, has[i] = now.with(o, c), true
				case !add && has[i]:
					now = now.without(o, c)
					delete(has, i)
				}
			}
			note()
		}
		for _, v := range old {
			checkBounds(t, v.of.rest)
			if got := names(&v.of); !slices.Equal(got, v.want) || v.of.len() != len(v.want) {
				t.Fatalf("got %d of %d: %v\nwant %v", len(got), v.of.len(), got, v.want)
			}
		}
	})
}

// checkBounds measures all nodes again.
func checkBounds(t *rapid.T, n *ranked) {
	if n == nil {
		return
	}
	again := *n
	again.measure()
	if n.bounds != again.bounds {
		t.Fatalf("a node of %d has the bounds %+v, want %+v", n.size, n.bounds, again.bounds)
	}
	for _, kid := range n.kids {
		checkBounds(t, kid)
	}
}

// A posting of more candidates than two levels of nodes have.
func TestLargePosting(t *testing.T) {
	rules := rulesNamed(3 * maxRanked * maxRanked)
	o := new(owner)
	var p posting
	for i := range rules {
		p = p.with(o, newCandidate(&rules[i*7919%len(rules)], anyGlob))
	}
	if got := names(&p); len(got) != len(rules) || !slices.IsSorted(got) {
		t.Errorf("%d candidates, want %d in order", len(got), len(rules))
	}
	for i := range rules {
		p = p.without(o, newCandidate(&rules[i*31%len(rules)], anyGlob))
	}
	if !p.empty() || p.rest != nil {
		t.Errorf("%d candidates left", p.len())
	}
}

// names lists a posting in its order.
func names(p *posting) []string {
	told := trail{seen: map[candidate]bool{}, others: true}
	s := search{query: query{in: &Input{}, now: noon}, trail: &told}
	s.visit(p, IndexRest)
	var list []string
	for _, c := range told.considered {
		list = append(list, c.Rule)
	}
	return list
}
