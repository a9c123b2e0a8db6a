package forward

import (
	"sync/atomic"
	"time"
)

// Stats is a picture of the forwarder for metrics and status.
type Stats struct {
	Acked      uint64    `json:"acked"`                // events JetStream has acked, or was found to hold
	Resent     uint64    `json:"resent"`               // events published more than once
	Duplicates uint64    `json:"duplicates"`           // acks that said: already there; a batch does not say
	Dead       uint64    `json:"dead"`                 // events put into the dead-letter file
	DeadBytes  int64     `json:"dead_bytes"`           // size of that file
	DeadError  string    `json:"dead_error,omitempty"` // why that file cannot be written; empty once it took one again
	Lost       uint64    `json:"lost"`                 // events NATS will never take, and the dead-letter file neither: it is full, or fails
	TakenBack  uint64    `json:"taken_back"`           // acked events that the stream lost and that are sent again
	Failures   uint64    `json:"failures"`             // times the forwarder began again
	Reconnects uint64    `json:"reconnects"`           // of its connection
	Batching   bool      `json:"batching"`             // fast batches are in use
	Failing    bool      `json:"failing"`              // nothing was acked since the last failure
	LastError  string    `json:"last_error,omitempty"`
	LastAck    time.Time `json:"last_ack,omitzero"`
}

// counters are what Stats reads while the loop writes.
type counters struct {
	acked, resent, duplicates, dead, lost, takenBack, failures, reconnects atomic.Uint64

	lastAck           atomic.Int64 // unix nanoseconds
	failing, batching atomic.Bool
	lastErr, deadErr  atomic.Pointer[string]
}

// failed notes err.
func (c *counters) failed(err error) {
	text := err.Error()
	c.lastErr.Store(&text)
	c.failing.Store(true)
	c.failures.Add(1)
}

// Stats returns the present figures. It does not ask the connection, whose lock is held while
// a write to a server that is cut off waits.
func (f *Forwarder) Stats() Stats {
	c := &f.counters
	st := Stats{
		Acked: c.acked.Load(), Resent: c.resent.Load(), Duplicates: c.duplicates.Load(), Dead: c.dead.Load(), DeadBytes: f.dead.size(), Lost: c.lost.Load(),
		TakenBack: c.takenBack.Load(), Failures: c.failures.Load(), Reconnects: c.reconnects.Load(),
		Batching: c.batching.Load(), Failing: c.failing.Load(),
	}
	if e := c.lastErr.Load(); e != nil {
		st.LastError = *e
	}
	if e := c.deadErr.Load(); e != nil {
		st.DeadError = *e
	}
	if at := c.lastAck.Load(); at != 0 {
		st.LastAck = time.Unix(0, at).UTC()
	}
	return st
}
