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
	readTimeout = 30 * time.Second
)

// sink is the events' stream as the bench counts it.
type sink struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	stream   jetstream.Stream
	last     uint64 // stream sequence up to which all is counted
	expected uint64 // sequence of the next event in the bridge's spool
}

// openSink makes all streams and buckets on a new server.
func openSink(ctx context.Context, url string) (*sink, error) {
	nc, err := nats.Connect(url, nats.Name("bridgectl bench"), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("NATS: %w", err)
	}
	s := &sink{nc: nc, expected: 1}
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

// check reads what came since the last check and compares it with the answers, event by
// event. Then it makes room, but for the last event: by that one a bridge sees that its
// stream is still the same.
func (s *sink) check(ctx context.Context, got answers) error {
	n, err := s.stored(ctx)
	if err != nil {
		return err
	}
	book := newLedger(s.expected, got.total())
	if err := s.read(ctx, n, book); err != nil {
		return err
	}
	if err := book.compare(got); err != nil {
		return err
	}
	s.last += n
	s.expected += n
	if err := s.stream.Purge(ctx, jetstream.WithPurgeKeep(1)); err != nil {
		return fmt.Errorf("purge stream %s: %w", subjects.StreamEvents, err)
	}
	return nil
}

// read gives the next n events of the stream to book.
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
	for range n {
		msg, err := messages.Next(jetstream.NextMaxWait(readTimeout))
		if err != nil {
			return fmt.Errorf("read stream %s: %w", subjects.StreamEvents, errors.Join(err, ctx.Err()))
		}
		if err := book.add(msg.Headers().Get(subjects.HeaderMsgID), msg.Subject()); err != nil {
			return err
		}
	}
	return nil
}
