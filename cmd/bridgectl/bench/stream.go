package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

const (
	eventsBytes = 64 << 30 // limit of the stream; one load has to fit
	rulesBytes  = 16 << 30
	patience    = 30 * time.Second
	purgeEvery  = 50_000 // events read
)

// sink is the events' stream as the bench counts it.
type sink struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	stream   jetstream.Stream
	last     uint64        // stream sequence up to which all is counted
	expected uint64        // sequence of the next event in the bridge's spool
	patience time.Duration // for the next event, and for a purge
}

// openSink makes the streams and buckets that are missing on the server.
func openSink(ctx context.Context, url string) (*sink, error) {
	nc, err := nats.Connect(url, nats.Name("bridgectl bench"), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("NATS: %w", err)
	}
	s := &sink{nc: nc, expected: 1, patience: patience}
	if err := s.open(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return s, nil
}

func (s *sink) open(ctx context.Context) (err error) {
	if s.js, err = jetstream.New(s.nc, jetstream.WithPublishAsyncMaxPending(pushesInFlight)); err != nil {
		return fmt.Errorf("NATS: %w", err)
	}
	_, err = provision.Ensure(ctx, s.js, provision.Options{Mode: provision.Auto, EventsBytes: eventsBytes, RulesBytes: rulesBytes})
	if err != nil {
		return fmt.Errorf("make streams and buckets: %w", err)
	}
	if s.stream, err = s.js.Stream(ctx, subjects.StreamEvents); err != nil {
		return fmt.Errorf("stream %s: %w", subjects.StreamEvents, err)
	}
	return nil
}

// stored returns how many events came since the last check.
func (s *sink) stored(ctx context.Context) (uint64, error) {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("stream %s: %w", subjects.StreamEvents, err)
	}
	return info.State.LastSeq - s.last, nil
}

// eventBytes returns how many bytes an event takes in the stream on average, with subject
// and headers, as the server counts them against the stream's limit.
func (s *sink) eventBytes(ctx context.Context) (float64, error) {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("stream %s: %w", subjects.StreamEvents, err)
	}
	return float64(info.State.Bytes) / float64(max(info.State.Msgs, 1)), nil
}

// check reads what came since the last check and compares it with the answers, event by
// event.
func (s *sink) check(ctx context.Context, got answers) error {
	n, err := s.stored(ctx)
	if err != nil {
		return err
	}
	book := newLedger(s.expected, got.total())
	if err := s.read(ctx, n, book); err != nil {
		return err
	}
	return book.compare(got)
}

// read gives the next n events of the stream to book. It makes room as it goes, but keeps
// the last event: by that one a bridge sees that its stream is still the same.
func (s *sink) read(ctx context.Context, n uint64, book *ledger) error {
	if n == 0 {
		return nil
	}
	consumer, err := s.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: s.last + 1, HeadersOnly: true,
	})
	if err != nil {
		return fmt.Errorf("read stream %s: %w", subjects.StreamEvents, err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(10_000))
	if err != nil {
		return fmt.Errorf("read stream %s: %w", subjects.StreamEvents, err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	for i := range n {
		msg, err := messages.Next(jetstream.NextMaxWait(s.patience))
		if errors.Is(err, nats.ErrTimeout) {
			return fmt.Errorf("%w: %d of %d came, and none for %s", errCount, i, n, s.patience)
		}
		if err != nil {
			return fmt.Errorf("read stream %s, after %d of %d events: %w", subjects.StreamEvents, i, n, errors.Join(ctx.Err(), err))
		}
		if err := book.add(msg.Headers().Get(subjects.HeaderMsgID), msg.Subject()); err != nil {
			return err
		}
		s.last++
		s.expected++
		if (i+1)%purgeEvery != 0 && i+1 != n {
			continue
		}
		if err := s.makeRoom(ctx); err != nil {
			return err
		}
	}
	return nil
}

// makeRoom purges what was read. A server that is busy with its disk may take its time.
func (s *sink) makeRoom(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	if err := s.stream.Purge(ctx, jetstream.WithPurgeSequence(s.last)); err != nil {
		return fmt.Errorf("purge stream %s: %w", subjects.StreamEvents, err)
	}
	return nil
}
