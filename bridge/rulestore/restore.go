package rulestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	"bintubridge/bridge/decide"
)

const restoreGCPercent = 400

// restore puts the snapshot on disk in force, if there is one that can be used.
// One that cannot is logged and ignored.
func (s *Store) restore() {
	path := s.opts.SnapshotPath
	// Everything that is made here stays: collecting meanwhile would take a third
	// of the time. A memory limit still holds.
	defer debug.SetGCPercent(debug.SetGCPercent(restoreGCPercent))
	edit := s.view.Load().table.Edit()
	l, contact, err := s.readSnapshot(path, edit)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		s.opts.Log.Warn("rules: snapshot ignored, waiting for the bucket", "path", path, "error", err)
		return
	}
	// A document that this version refuses was written by another version.
	for _, d := range l.invalid.first {
		s.opts.Log.Error("rules: document of the snapshot refused", "key", fmt.Sprintf("%q", d.Key), "revision", d.Revision, "error", d.Err)
	}
	if more := len(l.invalid.all) - len(l.invalid.first); more > 0 {
		s.opts.Log.Error("rules: more documents of the snapshot refused", "documents", more)
	}
	s.ledger = l
	s.contact.Store(min(int64(contact.Sub(s.started)), 0))
	s.publish(edit.Table(l.last), SourceSnapshot)
}

// readSnapshot reads a snapshot into a new ledger and the edit of an empty table.
func (s *Store) readSnapshot(path string, edit *decide.Edit) (l *ledger, contact time.Time, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, contact, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, contact, err
	}
	const usual = 150 // bytes of a document of one rule
	l = newLedger(int(info.Size() / usual))
	c := startCompilers(newDocuments(0), func(v verdict) { edit.Replace(l.apply(v)) })
	defer c.stop()
	header, err := decodeSnapshot(file, info.Size(), c.add)
	if err == nil && header.bucket != s.opts.Bucket {
		err = fmt.Errorf("it is of bucket %q, want %q", header.bucket, s.opts.Bucket)
	}
	if err != nil {
		return nil, contact, err
	}
	c.finish()
	l.created, l.last, l.seen, l.tail = header.created, header.revision, message{}, time.Time{}
	return l, header.contact, nil
}

// snapshot returns the rules in force for the saver.
func (s *Store) snapshot() *snapshot {
	s.mine.Lock()
	defer s.mine.Unlock()
	return &snapshot{
		snapshotHeader: snapshotHeader{
			bucket:   s.opts.Bucket,
			created:  s.ledger.created,
			contact:  s.started.Add(time.Duration(s.contact.Load())),
			revision: s.ledger.last,
		},
		documents: s.ledger.docs.freeze(),
	}
}
