package rulestore

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"time"
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
	table := startReplacer(edit)
	l, header, err := readLedger(path, edit.Expect, table.replace)
	table.finish()
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil && header.bucket != s.opts.Bucket {
		err = fmt.Errorf("it is of bucket %q, want %q", header.bucket, s.opts.Bucket)
	}
	if err != nil {
		s.opts.Log.Warn("rules: snapshot ignored, waiting for the bucket", "path", path, "error", err)
		return
	}
	// A document that this version refuses was written by another version.
	for _, d := range l.invalid.first {
		s.opts.Log.Error("rules: document of the snapshot refused", "key", d.Key, "revision", d.Revision, "error", d.Err)
	}
	if more := len(l.invalid.all) - len(l.invalid.first); more > 0 {
		s.opts.Log.Error("rules: more documents of the snapshot refused", "documents", more)
	}
	s.ledger = l
	s.contact.Store(min(int64(header.contact.Sub(s.started)), 0))
	s.publish(edit.Table(l.last), SourceSnapshot)
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
