package forward

import (
	"errors"
	"testing"

	"github.com/synadia-io/orbit.go/jetstreamext"
)

// cursorLog is a log of which only the cursor counts.
type cursorLog struct {
	Log
	seq, streamSeq uint64
	spoolID        string
}

func (l *cursorLog) Ack(seq uint64, spoolID string, streamSeq uint64) error {
	l.seq, l.spoolID, l.streamSeq = seq, spoolID, streamSeq
	return nil
}

// What the answer to a commit does to the cursor of a batch of the records 11 to 13, of which
// 10 has the stream sequence 100.
func TestSettleBatch(t *testing.T) {
	for _, c := range []struct {
		name               string
		ack                jetstreamext.BatchAck
		wantSeq, streamSeq uint64
		acked, duplicates  uint64
		err                error
	}{
		{"all", jetstreamext.BatchAck{Sequence: 103, BatchSize: 3}, 13, 103, 3, 0, nil},
		{"a part, which a gap or a cluster leaves", jetstreamext.BatchAck{Sequence: 102, BatchSize: 2}, 12, 102, 2, 0, errPartBatch},
		{"none", jetstreamext.BatchAck{BatchSize: 0}, 10, 100, 0, 0, errPartBatch},
		{"all were there before", jetstreamext.BatchAck{Sequence: 0, BatchSize: 3}, 13, 100, 3, 3, nil},
		{"a part was there before", jetstreamext.BatchAck{Sequence: 0, BatchSize: 2}, 12, 100, 2, 2, errPartBatch},
		{"the stream has begun anew", jetstreamext.BatchAck{Sequence: 3, BatchSize: 3}, 10, 100, 0, 0, errWentBack},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := &cursorLog{seq: 10, spoolID: "own", streamSeq: 100}
			f := &Forwarder{log: log, stream: streamState{ownID: "own", ownSeq: 100}}
			b := &batch{f: f, sent: []sentRecord{{11, "own"}, {12, "own"}, {13, "own"}}}
			if err := b.settle(&c.ack); !errors.Is(err, c.err) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			if log.seq != c.wantSeq || log.streamSeq != c.streamSeq {
				t.Errorf("cursor %d at %d, want %d at %d", log.seq, log.streamSeq, c.wantSeq, c.streamSeq)
			}
			if st := f.Stats(); st.Acked != c.acked || st.Duplicates != c.duplicates {
				t.Errorf("%d acked and %d duplicates, want %d and %d", st.Acked, st.Duplicates, c.acked, c.duplicates)
			}
		})
	}
}
