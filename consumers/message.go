package consumers

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"bintubridge/subjects"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Message is one delivery.
type Message struct {
	Event   subjects.Event   // of stream.>; zero for others
	Session subjects.Session // of session.>; zero for others

	ID        string    // the event's: the same for every delivery, and in every stream
	Subject   string    // where it was published
	Stream    string    // where it is stored
	Sequence  uint64    // in Stream
	Delivered uint64    // how often it was delivered or tried again, this one included
	Time      time.Time // when it was stored, by the server's clock

	Header nats.Header
	Data   []byte // the body as it came
	Err    error  // why it could not be decoded; only with Options.Raw
}

// Name returns the name of the stream it is about, the sender's text.
func (m *Message) Name() string {
	if m.Session.ID != "" {
		return m.Session.Name
	}
	return m.Event.Name
}

// Errors of Decode.
var (
	// ErrFuture says that the message is of a version this one cannot read.
	ErrFuture = errors.New("of a later version")
	// ErrMalformed says that the message is none of the bridge's.
	ErrMalformed = errors.New("malformed")
)

// Decode reads a delivered message. With an error that wraps ErrFuture or ErrMalformed,
// which Message.Err holds too, everything but Event and Session is set.
func Decode(msg jetstream.Msg) (*Message, error) {
	m := &Message{Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data()}
	meta, err := msg.Metadata()
	if err != nil {
		return nil, fmt.Errorf("message on %q is not JetStream's: %w", msg.Subject(), err)
	}
	m.Stream, m.Sequence, m.Delivered, m.Time = meta.Stream, meta.Sequence.Stream, meta.NumDelivered, meta.Timestamp
	m.ID = m.Header.Get(subjects.HeaderID)
	m.Err = m.decode()
	return m, m.Err
}

func (m *Message) decode() error {
	if v := m.Header.Get(subjects.HeaderSpecVersion); v != "" && v != subjects.SpecVersion {
		return fmt.Errorf("%w: %s is %q, want %q", ErrFuture, subjects.HeaderSpecVersion, v, subjects.SpecVersion)
	}
	if v := m.Header.Get(subjects.HeaderContentType); v != "" && v != subjects.ContentType {
		return fmt.Errorf("%w: %s is %q, want %q", ErrFuture, subjects.HeaderContentType, v, subjects.ContentType)
	}
	var id string
	if strings.HasPrefix(m.Subject, "session.") {
		s, err := subjects.DecodeSession(m.Data)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		m.Session, id = s, s.ID
	} else {
		e, err := subjects.DecodeEvent(m.Data)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		m.Event, id = e, e.ID
	}
	if id == "" {
		m.Event, m.Session = subjects.Event{}, subjects.Session{}
		return fmt.Errorf("%w: it has no id", ErrMalformed)
	}
	m.ID = id
	return nil
}
