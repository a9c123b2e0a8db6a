package consumers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// settler tells the server what became of a message.
type settler struct {
	opts    Options
	watch   *Watch
	dead    *DeadLetters
	maxWait time.Duration // between two tries of a message

	handling, acking, burying trouble
}

func newSettler(js jetstream.JetStream, opts Options, watch *Watch, batches bool) *settler {
	s := &settler{opts: opts, watch: watch, dead: NewDeadLetters(js, opts.Name), maxWait: lastWait}
	if batches {
		s.maxWait = lastBatchWait
	}
	s.handling.log, s.acking.log, s.burying.log = opts.Log, opts.Log, opts.Log
	return s
}

// announce tells once that a batch is tried again, and returns when: all of it at the same time.
func (s *settler) announce(batch []delivery, err error) (wait time.Duration) {
	if tooEarly := early(0); errors.As(err, &tooEarly) {
		return time.Duration(tooEarly)
	}
	if errors.Is(err, ErrSkip) {
		return 0
	}
	if err == nil || IsPermanent(err) {
		s.handling.worked()
		return 0
	}
	wait = waitFor(batch[0].Delivered, s.maxWait)
	var asked retryIn
	if errors.As(err, &asked) {
		wait = asked.wait
	}
	s.handling.failed("failed, and is tried again", "id", batch[0].ID, "messages", len(batch), "delivered", batch[0].Delivered, "wait", wait, "error", err)
	return wait
}

func (s *settler) settle(ctx context.Context, d delivery, err error, wait time.Duration) {
	switch {
	case err == nil || errors.Is(err, ErrSkip):
		s.ack(ctx, d)
	case errors.As(err, new(early)):
		s.again(d, wait)
	case IsPermanent(err):
		s.bury(ctx, d, err.Error())
	case s.opts.MaxDeliver > 0 && d.Delivered >= uint64(s.opts.MaxDeliver):
		s.bury(ctx, d, fmt.Sprintf("tried %d times: %v", d.Delivered, err))
	default:
		s.retry(d, err, wait)
	}
}

func (s *settler) ack(ctx context.Context, d delivery) {
	var err error
	if s.opts.DoubleAck {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		err = d.msg.DoubleAck(ctx)
	} else {
		err = d.msg.Ack()
	}
	if err != nil {
		s.acking.failed("a message is done and cannot be acked; it comes again", "id", d.ID, "error", err)
	} else {
		s.acking.worked()
	}
	s.watch.Processed()
}

func (s *settler) retry(d delivery, err error, wait time.Duration) {
	s.watch.Failed(err)
	s.again(d, wait)
}

func (s *settler) again(d delivery, wait time.Duration) {
	if err := d.msg.NakWithDelay(wait); err != nil {
		s.acking.failed("it comes again after the ack wait", "id", d.ID, "error", err)
	}
}

// bury copies the message to DEAD and gives it up, in that order. What cannot be
// copied is kept.
func (s *settler) bury(ctx context.Context, d delivery, reason string) {
	if err := s.dead.Put(ctx, d.Message, reason); err != nil {
		wait := waitFor(d.Delivered, s.maxWait)
		s.burying.failed("a message cannot be set aside, and is tried again", "id", d.ID, "reason", oneLine(reason), "wait", wait, "error", err)
		s.retry(d, err, wait)
		return
	}
	s.burying.worked()
	s.watch.Died()
	s.opts.Log.Error("a message is dead", "id", d.ID, "stream", d.Stream, "sequence", d.Sequence, "reason", oneLine(reason))
	if err := d.msg.TermWithReason(shorten(oneLine(reason), maxTermReason)); err != nil {
		s.acking.failed("it comes again, and is set aside again", "id", d.ID, "error", err)
	}
}

// panicked is the error of a handler that panicked with r.
func panicked(r any, log *slog.Logger) error {
	log.Error("the handler panicked", "panic", r, "stack", string(debug.Stack()))
	return Permanent(fmt.Errorf("the handler panicked: %v", r))
}
