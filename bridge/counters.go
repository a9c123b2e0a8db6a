package bridge

import (
	"sync/atomic"

	"bintubridge/subjects"
)

// counter is an atomic on a cache line of its own: requests on several cores
// count without passing the line around.
type counter struct {
	atomic.Uint64
	_ [56]byte
}

// counters is what the request path counts.
type counters struct {
	requests [subjects.Happened + 1][subjects.NumCalls]counter // answered
	fallback [subjects.NumCalls]counter                        // decided by no rule
	lost     counter                                           // of them, whose event the spool did not take
	rejected counter                                           // answered 503, because the spool took no event
}

// totals adds up what KV bridges shows.
func (c *counters) totals() subjects.BridgeEvents {
	t := subjects.BridgeEvents{Lost: c.lost.Load()}
	for call := range subjects.NumCalls {
		for outcome := range c.requests {
			t.Answered += c.requests[outcome][call].Load()
		}
		t.Denied += c.requests[subjects.Denied][call].Load()
	}
	return t
}
