package rulestore

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whatever comes and goes, the first refusals by key are shown, and enough of them.
func TestRefusalsShown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, revision := newRefusals(), uint64(0)
		for range rapid.IntRange(0, 1000).Draw(t, "steps") {
			key := fmt.Sprintf("k%03d", rapid.IntRange(0, 299).Draw(t, "key"))
			before := slices.Clone(r.first)
			shown := r.first
			if rapid.IntRange(0, 2).Draw(t, "step") > 0 {
				revision++
				r.add(InvalidDocument{Key: key, Revision: revision})
			} else {
				r.remove(key)
			}
			if !slices.Equal(before, shown) {
				t.Fatal("what was shown was changed in place")
			}
			want := slices.Sorted(maps.Keys(r.all))
			if len(r.first) < min(minInvalidShown, len(want)) || len(r.first) > maxInvalidShown {
				t.Fatalf("%d of %d shown", len(r.first), len(want))
			}
			for i, d := range r.first {
				if d != r.all[want[i]] {
					t.Fatalf("shown at %d: %+v, want %+v", i, d, r.all[want[i]])
				}
			}
		}
	})
}
