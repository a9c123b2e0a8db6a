package forward

import (
	"context"
	"time"
)

// gatherFor is how long after one publish events gather for the next. A publish wakes both ends
// of the connection and costs both more than a message does.
const gatherFor = 5 * time.Millisecond

// gather waits for others to follow first when something was published a moment ago. An
// event that comes after a while goes at once, and so do enough for a batch, and those
// that have to go one by one.
func (f *Forwarder) gather(ctx context.Context, first *entry) {
	wait := time.Until(f.published.Add(gatherFor))
	if wait <= 0 || first.seq <= f.careful || f.log.Tail()-first.seq >= uint64(f.batches.size) {
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
