package decide

import (
	"hash/maphash"
	"maps"
	"testing"

	"pgregory.net/rapid"
)

// A hash map agrees with a Go map, and so does every one from before.
func TestHashMapAgreesWithMap(t *testing.T) {
	seed := maphash.MakeSeed()
	rapid.Check(t, func(t *rapid.T) {
		type version struct {
			of   hashMap[int]
			want map[string]int
		}
		now := version{want: map[string]int{}}
		var all []version
		for range rapid.IntRange(1, 8).Draw(t, "edits") {
			o := new(owner)
			remove := rapid.Bool().Draw(t, "remove")
			from, n := rapid.IntRange(0, 500).Draw(t, "from"), rapid.IntRange(1, 500).Draw(t, "n")
			for i := from; i < from+n; i++ {
				key := string(rune(1000 + i))
				hash := maphash.String(seed, key)
				_, has := now.want[key]
				switch {
				case !remove:
					now.of.put(o, hash, key, i+len(all))
					now.want[key] = i + len(all)
				case has:
					now.of.remove(o, hash, key)
					delete(now.want, key)
				}
			}
			all = append(all, version{now.of, maps.Clone(now.want)})
		}
		for _, v := range all {
			got := map[string]int{}
			v.of.each(func(e *entry[int]) { got[e.key] = e.value })
			if !maps.Equal(got, v.want) || v.of.len() != len(v.want) {
				t.Fatalf("got %v of %d, want %v", got, v.of.len(), v.want)
			}
			for key, want := range v.want {
				if p := v.of.get(maphash.String(seed, key), key); p == nil || *p != want {
					t.Fatalf("%q: got %v, want %d", key, p, want)
				}
			}
		}
	})
}
