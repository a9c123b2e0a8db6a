package bench

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// An open loop sends exactly rate events in each second, in order and evenly, whatever the rate.
func TestScheduleIsSteady(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := schedule{rate: rapid.IntRange(1, 1_000_000).Draw(t, "rate")}
		n := rapid.Uint64Range(0, 1<<40).Draw(t, "n")
		if got := s.at(n + uint64(s.rate)); got != s.at(n)+time.Second {
			t.Fatalf("event %d is due at %s, %d events later at %s", n, s.at(n), s.rate, got)
		}
		every := time.Second / time.Duration(s.rate)
		if gap := s.at(n+1) - s.at(n); gap < every || gap > every+1 {
			t.Fatalf("%s between two events, want %s", gap, every)
		}
	})
}

func TestScheduleDue(t *testing.T) {
	const ms = time.Millisecond
	open := schedule{rate: 1000, end: 10 * ms}
	for _, test := range []struct {
		name string
		s    schedule
		n    uint64
		now  time.Duration
		due  time.Duration
		ok   bool
		over bool
	}{
		{"open: too early", open, 5, 4 * ms, 5 * ms, false, false},
		{"open: on time", open, 5, 5 * ms, 5 * ms, true, false},
		{"open: late, and due since then", open, 5, 9 * ms, 5 * ms, true, false},
		{"open: after the end, and still sent", open, 9, 30 * ms, 9 * ms, true, false},
		{"open: the end", open, 10, 30 * ms, 0, false, true},
		{"open: the last of a number", schedule{rate: 1000, total: 3}, 2, 2 * ms, 2 * ms, true, false},
		{"open: no more of a number", schedule{rate: 1000, total: 3}, 3, 9 * ms, 0, false, true},
		{"closed: at once", schedule{end: 10 * ms}, 1_000_000, 9 * ms, 9 * ms, true, false},
		{"closed: the end", schedule{end: 10 * ms}, 1, 10 * ms, 0, false, true},
		{"closed: no more of a number", schedule{total: 3, end: 10 * ms}, 3, 0, 0, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			due, ok := test.s.due(test.n, test.now)
			if due != test.due || ok != test.ok {
				t.Errorf("due %s, %v, want %s, %v", due, ok, test.due, test.ok)
			}
			if over := test.s.over(test.n, test.now); over != test.over {
				t.Errorf("over %v", over)
			}
		})
	}
}

func TestScheduleTakes(t *testing.T) {
	for name, test := range map[string]struct {
		s    schedule
		want time.Duration
	}{
		"closed":                          {schedule{end: time.Minute}, time.Minute},
		"closed, of so many events":       {schedule{total: 10}, 0},
		"closed, of so many at most":      {schedule{total: 10, end: time.Minute}, time.Minute},
		"open":                            {schedule{rate: 5, end: time.Minute}, time.Minute},
		"open, of so many events":         {schedule{rate: 5, total: 10}, 2 * time.Second},
		"open, of more than fit into it":  {schedule{rate: 5, total: 1000, end: time.Minute}, time.Minute},
		"open, of fewer than fit into it": {schedule{rate: 5, total: 10, end: time.Minute}, 2 * time.Second},
	} {
		if got := test.s.takes(); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}
