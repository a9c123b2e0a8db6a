package forward

import (
	"github.com/nats-io/nats.go"

	"bintubridge/subjects"
)

// message is what is published for a record, with the memory it is built in.
type message struct {
	nats.Msg

	// values of the headers, which Header points into
	id, source, kind, time, about, parent, state [1]string
}

// headerRoom is more than the names of all headers and the values that are always the
// same, in bytes.
const headerRoom = 512

// messageBound returns what the message for a record is surely not longer than, in bytes.
func messageBound(rec []byte, id string) int { return len(rec) + 3*len(id) + headerRoom }

// build makes m the message for a record. It copies what it needs of the record, into the
// memory of the message m was before: one that is still in use must not be built anew.
func (m *message) build(rec []byte, id string) error {
	env, event, err := decodeRecord(rec)
	if err != nil {
		return err
	}
	if m.Data, err = subjects.AppendWithID(m.Data[:0], event, id); err != nil {
		return err
	}
	if m.Header == nil {
		m.Header = nats.Header{
			subjects.HeaderMsgID:       m.id[:],
			subjects.HeaderSpecVersion: {subjects.SpecVersion},
			subjects.HeaderID:          m.id[:],
			subjects.HeaderSource:      m.source[:],
			subjects.HeaderType:        m.kind[:],
			subjects.HeaderTime:        m.time[:],
			subjects.HeaderContentType: {subjects.ContentType},
		}
	}
	m.Reply, m.Sub = "", nil // a publisher may have set them
	m.id[0] = id
	set(&m.Subject, env.Subject)
	set(&m.source[0], env.Source)
	set(&m.kind[0], env.Type)
	set(&m.time[0], env.Time)
	set(&m.about[0], env.About)
	set(&m.parent[0], env.TraceParent)
	set(&m.state[0], env.TraceState)
	m.optional(subjects.HeaderSubject, m.about[:])
	m.optional(subjects.HeaderTraceParent, m.parent[:])
	m.optional(subjects.HeaderTraceState, m.state[:])
	return nil
}

// optional gives m the header, or none when it has no text.
func (m *message) optional(name string, value []string) {
	delete(m.Header, name)
	if value[0] != "" {
		m.Header[name] = value
	}
}

// set copies text, unless that is what the last message had.
func set(to *string, text []byte) {
	if *to != string(text) {
		*to = string(text)
	}
}
