package consumers

import (
	"context"
	"math/rand/v2"
	"time"
)

// The waits between the tries of a message, and of a connection.
const (
	firstWait = time.Second
	lastWait  = 5 * time.Minute
)

// waitFor returns how long to wait after the nth try failed: a second, doubled each time up to
// five minutes, and up to a quarter more or less so that many do not come back at once.
func waitFor(n uint64) time.Duration {
	wait := lastWait
	if n = max(n, 1); n < 10 {
		wait = min(firstWait<<(n-1), lastWait)
	}
	return wait - wait/4 + rand.N(wait/2) //nolint:gosec // no secret
}

// backoff waits longer each time.
type backoff struct{ tries uint64 }

func (b *backoff) reset() { b.tries = 0 }

// sleep returns earlier when ctx ends. A connection is tried at least every half minute.
func (b *backoff) sleep(ctx context.Context) {
	b.tries++
	t := time.NewTimer(min(waitFor(b.tries), lastWait/10))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
