package forward

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 5 * time.Second
)

// backoff is how long the forwarder waits after a failure: twice as long after each, until
// something was acked again. Half of it more or less keeps bridges from coming together.
type backoff struct{ next time.Duration }

// after returns the wait after a failure, and whether it is the first of a row.
func (b *backoff) after(progress bool) (wait time.Duration, first bool) {
	if first = progress || b.next == 0; first {
		b.next = firstBackoff
	}
	wait = b.next/2 + rand.N(b.next) //nolint:gosec // jitter
	b.next = min(2*b.next, maxBackoff)
	return wait, first
}

// pause waits for d, or until there is a reason to try sooner.
func (f *Forwarder) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-f.connected:
	case <-t.C:
	}
}
