package forward

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// entry is a record on its way. One of msg, stored and cause says what is to be done.
type entry struct {
	seq     uint64
	spoolID string
	msg     *nats.Msg // to be published, the one of message
	large   bool      // the server may find it too large
	stored  uint64    // the stream has it already, with this sequence
	cause   error     // it goes to the dead letters
	record  []byte    // when it could not be read

	future    jetstream.PubAckFuture // in a window, once it is published
	published time.Time              // then
	message   message
}

// plain reports whether e can go into a batch, which does not say which of its messages
// was refused.
func (e *entry) plain() bool { return e.msg != nil && e.cause == nil && !e.large }

// next returns the log's next record, nil when there is none yet.
func (f *Forwarder) next() (*entry, error) {
	if e := f.held; e != nil {
		f.held = nil
		return e, nil
	}
	seq, spoolID, rec, err := f.log.Next()
	if err != nil || rec == nil {
		return nil, err
	}
	id := eventID(spoolID, seq)
	e := f.newEntry()
	e.seq, e.spoolID, e.stored = seq, spoolID, f.stream.stored[id]
	if e.stored != 0 {
		return e, nil
	}
	if e.cause = e.message.build(rec, id); e.cause != nil {
		e.record = append([]byte(nil), rec...)
		if !errors.Is(e.cause, errRecord) {
			e.cause = fmt.Errorf("%w: %w", errRecord, e.cause)
		}
		return e, nil
	}
	e.msg = &e.message.Msg
	if !publishable(e.msg.Subject) {
		e.cause = fmt.Errorf("%w: %q", nats.ErrBadSubject, e.msg.Subject)
	}
	e.large = int64(messageBound(rec, id)) > f.stream.maxMessage(f.conn)
	return e, nil
}

// newEntry returns an entry to be filled, with the memory of the one that was done with.
func (f *Forwarder) newEntry() *entry {
	e := f.spare
	if e == nil {
		return &entry{}
	}
	f.spare = nil
	*e = entry{message: e.message}
	return e
}

// publishing notes that e goes out.
func (f *Forwarder) publishing(e *entry) {
	if e.seq <= f.sent {
		f.counters.resent.Add(1)
	}
	f.sent = max(f.sent, e.seq)
}

// publishable reports whether the server can hold subject. It answers an empty
// token with "no responders" for ever, and stores wildcards that nobody can read by name.
func publishable(subject string) bool {
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" || token == "*" || token == ">" {
			return false
		}
	}
	return !strings.ContainsAny(subject, " \t\r\n\x00")
}

// bury puts e into the dead-letter file and moves the cursor behind it. When the file is
// full, or has taken nothing for a while, the event is lost: whatever publishers send, the
// queue goes on.
func (f *Forwarder) bury(e *entry) error {
	letter := deadLetter{Record: e.record}
	if e.msg != nil {
		letter = letterOf(e.msg)
	}
	letter.At, letter.ID, letter.Reason = time.Now().UTC(), eventID(e.spoolID, e.seq), e.cause.Error()
	err := f.dead.add(letter)
	switch {
	case errors.Is(err, errDeadFull):
		f.lose(letter.ID, e.cause, err)
	case err != nil:
		text := err.Error()
		f.counters.deadErr.Store(&text)
		if !f.unburied.goOn(time.Now()) {
			return err
		}
		f.lose(letter.ID, e.cause, err)
	default:
		f.unburied = unburied{}
		f.counters.deadErr.Store(nil)
		f.counters.dead.Add(1)
		f.logger.Error("forward: NATS will never take this event; it is in the dead-letter file",
			"id", letter.ID, "file", f.dead.path, "reason", e.cause)
	}
	return f.passed(e.seq)
}

// buryFor is how long the queue waits for a dead-letter file that takes nothing.
const buryFor = time.Minute

// unburied is the time during which the dead-letter file has taken nothing.
type unburied struct{ since, last time.Time }

// goOn notes another letter that was not taken, and reports whether the queue has waited
// long enough: for all of them together, or publishers could make it wait for each.
func (u *unburied) goOn(now time.Time) bool {
	if now.Sub(u.last) > buryFor { // another trouble
		u.since = now
	}
	u.last = now
	return now.Sub(u.since) >= buryFor
}

// tellLossEvery is how often the log tells of events that are lost; metrics tell of each.
const tellLossEvery = time.Minute

// lose counts an event that the dead-letter file does not take.
func (f *Forwarder) lose(id string, cause, err error) {
	n := f.counters.lost.Add(1)
	if now := time.Now(); now.Sub(f.mourned) >= tellLossEvery {
		f.mourned = now
		f.logger.Error("forward: NATS will never take this event, and it is lost, because the dead-letter file does not take it; when that is full see bridgectl spool redrive, or move it away",
			"id", id, "file", f.dead.path, "lost", n, "reason", cause, "error", err)
	}
}
