package forward

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Errors of the JetStream API that no retry mends, with their codes in the server.
const (
	codeMessageTooLarge = 10054 // stream's max_msg_size
	codeHeaderTooLarge  = 10097 // 64 KiB
	codeNotThisStream   = 10060 // the subject belongs to another stream
)

// window is what is in flight, oldest first. It lives as long as one run of forward.
type window struct {
	f      *Forwarder
	flying []inFlight
	failed bool // the oldest failed: nothing behind it may move the cursor
}

// publishNext hands the spool's next record to NATS and reports whether there was one.
func (w *window) publishNext() (bool, error) {
	seq, spoolID, rec, err := w.f.log.Next()
	if err != nil || rec == nil {
		return false, err
	}
	entry := inFlight{seq: seq, spoolID: spoolID}
	msg, err := message(rec, eventID(spoolID, seq))
	if err != nil {
		err = w.bury(entry, deadLetter{Record: rec}, err)
	} else if entry.future, err = w.f.js.PublishMsgAsync(msg, jetstream.WithRetryAttempts(0)); poison(err) {
		err = w.bury(entry, letterOf(msg), err)
	}
	if errors.Is(err, nats.ErrReconnectBufExceeded) { // how the client says it while nothing is buffered
		return false, nats.ErrDisconnected
	}
	if err != nil {
		return false, fmt.Errorf("publish: %w", err)
	}
	if seq <= w.f.sent {
		w.f.resent.Add(1)
	}
	w.f.sent = max(w.f.sent, seq)
	w.flying = append(w.flying, entry)
	return true, nil
}

// await waits until the oldest message is settled or ready is signalled, and
// acks the spool for all that are settled by then.
func (w *window) await(ctx context.Context, ready <-chan struct{}) error {
	if len(w.flying) == 0 {
		select {
		case <-ready:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	future := w.flying[0].future
	if future == nil {
		return w.ackSettled(nil)
	}
	select {
	case <-ready:
		return nil
	case ack := <-future.Ok():
		return w.ackSettled(ack)
	case err := <-future.Err():
		return w.refused(err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ackSettled moves the spool's cursor behind the oldest message, which got ack
// (nil for a dead letter), and behind those after it that are settled too.
func (w *window) ackSettled(ack *jetstream.PubAck) error {
	for {
		settled := w.flying[0]
		w.flying = w.flying[1:]
		var streamSeq uint64
		if ack != nil {
			streamSeq = ack.Sequence
			w.f.acked.Add(1)
			if ack.Duplicate {
				w.f.duplicates.Add(1)
			}
		}
		var more bool
		if ack, more = w.nextSettled(); !more {
			return w.f.log.Ack(settled.seq, settled.spoolID, streamSeq)
		}
	}
}

// nextSettled reports whether the oldest message is acked, or a dead letter,
// without waiting for it.
func (w *window) nextSettled() (*jetstream.PubAck, bool) {
	if len(w.flying) == 0 {
		return nil, false
	}
	if w.flying[0].future == nil {
		return nil, true
	}
	select {
	case ack := <-w.flying[0].future.Ok():
		return ack, true
	default:
		return nil, false
	}
}

// refused settles the oldest message when NATS will never take it, and fails
// otherwise.
func (w *window) refused(cause error) error {
	oldest := w.flying[0]
	if poison(cause) {
		err := w.bury(oldest, letterOf(oldest.future.Msg()), cause)
		if err == nil {
			return w.ackSettled(nil)
		}
		cause = err
	}
	w.failed = true
	w.flying = w.flying[1:]
	return fmt.Errorf("publish: %w", cause)
}

// settle waits for all that is still in flight and acks the spool up to the first
// that failed. Acks behind a failure do not count: those are sent again, and JetStream
// knows them by their id.
func (w *window) settle(ctx context.Context) error {
	for len(w.flying) > 0 {
		var ack *jetstream.PubAck
		if future := w.flying[0].future; future != nil {
			select {
			case ack = <-future.Ok():
			case err := <-future.Err():
				w.failed = err != nil
			case <-ctx.Done():
				return nil
			}
		}
		if w.failed {
			w.flying = w.flying[1:]
		} else if err := w.ackSettled(ack); err != nil {
			return err
		}
	}
	return nil
}

// bury puts the message into the dead-letter file; it counts as settled then.
func (w *window) bury(entry inFlight, letter deadLetter, cause error) error {
	letter.At = time.Now().UTC()
	letter.ID = eventID(entry.spoolID, entry.seq)
	letter.Reason = cause.Error()
	if err := bury(w.f.dead, letter); err != nil {
		return err
	}
	w.f.deadCount.Add(1)
	w.f.logger.Error("forward: NATS will never take this event; it is in the dead-letter file",
		"id", letter.ID, "file", w.f.dead, "reason", cause)
	return nil
}

func letterOf(msg *nats.Msg) deadLetter {
	return deadLetter{Subject: msg.Subject, Header: msg.Header, Event: msg.Data}
}

// poison reports whether err will be the same at every try.
func poison(err error) bool {
	if errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadSubject) {
		return true
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return false
	}
	switch api.ErrorCode {
	case codeMessageTooLarge, codeHeaderTooLarge, codeNotThisStream:
		return true
	}
	return false
}
