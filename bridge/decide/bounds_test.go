package decide

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bintubridge/subjects"
)

// Among many rules that are looked at for every request, those of other calls and
// other times do not hide the one that matches, to a nanosecond.
func TestCrowdOfOtherTimes(t *testing.T) {
	rules := []string{`{"id":"connect","effect":"deny","calls":["connect"],"priority":2}`}
	for i := range 300 {
		rules = append(rules, fmt.Sprintf(`{"id":"future%d","effect":"deny","priority":1,"not_before":"2099-01-01T00:00:00Z"}`, i),
			fmt.Sprintf(`{"id":"past%d","effect":"deny","expires_at":"1999-01-01T00:00:00Z"}`, i))
	}
	rules = append(rules, `{"id":"window","effect":"allow","priority":-2,"not_before":"2026-11-23T12:00:00.25Z","expires_at":"2026-11-23T12:00:00.75Z"}`)
	table := rulesTable(t, strings.Join(rules, ","))
	for _, c := range []struct {
		name string
		call subjects.Call
		now  time.Time
		want string
	}{
		{"before the window", subjects.Publish, noon.Add(250*time.Millisecond - 1), ""},
		{"its first moment", subjects.Publish, noon.Add(250 * time.Millisecond), "d/window"},
		{"its last moment", subjects.Publish, noon.Add(750*time.Millisecond - 1), "d/window"},
		{"behind it", subjects.Publish, noon.Add(750 * time.Millisecond), ""},
		{"another call", subjects.Connect, noon, "d/connect"},
		{"the far future", subjects.Publish, time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), "d/future0"},
		{"the far past", subjects.Publish, time.Date(1999, 1, 1, 0, 0, 0, -1, time.UTC), "d/past0"},
		{"no time at all", subjects.Publish, time.Time{}, "d/past0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Input{Call: c.call, Name: "x"}
			if got := table.Decide(&in, c.now).Rule; got != c.want {
				t.Errorf("%q decides, want %q", got, c.want)
			}
			if got := len(table.Explain(&in, c.now).Considered); c.call == subjects.Publish && got != 601 {
				t.Errorf("%d rules are told, want all of the call's", got)
			}
		})
	}
}
