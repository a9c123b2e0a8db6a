package consumers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"bintubridge/subjects"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Letter is a dead letter as Redrive reports it.
type Letter struct {
	Sequence uint64 `json:"sequence"`        // in DEAD
	ID       string `json:"id"`              // of the event, "" when it has none
	Subject  string `json:"subject"`         // where it was published, and is again
	Reason   string `json:"reason"`          // why it was set aside
	Sent     bool   `json:"sent"`            // again, and taken out of DEAD
	Error    string `json:"error,omitempty"` // why it stays in DEAD
}

// Redrive publishes the dead letters of a consumer where they came from, marked so that
// other consumers of this package pass them by, and takes each out of DEAD once it is
// stored. Killed in between it may be run again: nothing is lost, and
// within the duplicate window of the stream nothing is sent twice. With dryRun
// it only reports. each is told of every letter; its error ends the redrive. A letter that cannot be sent
// stays, and those behind it are sent; the error tells of the first ones.
func Redrive(ctx context.Context, js jetstream.JetStream, consumer string, dryRun bool, each func(Letter) error) error {
	if err := checkName(consumer); err != nil {
		return err
	}
	dead, err := js.Stream(ctx, subjects.StreamDead)
	if err != nil {
		return fmt.Errorf("stream %s: %w", subjects.StreamDead, err)
	}
	r := redriver{js: js, dead: dead, consumer: consumer, dryRun: dryRun}
	last := dead.CachedInfo().State.LastSeq // letters that die again meanwhile are for the next time
	var stay failures
	for sequence := uint64(1); sequence <= last; sequence++ {
		msg, err := dead.GetMsg(ctx, sequence, jetstream.WithGetMsgSubject("dead."+consumer+".>"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return stay.and(fmt.Errorf("read %s: %w", subjects.StreamDead, err))
		}
		if sequence = msg.Sequence; sequence > last {
			break
		}
		letter, err := r.redrive(ctx, msg)
		if err != nil {
			if isOfAll(err) {
				return stay.and(err)
			}
			letter.Error = oneLine(err.Error())
			stay.add(err)
		}
		if err := each(letter); err != nil {
			return stay.and(err)
		}
	}
	return stay.and(nil)
}

// isOfAll tells what keeps all letters from being sent from what is wrong with one.
func isOfAll(err error) bool {
	for _, e := range []error{context.Canceled, context.DeadlineExceeded, nats.ErrTimeout, nats.ErrConnectionClosed, nats.ErrReconnectBufExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// failures are the errors of letters that stay: the first ones, and how many more.
type failures struct {
	first []error
	more  int
}

func (f *failures) add(err error) {
	if len(f.first) < 10 {
		f.first = append(f.first, err)
	} else {
		f.more++
	}
}

// and returns them all as one error, with the one that ended it if there is one.
func (f *failures) and(last error) error {
	all := f.first
	if f.more > 0 {
		all = append(all, fmt.Errorf("and %d letters more", f.more))
	}
	return errors.Join(append(all, last)...)
}

type redriver struct {
	js       jetstream.JetStream
	dead     jetstream.Stream
	consumer string
	dryRun   bool
}

func (r *redriver) redrive(ctx context.Context, msg *jetstream.RawStreamMsg) (Letter, error) {
	letter := Letter{
		Sequence: msg.Sequence, ID: msg.Header.Get(subjects.HeaderID),
		Subject: msg.Header.Get(subjects.HeaderDeadSubject), Reason: msg.Header.Get(subjects.HeaderDeadReason),
	}
	if r.dryRun {
		return letter, nil
	}
	again, err := r.again(ctx, msg, letter.Subject)
	if err != nil {
		return letter, fmt.Errorf("letter %d: %w", msg.Sequence, err)
	}
	if _, err := r.js.PublishMsg(ctx, again); err != nil {
		return letter, fmt.Errorf("letter %d: publish to %s: %w", msg.Sequence, letter.Subject, err)
	}
	if err := r.dead.DeleteMsg(ctx, msg.Sequence); err != nil {
		return letter, fmt.Errorf("letter %d is sent and cannot be deleted: %w", msg.Sequence, err)
	}
	letter.Sent = true
	return letter, nil
}

// again is the message as it was, with a mark for whom it is.
func (r *redriver) again(ctx context.Context, msg *jetstream.RawStreamMsg, subject string) (*nats.Msg, error) {
	if len(subject) > maxSubject {
		return nil, fmt.Errorf("its subject has %d bytes, want %d at most", len(subject), maxSubject)
	}
	again := nats.NewMsg(subject)
	again.Data = msg.Data
	if msg.Header.Get(subjects.HeaderDeadBody) != "" {
		body, err := r.body(ctx, msg.Header)
		if err != nil {
			return nil, err
		}
		again.Data = body
	}
	maps.Copy(again.Header, msg.Header)
	for name := range again.Header {
		if strings.HasPrefix(name, "dead-") || strings.HasPrefix(name, "Nats-") {
			delete(again.Header, name)
		}
	}
	again.Header[subjects.HeaderRedrive] = []string{r.consumer}
	again.Header.Set(subjects.HeaderMsgID, "redrive-"+strconv.FormatUint(msg.Sequence, 10))
	return again, nil
}

// body fetches what did not fit into the letter from where it came.
func (r *redriver) body(ctx context.Context, h nats.Header) ([]byte, error) {
	sequence, err := strconv.ParseUint(h.Get(subjects.HeaderDeadSequence), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("its sequence: %w", err)
	}
	stream, err := r.js.Stream(ctx, h.Get(subjects.HeaderDeadStream))
	if err != nil {
		return nil, fmt.Errorf("its stream: %w", err)
	}
	msg, err := stream.GetMsg(ctx, sequence)
	if err != nil {
		return nil, fmt.Errorf("its body, sequence %d: %w", sequence, err)
	}
	return msg.Data, nil
}

// redriveOf returns the consumer a message was sent again for, "" for ordinary ones.
func redriveOf(h nats.Header) string { return h.Get(subjects.HeaderRedrive) }
