package bench

import (
	"errors"
	"fmt"
	"strings"

	"bintubridge/subjects"
)

// errCount says that the stream does not hold what was answered.
var errCount = errors.New("events in the stream do not equal answers")

// ledger notes which events of one run of the bridge a stream holds.
type ledger struct {
	spoolID string
	first   uint64   // sequence of the first event expected
	seen    []uint64 // bit a sequence, from first
	events  uint64
	refused uint64
}

// newLedger expects n events from sequence first on; the first event names the run.
func newLedger(first, n uint64) *ledger {
	return &ledger{first: first, seen: make([]uint64, n/64+1)}
}

// add notes the event with that id.
func (l *ledger) add(id, subject string) error {
	spoolID, seq, err := subjects.ParseID(id)
	if err != nil {
		return fmt.Errorf("%w: %w", errCount, err)
	}
	if l.spoolID == "" {
		l.spoolID = spoolID
	}
	at := seq - l.first
	if spoolID != l.spoolID || seq < l.first || at/64 >= uint64(len(l.seen)) {
		return fmt.Errorf("%w: %s is of no answer of this load", errCount, id)
	}
	if l.seen[at/64]&(1<<(at%64)) != 0 {
		return fmt.Errorf("%w: %s is there twice", errCount, id)
	}
	l.seen[at/64] |= 1 << (at % 64)
	l.events++
	if strings.HasPrefix(subject, "stream.denied.") {
		l.refused++
	}
	return nil
}

// compare says what is missing, or too many.
func (l *ledger) compare(got answers) error {
	if l.events != got.total() {
		return fmt.Errorf("%w: %d events, %d answers", errCount, l.events, got.total())
	}
	if l.refused != got.refused {
		return fmt.Errorf("%w: %d refused events, %d answers of 403", errCount, l.refused, got.refused)
	}
	return nil
}
