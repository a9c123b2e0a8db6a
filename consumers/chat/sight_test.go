package chat

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"bintubridge/consumers"
)

// A message is as old as it is, whatever is done to the clocks: the wait until it has settled is never
// longer than it should be, and none becomes stale by a jump of an hour.
func TestAge(t *testing.T) {
	type look struct {
		sleep, jump time.Duration // before it, of the server's clock
		sequence    uint64
		want        time.Duration
	}
	for name, looks := range map[string][]look{
		"steady":                  {{2 * time.Second, 0, 1, 2 * time.Second}, {13 * time.Second, 0, 1, 15 * time.Second}, {0, 0, 2, 15 * time.Second}},
		"forwards while it waits": {{0, 0, 1, 0}, {time.Second, time.Hour, 1, time.Second}, {0, 0, 2, time.Hour + time.Second}},
		"backwards before":        {{time.Second, -time.Hour, 1, 0}, {15 * time.Second, 0, 1, 15 * time.Second}},
		"backwards while":         {{time.Second, 0, 1, time.Second}, {14 * time.Second, -time.Hour, 1, 15 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stored := time.Now()
				var offset time.Duration
				s := sight{server: func(context.Context, string) (time.Time, error) { return time.Now().Add(offset), nil }}
				for i, l := range looks {
					time.Sleep(l.sleep)
					offset += l.jump
					age, err := s.ageOf(t.Context(), &consumers.Message{Sequence: l.sequence, Time: stored})
					if err != nil || age != l.want || age > staleAfter {
						t.Errorf("look %d: %v, %v, want %v", i, age, err, l.want)
					}
				}
			})
		})
	}
	away := sight{server: func(context.Context, string) (time.Time, error) { return time.Time{}, errors.New("away") }}
	if _, err := away.ageOf(t.Context(), &consumers.Message{Sequence: 1}); err == nil {
		t.Error("an age without a clock")
	}
}
