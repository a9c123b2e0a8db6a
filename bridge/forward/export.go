package forward

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"bintubridge/subjects"
)

// Decode returns the message that stands for a record of the spool: what the
// forwarder publishes, with subject, headers and the event with its id.
func Decode(record []byte, spoolID string, seq uint64) (*nats.Msg, error) {
	return newMessage(record, eventID(spoolID, seq))
}

func newMessage(record []byte, id string) (*nats.Msg, error) {
	var m message
	if err := m.build(record, id); err != nil {
		return nil, err
	}
	return &m.Msg, nil
}

// DeadLetter is one line of the dead-letter file, for tools that read it.
type DeadLetter = deadLetter

// Message returns what is to be published for the letter, with its id as
// Nats-Msg-Id. A letter that holds a record is decoded again: another version of
// the bridge may have written it.
func (l *deadLetter) Message() (*nats.Msg, error) {
	if len(l.Record) > 0 {
		return newMessage(l.Record, l.ID)
	}
	if l.ID == "" || l.Subject == "" || len(l.Event) == 0 {
		return nil, fmt.Errorf("%w: a dead letter needs id, subject and event, or id and record", errRecord)
	}
	header := nats.Header{}
	for name, values := range l.Header {
		header[name] = values
	}
	header[subjects.HeaderMsgID] = []string{l.ID}
	return &nats.Msg{Subject: l.Subject, Header: header, Data: l.Event}, nil
}
