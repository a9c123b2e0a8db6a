package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/subjects"
)

const (
	// replayAhead is how many bytes of events a reader has asked for and not yet
	// been through.
	replayAhead = 16 << 20
	// replaySilence is how long a server may say nothing at all.
	replaySilence = 30 * time.Second
)

// replayPart is the events of one reader, by stream sequence, both ends included.
type replayPart struct{ from, to uint64 }

// replayParts shares the events since a time out to n readers. There are none
// when nothing was recorded since.
func replayParts(ctx context.Context, js jetstream.JetStream, since time.Time, n uint64) ([]replayPart, error) {
	stream, err := js.Stream(ctx, subjects.StreamEvents)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", subjects.StreamEvents, unanswered(js, err))
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since, HeadersOnly: true,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: patience(js),
	})
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", subjects.StreamEvents, unanswered(js, err))
	}
	if consumer.CachedInfo().NumPending == 0 {
		return nil, nil
	}
	msg, err := consumer.Next(jetstream.FetchMaxWait(patience(js)))
	if err != nil {
		return nil, fmt.Errorf("stream %s: first event: %w", subjects.StreamEvents, err)
	}
	meta, err := msg.Metadata()
	if err != nil {
		return nil, fmt.Errorf("stream %s: first event: %w", subjects.StreamEvents, err)
	}
	first, last := meta.Sequence.Stream, stream.CachedInfo().State.LastSeq
	var parts []replayPart
	for size := (last-first)/n + 1; first <= last; first += size {
		parts = append(parts, replayPart{from: first, to: min(last, first+size-1)})
	}
	return parts, nil
}

// readPart gives each event of a part to each, over a connection of its own. It is
// an error when one is lost on the way; those that the stream does not have any more
// are not missed.
func readPart(ctx context.Context, js jetstream.JetStream, part replayPart, each func(subject string, data []byte)) error {
	consumer, err := js.CreateConsumer(ctx, subjects.StreamEvents, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: part.from,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: replaySilence,
	})
	if err != nil {
		return fmt.Errorf("read the events: %w", err)
	}
	if consumer.CachedInfo().NumPending == 0 {
		return nil
	}
	r := partReader{part: part, each: each, next: 1, ended: make(chan error, 1)}
	reading, err := consumer.Consume(r.take, jetstream.PullMaxBytes(replayAhead),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { r.failed(err) }))
	if err != nil {
		return fmt.Errorf("read the events: %w", err)
	}
	defer func() {
		reading.Stop()
		<-reading.Closed()
		_ = js.DeleteConsumer(context.WithoutCancel(ctx), subjects.StreamEvents, consumer.CachedInfo().Name) // it ends by itself
	}()
	select {
	case err := <-r.ended:
		return err
	case <-ctx.Done():
		return fmt.Errorf("read the events: %w", ctx.Err())
	}
}

// partReader takes the events of a part, on the consumer's goroutine.
type partReader struct {
	part  replayPart
	each  func(subject string, data []byte)
	next  uint64 // sequence of the consumer
	done  bool
	once  sync.Once
	ended chan error
}

func (r *partReader) end(err error) { r.once.Do(func() { r.ended <- err }) }

func (r *partReader) take(msg jetstream.Msg) {
	if r.done {
		return
	}
	meta, err := msg.Metadata()
	if err == nil && meta.Sequence.Consumer != r.next {
		err = fmt.Errorf("event %d of %d was lost on its way", r.next, meta.Sequence.Consumer)
	}
	if err != nil {
		r.done = true
		r.end(fmt.Errorf("read the events: %w; try again", err))
		return
	}
	r.next++
	if meta.Sequence.Stream <= r.part.to {
		r.each(msg.Subject(), msg.Data())
	}
	if meta.Sequence.Stream >= r.part.to || meta.NumPending == 0 {
		r.done = true
		r.end(nil)
	}
}

// failed ends the reading on what does not mend itself.
func (r *partReader) failed(err error) {
	if errors.Is(err, jetstream.ErrNoHeartbeat) || errors.Is(err, nats.ErrConnectionClosed) ||
		errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrConsumerNotFound) ||
		errors.Is(err, jetstream.ErrServerShutdown) || errors.Is(err, jetstream.ErrConnectionClosed) {
		r.end(fmt.Errorf("read the events: %w", err))
	}
}
