package forward

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoff(t *testing.T) {
	var b backoff
	for round := range 200 { // it is partly chance
		base := firstBackoff
		for i := range 10 {
			progress := i == 0 && round > 0
			wait, first := b.after(progress)
			if wait < base/2 || wait >= base*3/2 {
				t.Errorf("failure %d: waits %s, want about %s", i+1, wait, base)
			}
			if first != (i == 0) {
				t.Errorf("failure %d: first of a row: %v", i+1, first)
			}
			base = min(2*base, 5*time.Second)
		}
	}
}

// Waits differ, or all bridges of a fleet would come back at once.
func TestBackoffHasJitter(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 100 {
		wait, _ := new(backoff).after(true)
		seen[wait] = true
	}
	if len(seen) < 50 {
		t.Errorf("%d waits of 100 differ", len(seen))
	}
}

// A pause ends when NATS is there again, and when the forwarder is closed.
func TestPauseEndsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connected := make(chan struct{}, 1)
		f := &Forwarder{connected: connected}
		began := time.Now()
		connected <- struct{}{}
		f.pause(t.Context(), time.Hour)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("waited %s although NATS is connected", waited)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		f.pause(ended, time.Hour)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("waited %s although it is closed", waited)
		}
		f.pause(t.Context(), time.Minute)
		if waited := time.Since(began); waited != time.Minute {
			t.Errorf("waited %s of a minute", waited)
		}
	})
}
