package rulestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// saver writes snapshots on a goroutine of its own, so that a slow disk never
// holds up the rules. However often the rules changed while it wrote or rested,
// it takes them as they are then.
type saver struct {
	path    string
	every   time.Duration // least rest between two writes
	current func() *snapshot
	log     *slog.Logger
	wake    chan struct{} // room for one: something changed
	quit    chan struct{}
	done    chan struct{}
	pace    pace

	mu  sync.Mutex
	err error // of the last write
}

func startSaver(path string, every time.Duration, current func() *snapshot, log *slog.Logger) *saver {
	s := &saver{
		path: path, every: every, current: current, log: log,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	s.pace.quit = s.quit
	go s.run()
	return s
}

// changed has a snapshot written soon. It does not wait.
func (s *saver) changed() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// close writes what has changed since the last snapshot, and returns the error
// of the last write.
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
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-rest.C:
		case <-s.quit:
			s.finish()
			return
		}
		select {
		case <-s.wake:
		case <-s.quit:
			s.finish()
			return
		}
		s.write()
		rest.Reset(max(s.every, s.pace.due()))
	}
}

func (s *saver) finish() {
	select {
	case <-s.wake:
		s.write()
	default:
	}
}

// write saves the rules as they are. A failure is logged when it is the first of
// a row; the next snapshot tries again.
func (s *saver) write() {
	s.pace.begin()
	err := replaceFile(s.path, s.current(), &s.pace)
	if err != nil && s.trouble() == "" {
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

// replaceFile puts the snapshot in the place of the file at path, whole or not
// at all, also over a power cut. It rests after each part as pace says.
func replaceFile(path string, snap *snapshot, pace *pace) error {
	file, err := os.OpenFile(temporary(path), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("create rules snapshot: %w", err)
	}
	if err = errors.Join(writeFile(file, snap, pace), file.Close()); err != nil {
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

func writeFile(file *os.File, snap *snapshot, pace *pace) error {
	sum, err := snap.encode(pacedWriter{file, pace})
	if err != nil {
		return err
	}
	if _, err := file.WriteAt(binary.LittleEndian.AppendUint32(nil, sum), sumAt); err != nil {
		return err
	}
	return file.Sync()
}
