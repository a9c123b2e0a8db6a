package rulestore

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// saver writes snapshots on a goroutine of its own, so that a slow disk never
// holds up the rules. Of several offered while it writes only the newest counts.
type saver struct {
	path  string
	every time.Duration // least time between two writes
	log   *slog.Logger
	wake  chan struct{} // room for one
	quit  chan struct{}
	done  chan struct{}

	mu   sync.Mutex
	next *snapshot // to write; nil: nothing new
	err  error     // of the last write
}

func startSaver(path string, every time.Duration, log *slog.Logger) *saver {
	s := &saver{
		path: path, every: every, log: log,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go s.run()
	return s
}

// offer has the snapshot written soon. It does not wait.
func (s *saver) offer(snap *snapshot) {
	s.mu.Lock()
	s.next = snap
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// close writes what was offered last and returns the error of the last write.
func (s *saver) close() error {
	close(s.quit)
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// trouble returns why the last write failed, or "".
func (s *saver) trouble() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return ""
	}
	return s.err.Error()
}

func (s *saver) run() {
	defer close(s.done)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-s.quit:
			s.write()
			return
		case <-pause.C:
		}
		select {
		case <-s.quit:
			s.write()
			return
		case <-s.wake:
			s.write()
			pause.Reset(s.every)
		}
	}
}

// write saves the newest snapshot, if there is a new one. A failure is logged
// when it is the first of a row; the next snapshot tries again.
func (s *saver) write() {
	s.mu.Lock()
	snap := s.next
	s.next = nil
	failing := s.err != nil
	s.mu.Unlock()
	if snap == nil {
		return
	}
	err := replaceFile(s.path, snap.encode())
	if err != nil && !failing {
		s.log.Error("rules: snapshot not written; a restart without NATS would decide by the one before", "error", err)
	}
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
}

// temporary returns the file a snapshot is written to before it takes the place
// of the old one. One name is enough: a folder has one store.
func temporary(path string) string { return path + ".tmp" }

// prepareFolder makes the snapshot's folder and tries whether it can be written.
func prepareFolder(path string) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make the folder of the rules snapshot: %w", err)
	}
	file, err := os.OpenFile(temporary(path), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("the folder of the rules snapshot cannot be written: %w", err)
	}
	if err := errors.Join(file.Close(), os.Remove(temporary(path))); err != nil {
		return fmt.Errorf("the folder of the rules snapshot cannot be used: %w", err)
	}
	return nil
}

// replaceFile puts data in the place of the file at path, whole or not at all,
// also over a power cut.
func replaceFile(path string, data []byte) error {
	file, err := os.OpenFile(temporary(path), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("create rules snapshot: %w", err)
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write rules snapshot: %w", err)
	}
	if err := os.Rename(temporary(path), path); err != nil {
		return fmt.Errorf("replace rules snapshot: %w", err)
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("open folder of rules snapshot: %w", err)
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return fmt.Errorf("sync folder of rules snapshot: %w", err)
	}
	return nil
}

// readSnapshot returns the snapshot on disk, or nil when there is none that can
// be used, which is logged.
func (s *Store) readSnapshot() *snapshot {
	path := s.opts.SnapshotPath
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var snap *snapshot
	if err == nil {
		snap, err = decodeSnapshot(data)
	}
	if err == nil && snap.bucket != s.opts.Bucket {
		err = fmt.Errorf("it is of bucket %q, want %q", snap.bucket, s.opts.Bucket)
	}
	if err != nil {
		s.opts.Log.Warn("rules: snapshot ignored, waiting for the bucket", "path", path, "error", err)
		return nil
	}
	return snap
}

// restore compiles a snapshot's documents. One that this version refuses, for
// another version wrote it, is logged and left out.
func (s *Store) restore(snap *snapshot) *ledger {
	l := newLedger()
	l.created, l.last = snap.created, snap.revision
	for _, d := range snap.documents {
		r, err := compile(d.key, d.data, d.revision, l)
		if err != nil {
			s.opts.Log.Error("rules: document of the snapshot refused", "key", fmt.Sprintf("%q", d.key), "revision", d.revision, "error", err)
			l.invalid[d.key] = InvalidDocument{Key: d.key, Revision: d.revision, Err: err.Error()}
			continue
		}
		l.docs[d.key] = r
	}
	return l
}

// snapshot returns the rules in force for the saver. Only the owner of the
// ledger may call it.
func (s *Store) snapshot() *snapshot {
	snap := &snapshot{
		bucket:   s.opts.Bucket,
		created:  s.ledger.created,
		contact:  s.started.Add(time.Duration(s.contact.Load())),
		revision: s.ledger.last,
	}
	for key, r := range s.ledger.docs {
		snap.documents = append(snap.documents, savedDocument{key: key, data: r.data, revision: r.revision})
	}
	return snap
}
