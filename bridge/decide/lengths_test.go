package decide

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"bintubridge/subjects"
)

// Lengths have the last bytes of just the texts that are there, and so have all
// lengths from before.
func TestLengthsAgreeWithTexts(t *testing.T) {
	key := func(length int, end byte) uint32 { return uint32(length)<<8 | uint32(end) }
	rapid.Check(t, func(t *rapid.T) {
		now := state[lengths]{want: map[uint32]int{}}
		var all []state[lengths]
		for range rapid.IntRange(1, 6).Draw(t, "edits") {
			o := new(owner)
			for range rapid.IntRange(1, 30).Draw(t, "changes") {
				length, end := rapid.IntRange(1, 3).Draw(t, "length"), rapid.SampledFrom([]byte{0, 'a', 'b', 0xff}).Draw(t, "end")
				k, n := key(length, end), 1
				if now.want[k] > 0 && rapid.Bool().Draw(t, "less") {
					n = -1
				}
				now.of = now.of.with(o, length, end, n)
				if now.want[k] += n; now.want[k] == 0 {
					delete(now.want, k)
				}
			}
			all = append(all, state[lengths]{now.of, maps.Clone(now.want)})
		}
		for _, s := range all {
			got := map[uint32]int{}
			for i := range s.of {
				for end := range 1 << 8 {
					n := int(s.of[i].counts.of[end])
					if s.of[i].ends.has(byte(end)) != (n > 0) {
						t.Fatalf("%d texts of length %d end with %d, and that is not what the set says", n, s.of[i].length, end)
					}
					if n > 0 {
						got[key(s.of[i].length, byte(end))] = n
					}
				}
			}
			if !maps.Equal(got, s.want) || !slices.IsSortedFunc(s.of, func(a, b lengthCount) int { return a.length - b.length }) {
				t.Fatalf("got %v, want %v", got, s.want)
			}
		}
	})
}

// Two grams of a pattern may meet in one slot and end differently. The pattern goes
// as it came.
func TestGramsOfOneSlot(t *testing.T) {
	a, b := gramsOfOneSlot()
	pattern := mustCompile(t, "a", fmt.Sprintf(`{"rules":[{"id":"r","effect":"allow","name":["*%s*%s*"]}]}`, a, b))
	var others []*Document
	for _, text := range []string{a, b} {
		others = append(others, mustCompile(t, "only-"+text, fmt.Sprintf(`{"rules":[{"id":"r","effect":"allow","name":["*--%c*"]}]}`, text[2])))
	}
	edit := NewTable(1, Defaults{}, append(others, pattern)).Edit()
	if got := edit.Table(2).Decide(&Input{Call: subjects.Publish, Name: "x" + a + b}, noon).Rule; got != "a/r" {
		t.Errorf("%q decides", got)
	}
	edit.Replace(pattern, nil)
	table := edit.Table(3)
	for i, text := range []string{a, b} {
		if got := table.Decide(&Input{Call: subjects.Publish, Name: "x--" + text[2:]}, noon).Rule; got != others[i].key+"/r" {
			t.Errorf("%q decides of a name that ends with %q", got, text[2])
		}
	}
}

// gramsOfOneSlot returns two texts of three letters that end differently.
func gramsOfOneSlot() (a, b string) {
	seen := map[uint16]string{}
	for i := range 26 * 26 * 26 {
		text := string([]byte{byte('a' + i/26/26), byte('a' + i/26%26), byte('a' + i%26)})
		slot := gram(0).next(text[0], 3).next(text[1], 3).next(text[2], 3).slot()
		if other := seen[slot]; other != "" && other[2] != text[2] {
			return other, text
		}
		seen[slot] = text
	}
	panic("no two meet")
}
