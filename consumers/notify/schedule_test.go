package notify

import (
	"errors"
	"testing"
	"time"

	"bintubridge/consumers/outbound"
)

// Each try at its time since the start, as the table of Standard Webhooks has it.
func TestSchedule(t *testing.T) {
	at := []time.Duration{
		5 * time.Second, 5*time.Minute + 5*time.Second, 35*time.Minute + 5*time.Second, 2*time.Hour + 35*time.Minute + 5*time.Second,
		7*time.Hour + 35*time.Minute + 5*time.Second, 17*time.Hour + 35*time.Minute + 5*time.Second, 31*time.Hour + 35*time.Minute + 5*time.Second,
		51*time.Hour + 35*time.Minute + 5*time.Second, 75*time.Hour + 35*time.Minute + 5*time.Second,
	}
	age := time.Duration(0)
	for i, want := range at {
		wait, more := nextTry(age, uint64(i+1))
		if !more || age+wait != want {
			t.Fatalf("after try %d comes one at %v, %v; want %v", i+1, age+wait, more, want)
		}
		age += wait
	}
	if wait, more := nextTry(age, 10); more {
		t.Errorf("after the last try comes one in %v", wait)
	}
}

func TestAfter(t *testing.T) {
	busy := func(d time.Duration) error { return outbound.StatusError{Code: 429, RetryAfter: d} }
	for _, tt := range []struct {
		name     string
		err      error
		age      time.Duration
		tries    uint64
		min, max time.Duration
		more     bool
	}{
		{"no answer", errors.New("no"), 0, 1, 5 * time.Second, 5500 * time.Millisecond, true},
		{"a clock that went back", errors.New("no"), -time.Hour, 1, 5 * time.Second, 5500 * time.Millisecond, true},
		{"a clock that went back in the middle", errors.New("no"), -20 * time.Minute, 4, 2 * time.Hour, 132 * time.Minute, true},
		{"asked for more", busy(time.Hour), 0, 1, time.Hour, time.Hour, true},
		{"asked for less", busy(time.Second), time.Minute, 1, 4*time.Minute + 5*time.Second, 5 * time.Minute, true},
		{"given back many times", errors.New("no"), 10 * time.Second, 50, 4*time.Minute + 55*time.Second, 6 * time.Minute, true},
		{"first tried a week later", errors.New("no"), 160 * time.Hour, 1, time.Hour, 66 * time.Minute, true},
		{"and for the last time", errors.New("no"), 162 * time.Hour, 3, 0, 2 * time.Hour, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if wait, more := after(tt.err, tt.age, tt.tries); more != tt.more || wait < tt.min || wait > tt.max {
				t.Errorf("got %v, %v", wait, more)
			}
		})
	}
}

// A clock is set by an hour, at whatever moment: the tries are neither many more nor fewer, and go on for
// days.
func TestScheduleWhenClocksJump(t *testing.T) {
	for _, jump := range []time.Duration{-time.Hour, time.Hour, -100 * time.Hour} {
		for at := time.Duration(0); at < 72*time.Hour; at += 17 * time.Minute {
			real, tries := time.Duration(0), uint64(1)
			for {
				age := real
				if real >= at {
					age += jump
				}
				wait, more := nextTry(age, tries)
				if !more {
					break
				}
				if wait <= 0 {
					t.Fatalf("jump of %v at %v: a wait of %v", jump, at, wait)
				}
				real += wait
				tries++
			}
			if tries < 7 || tries > 20 || real < 70*time.Hour {
				t.Fatalf("jump of %v at %v: %d tries in %v", jump, at, tries, real)
			}
		}
	}
}
