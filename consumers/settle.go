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
	maxWait time.Duration   // between two tries of a message
	release func(*delivery) // out of the hand

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

// isFailure tells a try that failed and is repeated from what is done, passed by, too early, or never
// succeeds.
func isFailure(err error) bool {
	return err != nil && !errors.Is(err, ErrSkip) && !errors.As(err, new(early)) && !IsPermanent(err)
}

// triedOut reports whether the handler had the message as often as it may.
func (s *settler) triedOut(d *delivery) bool {
	return s.opts.MaxDeliver > 0 && d.tries >= s.opts.MaxDeliver
}

// announce tells once that a batch is tried again, and returns when: all of it at the same time.
func (s *settler) announce(batch []*delivery, err error) (wait time.Duration) {
	if tooEarly := early(0); errors.As(err, &tooEarly) {
		return time.Duration(tooEarly)
	}
	if errors.Is(err, ErrSkip) {
		return 0
	}
	if !isFailure(err) {
		s.handling.worked()
		return 0
	}
	first := batch[0]
	wait = s.waitFor(first)
	var asked retryIn
	if errors.As(err, &asked) {
		wait = asked.wait
	}
	s.handling.failed("failed, and is tried again", "id", first.ID, "messages", len(batch), "delivered", first.Delivered, "wait", wait, "error", err)
	return wait
}

// waitFor goes by the tries in this process where messages wait in it, and else by all that there were.
func (s *settler) waitFor(d *delivery) time.Duration {
	if s.opts.Unordered {
		return waitFor(d.Delivered, s.maxWait)
	}
	return waitFor(uint64(d.tries), s.maxWait)
}

// settle answers a message. It returns false for one that is to be tried again here.
func (s *settler) settle(ctx context.Context, d *delivery, err error, wait time.Duration) (settled bool) {
	switch {
	case err == nil || errors.Is(err, ErrSkip):
		s.ack(ctx, d)
		return true
	case errors.As(err, new(early)):
		return s.again(d, wait)
	case IsPermanent(err):
		return s.bury(ctx, d, err)
	case s.triedOut(d):
		return s.bury(ctx, d, fmt.Errorf("tried %d times: %w", d.tries, err))
	default:
		s.watch.Failed(err)
		return s.again(d, wait)
	}
}

func (s *settler) ack(ctx context.Context, d *delivery) {
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

// again has a message tried again: here, or by whom the server gives it to where its successors need
// not wait for it.
func (s *settler) again(d *delivery, wait time.Duration) (settled bool) {
	if !s.opts.Unordered {
		d.again(wait)
		return false
	}
	s.release(d) // before: it may come again at once
	if err := d.msg.NakWithDelay(wait); err != nil {
		s.acking.failed("it comes again after the ack wait", "id", d.ID, "error", err)
	}
	return true
}

// bury copies the message to DEAD and gives it up, in that order. What cannot be
// copied is kept.
func (s *settler) bury(ctx context.Context, d *delivery, why error) (settled bool) {
	reason := oneLine(why.Error())
	if err := s.dead.Put(ctx, d.Message, reason); err != nil {
		wait := waitFor(d.Delivered, s.maxWait)
		s.burying.failed("a message cannot be set aside, and is tried again", "id", d.ID, "reason", reason, "wait", wait, "error", err)
		s.watch.Failed(err)
		d.doom = why
		return s.again(d, wait)
	}
	s.burying.worked()
	s.watch.Died()
	s.opts.Log.Error("a message is dead", "id", d.ID, "stream", d.Stream, "sequence", d.Sequence, "reason", reason)
	if err := d.msg.TermWithReason(shorten(reason, maxTermReason)); err != nil {
		s.acking.failed("it comes again, and is set aside again", "id", d.ID, "error", err)
	}
	return true
}

// panicked is the error of a handler that panicked with r.
func panicked(r any, log *slog.Logger) error {
	log.Error("the handler panicked", "panic", r, "stack", string(debug.Stack()))
	return Permanent(fmt.Errorf("the handler panicked: %v", r))
}
