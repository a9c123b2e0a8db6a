package admin

import "time"

// logEvery is the least time between two log lines of one kind.
const logEvery = time.Second

// throttle lets one event through every logEvery and counts the others. The zero value is
// ready to use; its owner guards it.
type throttle struct {
	last time.Time
	held int
}

// pass reports whether an event at now may be logged, and if so how many were held back
// since the last that was.
func (t *throttle) pass(now time.Time) (suppressed int, ok bool) {
	if now.Sub(t.last) < logEvery {
		t.held++
		return 0, false
	}
	suppressed, t.held, t.last = t.held, 0, now
	return suppressed, true
}
