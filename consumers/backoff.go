package consumers

import (
	"context"
	"math/rand/v2"
	"time"
)

// The waits between the tries of a message, and of a connection.
const (
	firstWait     = time.Second
	lastWait      = 5 * time.Minute
	lastBatchWait = 30 * time.Second // a batch fails with its database, and not by itself
	lastConnWait  = 30 * time.Second
)

// waitFor returns how long to wait after the nth try failed: a second, doubled each time up to
// last, and up to a quarter more or less so that many do not come back at once.
func waitFor(n uint64, last time.Duration) time.Duration {
	wait := last
	if n = max(n, 1); n < 10 {
		wait = min(firstWait<<(n-1), last)
	}
	return wait - wait/4 + rand.N(wait/2) //nolint:gosec // no secret
}

// backoff waits longer each time.
type backoff struct{ tries uint64 }

func (b *backoff) reset() { b.tries = 0 }

// sleep returns earlier when ctx ends.
func (b *backoff) sleep(ctx context.Context) {
	b.tries++
	t := time.NewTimer(waitFor(b.tries, lastConnWait))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
