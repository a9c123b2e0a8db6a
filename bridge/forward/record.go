package forward

import (
	"encoding/binary"
	"errors"
	"fmt"

	"bintubridge/subjects"
)

// The first byte of every record in the spool is its version. A record without a trace
// context is of version 1, as all were before there were any.
//
//	version   1 byte
//	subject   uvarint length, text
//	type      uvarint length, text   ce-type
//	time      uvarint length, text   ce-time
//	source    uvarint length, text   ce-source
//	about     uvarint length, text   ce-subject, percent-encoded
//	parent    uvarint length, text   traceparent   } version 2 alone
//	state     uvarint length, text   tracestate    }
//	event     the rest               JSON, its id still empty
//
// The id is not in the record: it is made of the sequence, which only the
// append knows.
const (
	recordVersion = 1
	tracedVersion = 2
)

// errRecord says that a record was not written by a version this one knows.
var errRecord = errors.New("unreadable record")

// Envelope is what a message carries beside the event: its subject and the
// headers that differ between events. All of it is encoded already.
type Envelope struct {
	Subject, Type, Time, Source, About []byte
	TraceParent, TraceState            []byte // empty: the request had none
}

// textsOf returns how many texts stand before the event in a record of that version, 0
// when this one does not know it.
func textsOf(version byte) int {
	switch version {
	case recordVersion:
		return 5
	case tracedVersion:
		return 7
	}
	return 0
}

// AppendRecord appends the start of a spool record; the event's JSON with an
// empty id completes it.
func (e *Envelope) AppendRecord(dst []byte) []byte {
	version := byte(recordVersion)
	if len(e.TraceParent) > 0 {
		version = tracedVersion
	}
	dst = append(dst, version)
	all := [...][]byte{e.Subject, e.Type, e.Time, e.Source, e.About, e.TraceParent, e.TraceState}
	for _, text := range all[:textsOf(version)] {
		dst = binary.AppendUvarint(dst, uint64(len(text)))
		dst = append(dst, text...)
	}
	return dst
}

// decodeRecord splits a record. Envelope and event are views into it.
func decodeRecord(rec []byte) (env Envelope, event []byte, err error) {
	if len(rec) == 0 || textsOf(rec[0]) == 0 {
		return Envelope{}, nil, fmt.Errorf("%w: not of version %d or %d", errRecord, recordVersion, tracedVersion)
	}
	rest := rec[1:]
	all := [...]*[]byte{&env.Subject, &env.Type, &env.Time, &env.Source, &env.About, &env.TraceParent, &env.TraceState}
	for _, text := range all[:textsOf(rec[0])] {
		n, used := binary.Uvarint(rest)
		if used <= 0 || n > uint64(len(rest)-used) {
			return Envelope{}, nil, fmt.Errorf("%w: cut short", errRecord)
		}
		*text, rest = rest[used:used+int(n)], rest[used+int(n):]
	}
	return env, rest, nil
}

// eventID appends the id of the record with that sequence.
func eventID(spoolID string, seq uint64) string {
	return string(subjects.AppendID(nil, spoolID, seq))
}
