package rulestore

import (
	"fmt"
	"os"
	"time"

	"bintubridge/bridge/decide"
)

// Snapshot is the rules that a bridge had in force when it wrote its snapshot file.
type Snapshot struct {
	Bucket    string    // KV bucket of the rules
	Created   time.Time // of the bucket; zero: not known
	Contact   time.Time // when the rules were last known to be current
	Revision  uint64    // of the rule set
	Documents []*decide.Document
	Refused   []InvalidDocument // by this version of the program; the first by key, up to 100
}

// ReadSnapshot reads a snapshot file. It may be used while a bridge runs, which
// replaces the file as a whole. One that is damaged, or of another format, is an error.
func ReadSnapshot(path string) (*Snapshot, error) {
	var list []*decide.Document
	l, header, err := readLedger(path, func(int) {}, func(_, is record) {
		if !is.none() {
			list = append(list, is.document())
		}
	})
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return &Snapshot{
		Bucket: header.bucket, Created: header.created, Contact: header.contact, Revision: header.revision,
		Documents: list, Refused: l.invalid.first,
	}, nil
}

// readLedger reads a snapshot file into a new ledger. It tells about how many documents
// there are, and then of each.
func readLedger(path string, expect func(documents int), each func(was, is record)) (*ledger, snapshotHeader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, snapshotHeader{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, snapshotHeader{}, err
	}
	const usual = 80 // bytes of a document of one rule
	l := newLedger(int(info.Size() / usual))
	expect(int(info.Size() / usual))
	c := startCompilers(newDocuments(0), func(v verdict) { each(l.apply(v)) })
	defer c.stop()
	header, err := decodeSnapshot(file, info.Size(), c.add)
	if err != nil {
		return nil, snapshotHeader{}, err
	}
	c.finish()
	l.created, l.last, l.seen, l.tail = header.created, header.revision, message{}, time.Time{}
	return l, header, nil
}
