package consumers

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTroubleIsToldSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		trouble := trouble{log: slog.New(slog.NewTextHandler(&log, nil))}
		expect := func(want ...string) {
			t.Helper()
			lines := strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
			log.Reset()
			if len(lines) != len(want) {
				t.Fatalf("got %q, want %q", lines, want)
			}
			for i, line := range lines {
				if !strings.Contains(line, want[i]) {
					t.Errorf("got %s, want %s", line, want[i])
				}
			}
		}
		outage := func() { // ten tries a second for two and a half minutes
			for range 1500 {
				trouble.failed("failed")
				time.Sleep(100 * time.Millisecond)
			}
			trouble.worked()
			trouble.worked()
		}
		outage()
		expect("msg=failed", "and_before=599", "and_before=599", `msg="it works again" failures=1500 after=2m30s`)
		outage() // the next one is told at once
		expect("msg=failed", "and_before=599", "and_before=599", "it works again")
		for range 1500 { // one that fails always, among others that work
			trouble.failed("failed")
			trouble.worked()
			time.Sleep(100 * time.Millisecond)
		}
		expect("msg=failed", "and_before=599", "and_before=599")
	})
}

func TestWaits(t *testing.T) {
	for n, want := range map[uint64]time.Duration{0: time.Second, 1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 6: 30 * time.Second, 9: 30 * time.Second, 10: 30 * time.Second, 1 << 40: 30 * time.Second} {
		for range 100 {
			if got := waitFor(n, lastBatchWait); got < want*3/4 || got > want*5/4 {
				t.Errorf("after try %d: %v, want %v", n, got, want)
			}
		}
	}
}

// A database that is back is not left alone for minutes; what fails by itself is tried seldom.
func TestWaitOfBatches(t *testing.T) {
	for batches, limit := range map[bool][2]time.Duration{true: {22 * time.Second, 38 * time.Second}, false: {3 * time.Minute, 7 * time.Minute}} {
		s := newSettler(nil, Options{Log: slog.New(slog.DiscardHandler)}, nil, batches)
		wait := s.announce([]*delivery{{Message: &Message{}, tries: 50}}, errors.New("away"))
		if wait < limit[0] || wait > limit[1] {
			t.Errorf("batches %v: %v", batches, wait)
		}
	}
}
