package rulestore

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"time"

	"bintubridge/bridge/decide"

	"github.com/nats-io/nats.go/jetstream"
)

// ledger is what is known of one bucket. It belongs to one goroutine.
type ledger struct {
	created time.Time // of the bucket: its identity; zero: none seen yet
	last    uint64    // the highest revision that is accounted for

	docs    map[string]record          // in force
	invalid map[string]InvalidDocument // newest versions that were refused
	seen    map[string]struct{}        // every key whose newest message the bucket holds, markers too
}

// record is the version of a document that is in force.
type record struct {
	doc      *decide.Document
	data     []byte // as stored; never changed
	revision uint64
}

func newLedger() *ledger {
	return &ledger{
		docs:    map[string]record{},
		invalid: map[string]InvalidDocument{},
		seen:    map[string]struct{}{},
	}
}

// apply takes one message of the bucket. Known is where a document with the same
// bytes may be found compiled already; it may be l. The error is a document that
// was refused: the version in force, if any, stays.
func (l *ledger) apply(e jetstream.KeyValueEntry, known *ledger) error {
	key := e.Key()
	l.last = max(l.last, e.Revision())
	l.seen[key] = struct{}{}
	if e.Operation() != jetstream.KeyValuePut {
		delete(l.docs, key)
		delete(l.invalid, key)
		return nil
	}
	r, err := compile(key, e.Value(), e.Revision(), known)
	if err != nil {
		l.invalid[key] = InvalidDocument{Key: key, Revision: e.Revision(), Err: err.Error()}
		return err
	}
	l.docs[key] = r
	delete(l.invalid, key)
	return nil
}

func compile(key string, data []byte, revision uint64, known *ledger) (record, error) {
	if err := checkKey(key); err != nil {
		return record{}, err
	}
	if k, ok := known.docs[key]; ok && bytes.Equal(k.data, data) {
		return record{doc: k.doc, data: k.data, revision: revision}, nil
	}
	doc, err := decide.Compile(key, data)
	if err != nil {
		return record{}, err
	}
	return record{doc: doc, data: data, revision: revision}, nil
}

// checkKey refuses what the KV API would refuse and a plain publish to the
// bucket's subjects can store all the same. A key stands in every decision and
// is asked for again by name, where a wildcard would mean others.
func checkKey(key string) error {
	const others = "-/_=."
	for i := range len(key) {
		if !isAlphanumeric(key[i]) && strings.IndexByte(others, key[i]) < 0 {
			return &decide.RuleError{Document: key, Field: "key", Value: "a byte that no key has", Want: "A-Z a-z 0-9 - / _ = ."}
		}
	}
	return nil
}

// validBucket reports whether NATS takes the name for a bucket.
func validBucket(name string) bool {
	for i := range len(name) {
		if !isAlphanumeric(name[i]) && name[i] != '_' && name[i] != '-' {
			return false
		}
	}
	return name != ""
}

func isAlphanumeric(b byte) bool {
	return '0' <= b && b <= '9' || 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z'
}

// invalidShown returns the first refused documents by key.
func (l *ledger) invalidShown() []InvalidDocument {
	if len(l.invalid) == 0 {
		return nil
	}
	keys := slices.Sorted(maps.Keys(l.invalid))
	shown := make([]InvalidDocument, 0, min(len(keys), maxInvalidShown))
	for _, key := range keys[:cap(shown)] {
		shown = append(shown, l.invalid[key])
	}
	return shown
}
