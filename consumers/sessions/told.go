package sessions

import (
	"context"
	"fmt"
	"time"

	"bintubridge/subjects"

	"github.com/nats-io/nats.go/jetstream"
)

// tick is one that was told of: it came after an event, at a time of the server.
type tick struct {
	after uint64
	now   time.Time
}

// told is what SESSIONS holds behind a checkpoint.
type told struct {
	ids   map[string]bool
	ticks []tick
	last  uint64 // sequence of SESSIONS
}

// readTold reads the messages of SESSIONS behind the sequence.
func readTold(ctx context.Context, s jetstream.Stream, behind uint64) (told, error) {
	t := told{ids: map[string]bool{}, last: s.CachedInfo().State.LastSeq}
	if s.CachedInfo().State.Msgs == 0 || behind >= t.last {
		return t, nil
	}
	cons, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: behind + 1, HeadersOnly: true,
	})
	if err != nil {
		return t, fmt.Errorf("stream %s: %w", subjects.StreamSessions, err)
	}
	it, err := cons.Messages()
	if err != nil {
		return t, fmt.Errorf("stream %s: %w", subjects.StreamSessions, err)
	}
	defer it.Stop()
	for {
		msg, err := it.Next(jetstream.NextMaxWait(requestTimeout))
		if err != nil {
			return t, fmt.Errorf("stream %s: %w", subjects.StreamSessions, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return t, fmt.Errorf("stream %s: %w", subjects.StreamSessions, err)
		}
		t.add(msg)
		if meta.NumPending == 0 || meta.Sequence.Stream >= t.last {
			t.last = max(t.last, meta.Sequence.Stream)
			return t, nil
		}
	}
}

func (t *told) add(msg jetstream.Msg) {
	t.ids[msg.Headers().Get(subjects.HeaderMsgID)] = true
	at, ok := tickOf(msg.Headers())
	if ok && (len(t.ticks) == 0 || t.ticks[len(t.ticks)-1] != at) {
		t.ticks = append(t.ticks, at)
	}
}
