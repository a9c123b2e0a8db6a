package forward

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// lateAck is how long an ack takes at least that comes from the next leader, when a
// cluster lost the one that was published to. The new one acks what both knew, and was never sent the
// rest of the window: what is published now would be stored before that. An election
// takes seconds.
const lateAck = 500 * time.Millisecond

// window is what is in flight with an ack for each message, oldest first.
type window struct {
	f      *Forwarder
	limit  int
	flying []*entry
	late   bool // an ack was: nothing more goes out before all in flight is settled
}

// sendWindow publishes first and what follows it, with up to limit messages in
// flight, until the log is read and all is settled. With a limit of one it sends first
// alone.
func (f *Forwarder) sendWindow(ctx context.Context, first *entry, limit int) error {
	w := window{f: f, limit: limit}
	if err := w.publish(first); err != nil {
		return err
	}
	var readErr error // of the log, or of publishing: no more is sent, acks still count
	for len(w.flying) > 0 {
		for readErr == nil && limit > 1 && !w.late && len(w.flying) < limit {
			e, err := f.next()
			if e == nil && err == nil {
				break
			}
			if err == nil {
				err = w.publish(e)
			}
			readErr = err
		}
		if err := w.settleOldest(ctx); err != nil {
			return errors.Join(readErr, err, w.giveUp(ctx))
		}
	}
	return readErr
}

// publish hands e to NATS, or lets it wait for its turn when it is settled already.
func (w *window) publish(e *entry) error {
	if e.msg != nil && e.cause == nil {
		var err error
		e.published = time.Now()
		e.future, err = w.f.js.PublishMsgAsync(e.msg, jetstream.WithRetryAttempts(0))
		switch {
		case poison(err):
			e.cause = err
		case err != nil:
			return fmt.Errorf("publish: %w", err)
		default:
			w.f.publishing(e)
		}
	}
	w.flying = append(w.flying, e)
	return nil
}

// settleOldest waits for the oldest message and moves the cursor behind it.
func (w *window) settleOldest(ctx context.Context) error {
	e := w.flying[0]
	w.flying = w.flying[1:] // an outcome comes once, even a bad one
	ack, err := e.outcome(ctx)
	w.late = w.late || e.future != nil && time.Since(e.published) >= lateAck
	if err != nil && poison(err) {
		e.cause, err = err, nil
		w.f.careful = min(w.f.careful, e.seq) // it was what spoiled the batch
	}
	if err != nil {
		if refused(err) {
			w.f.careful = e.seq // nothing else goes out until it is in
		}
		return w.f.explain(fmt.Errorf("publish: %w", err))
	}
	if e.cause != nil {
		return w.f.bury(e)
	}
	w.f.counters.acked.Add(1)
	if e.stored != 0 {
		return w.f.settled(e.seq, e.spoolID, e.stored)
	}
	if ack.Duplicate {
		w.f.counters.duplicates.Add(1)
	} else if err := w.f.grew(ack.Sequence); err != nil {
		return err
	}
	return w.f.settled(e.seq, e.spoolID, ack.Sequence)
}

// outcome waits for e's ack; there is none when e was not published.
func (e *entry) outcome(ctx context.Context) (*jetstream.PubAck, error) {
	if e.future == nil {
		return nil, nil
	}
	select {
	case ack := <-e.future.Ok():
		return ack, nil
	case err := <-e.future.Err():
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// giveUp waits until nothing is in flight behind a failure. Those acks do not count:
// verify finds what the stream has, and JetStream knows the rest by its id.
func (w *window) giveUp(ctx context.Context) error {
	for _, e := range w.flying {
		if _, err := e.outcome(ctx); ctx.Err() != nil {
			return err
		}
	}
	w.flying = nil
	return nil
}
