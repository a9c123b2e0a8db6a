package forward

import (
	"encoding/binary"
	"errors"
	"fmt"

	"bintubridge/subjects"
)

// recordVersion is the first byte of every record in the spool.
//
//	version   1 byte
//	subject   uvarint length, text
//	type      uvarint length, text   ce-type
//	time      uvarint length, text   ce-time
//	source    uvarint length, text   ce-source
//	about     uvarint length, text   ce-subject, percent-encoded
//	event     the rest               JSON, its id still empty
//
// The id is not in the record: it is made of the sequence, which only the
// append knows.
const recordVersion = 1

// errRecord says that a record was not written by a version this one knows.
var errRecord = errors.New("unreadable record")

// Envelope is what a message carries beside the event: its subject and the
// CloudEvents headers that differ between events. All of it is encoded already.
type Envelope struct {
	Subject, Type, Time, Source, About []byte
}

// AppendRecord appends the start of a spool record; the event's JSON with an
// empty id completes it.
func (e *Envelope) AppendRecord(dst []byte) []byte {
	dst = append(dst, recordVersion)
	for _, text := range [...][]byte{e.Subject, e.Type, e.Time, e.Source, e.About} {
		dst = binary.AppendUvarint(dst, uint64(len(text)))
		dst = append(dst, text...)
	}
	return dst
}

// decodeRecord splits a record. Envelope and event are views into it.
func decodeRecord(rec []byte) (env Envelope, event []byte, err error) {
	if len(rec) == 0 || rec[0] != recordVersion {
		return Envelope{}, nil, fmt.Errorf("%w: not of version %d", errRecord, recordVersion)
	}
	rest := rec[1:]
	for _, text := range [...]*[]byte{&env.Subject, &env.Type, &env.Time, &env.Source, &env.About} {
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
