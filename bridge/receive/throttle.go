package receive

import (
	"sync/atomic"
	"time"
)

// logEvery is the least time between two log lines of one kind: a port scanner
// or a misconfigured sender must not fill the disk.
const logEvery = time.Second

// throttle lets one event through every logEvery and counts the others. The
// zero value is ready to use.
type throttle struct {
	last       atomic.Int64 // unix nanoseconds of the last event let through
	suppressed atomic.Uint64
}

// pass reports whether an event at now may be logged, and if so how many were
// held back since the last one that was.
func (t *throttle) pass(now time.Time) (suppressed uint64, ok bool) {
	last := t.last.Load()
	at := now.UnixNano()
	if last != 0 && at-last < int64(logEvery) && at >= last { // a clock set back must not silence the log
		t.suppressed.Add(1)
		return 0, false
	}
	if !t.last.CompareAndSwap(last, at) {
		t.suppressed.Add(1) // another goroutine logs at this moment
		return 0, false
	}
	return t.suppressed.Swap(0), true
}
