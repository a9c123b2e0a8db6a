package bridge

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// containsFold is strings.Contains of texts in lower case, for ASCII.
func TestContainsFold(t *testing.T) {
	text := rapid.StringOfN(rapid.SampledFrom([]rune("aAbB-/ .é")), 0, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		s, part := text.Draw(t, "text"), text.Draw(t, "part")
		if got, want := containsFold(s, part), strings.Contains(strings.ToLower(s), strings.ToLower(part)); got != want {
			t.Errorf("%q in %q: %v, want %v", part, s, got, want)
		}
	})
}
