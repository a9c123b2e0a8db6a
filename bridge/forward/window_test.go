package forward

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// acked is the future of a message that the server has answered.
type acked struct {
	jetstream.PubAckFuture
	ack chan *jetstream.PubAck
}

func (a acked) Ok() <-chan *jetstream.PubAck { return a.ack }
func (a acked) Err() <-chan error            { return nil }

// What the ack of a message does to the cursor, which is at 10 with the stream sequence 100.
func TestSettleWindow(t *testing.T) {
	for _, c := range []struct {
		name               string
		ack                jetstream.PubAck
		wantSeq, streamSeq uint64
		duplicates         uint64
		err                error
	}{
		{"stored", jetstream.PubAck{Sequence: 101}, 11, 101, 0, nil},
		{"was there before", jetstream.PubAck{Sequence: 99, Duplicate: true}, 11, 99, 1, nil},
		{"the stream has begun anew", jetstream.PubAck{Sequence: 1}, 10, 100, 0, errWentBack},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := &cursorLog{seq: 10, spoolID: "own", streamSeq: 100}
			f := &Forwarder{log: log, stream: streamState{ownID: "own", ownSeq: 100}}
			future := acked{ack: make(chan *jetstream.PubAck, 1)}
			future.ack <- &c.ack
			w := window{f: f, flying: []*entry{{seq: 11, spoolID: "own", future: future}}}
			if err := w.settleOldest(t.Context()); !errors.Is(err, c.err) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			if log.seq != c.wantSeq || log.streamSeq != c.streamSeq {
				t.Errorf("cursor %d at %d, want %d at %d", log.seq, log.streamSeq, c.wantSeq, c.streamSeq)
			}
			if n := f.Stats().Duplicates; n != c.duplicates {
				t.Errorf("%d duplicates, want %d", n, c.duplicates)
			}
		})
	}
}
