package decide

import (
	"maps"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// Sieves that are edited from one another, some of them twice: each has its keys.
func TestSieveAgreesWithMap(t *testing.T) {
	rules := rulesNamed(64)
	rapid.Check(t, func(t *rapid.T) {
		all := []state[sieve]{{want: map[uint32]int{}}}
		for range rapid.IntRange(1, 12).Draw(t, "edits") {
			next := rapid.SampledFrom(all[max(len(all)-2, 0):]).Draw(t, "from")
			next.want = maps.Clone(next.want)
			o := new(owner)
			from, n := rapid.IntRange(0, 1000).Draw(t, "first"), rapid.IntRange(1, 1000).Draw(t, "n")
			remove := rapid.IntRange(0, 2).Draw(t, "remove?") == 0
			for i := from; i < from+n; i++ {
				key := uint32(i) * 0x9E3779B1
				if remove {
					next.of.set(o, key, posting{})
					delete(next.want, key)
				} else {
					next.of.set(o, key, posting{first: newCandidate(&rules[i%64], anyGlob)})
					next.want[key] = i % 64
				}
			}
			all = append(all, next)
		}
		for _, s := range all {
			if s.of.trie.count != len(s.want) {
				t.Fatalf("%d keys, want %d", s.of.trie.count, len(s.want))
			}
			for key, i := range s.want {
				if p := s.of.get(key); p == nil || p.first.rule != &rules[i] {
					t.Fatalf("key %x: got %+v, want rule %d", key, p, i)
				}
			}
		}
	})
}

// Of strange keys a sieve takes few for its own, whatever keys came and went.
func TestSieveForgets(t *testing.T) {
	rules := rulesNamed(1)
	there := posting{first: newCandidate(&rules[0], anyGlob)}
	key := func(i int) uint32 { return uint32(i) * 0x9E3779B1 }
	for _, c := range []struct {
		name   string
		change func(s *sieve, o *owner)
	}{
		{"keys that stay", func(*sieve, *owner) {}},
		{"keys that come and go", func(s *sieve, o *owner) {
			for i := range 10_000 {
				s.set(o, key(1000+i), there)
				s.set(o, key(1000+i), posting{})
			}
		}},
		{"many keys at once", func(s *sieve, o *owner) {
			for i := range 10_000 {
				s.set(o, key(1000+i), there)
			}
			for i := range 10_000 {
				s.set(o, key(1000+i), posting{})
			}
		}},
		{"the same keys again and again", func(s *sieve, o *owner) {
			for i := range 10_000 {
				s.set(o, key(i%1000), posting{})
				s.set(o, key(i%1000), there)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s sieve
			o := new(owner)
			for i := range 1000 {
				s.set(o, key(i), there)
			}
			c.change(&s, o)
			vain := 0
			for i := range 10_000 {
				if s.may(key(1_000_000 + i)) {
					vain++
				}
			}
			if vain > 500 {
				t.Errorf("%d of 10000 strange keys seem to be there", vain)
			}
		})
	}
}

// A rule that is pushed again does not wear the filter out.
func TestSieveKeepsItsFilter(t *testing.T) {
	rules := rulesNamed(1)
	there := posting{first: newCandidate(&rules[0], anyGlob)}
	var s sieve
	o := new(owner)
	s.set(o, 1, there)
	s.set(o, 2, there)
	before := s.screen.filter
	for range 10_000 {
		s.set(o, 1, posting{})
		s.set(o, 1, there)
	}
	if s.screen.filter != before {
		t.Error("the filter was made anew")
	}
}

// Two edits of one sieve at the same time, while others ask it.
func TestSieveIsShared(t *testing.T) {
	rules := rulesNamed(1)
	there := posting{first: newCandidate(&rules[0], anyGlob)}
	var base sieve
	o := new(owner)
	for i := range uint32(100) {
		base.set(o, i, there)
	}
	var group sync.WaitGroup
	for first := range uint32(2) {
		group.Go(func() { // an edit
			s, o := base, new(owner)
			for i := first; i < 2000; i += 2 {
				s.set(o, 1000+i, there)
				if s.get(1000+i) == nil {
					t.Errorf("key %d is not there", 1000+i)
				}
			}
		})
		group.Go(func() {
			for i := range uint32(10_000) {
				if key := i % 200; (base.get(key) != nil) != (key < 100) {
					t.Errorf("key %d is there: %v", key, key >= 100)
				}
			}
		})
	}
	group.Wait()
}
