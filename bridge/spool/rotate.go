package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// createBackoff is how long appends fail at once after a segment could not be
// created, before the disk is asked again.
const createBackoff = 100 * time.Millisecond

// makeRoomLocked sees to an active segment that takes need bytes. mu is held.
func (s *Spool) makeRoomLocked(need int64) error {
	seg := s.active
	if seg != nil && !seg.spoilt && (seg.empty() || seg.size.Load()+need <= s.opts.SegmentBytes) {
		return nil
	}
	err := s.rotateLocked()
	if err != nil && seg != nil && !seg.spoilt {
		return nil // out of files, say: better a segment that is too long than a lost event
	}
	return err
}

// rotateLocked starts the next segment and seals the active one. It takes the
// prepared file when there is one, so that appends wait for no fsync; names are
// made durable by the next sync, before any record behind them counts as safe. mu
// is held.
func (s *Spool) rotateLocked() error {
	if s.createErr != nil && time.Now().Before(s.createAfter) {
		return s.createErr
	}
	seg := newSegment(s.opts.Dir, s.next, s.next-1-s.given, s.id)
	f := s.prepared
	s.prepared = nil
	var err error
	if f != nil {
		err = s.adopt(seg, f)
	} else {
		err = s.create(seg)
	}
	if err != nil {
		s.createErr, s.createAfter = err, time.Now().Add(createBackoff)
		return err
	}
	s.createErr = nil
	s.sealLocked()
	s.segments, s.active = append(s.segments, seg), seg
	s.bytes += headerSize
	s.renamed = true
	s.wakeJanitor()
	return nil
}

// sealLocked ends the active segment; the syncer settles its file. mu is held.
func (s *Spool) sealLocked() {
	if s.active != nil {
		s.sealed, s.active = append(s.sealed, s.active), nil
	}
}

// create makes the file of seg in place. Names of records to come belong to no
// other file, so what is there is a leftover of a create that failed.
func (s *Spool) create(seg *segment) error {
	if err := s.disk.MakeDir(s.opts.Dir); err != nil {
		return fmt.Errorf("spool folder: %w", err)
	}
	f, err := s.disk.Open(seg.path, os.O_CREATE|os.O_TRUNC|os.O_RDWR)
	if err != nil {
		return fmt.Errorf("create segment: %w", err)
	}
	if _, err := f.WriteAt(seg.header.encode(), 0); err != nil {
		return errors.Join(fmt.Errorf("create segment %s: %w", seg.path, err), f.Close(), s.disk.Remove(seg.path))
	}
	seg.file = f
	return nil
}

// adopt makes the prepared file f the one of seg.
func (s *Spool) adopt(seg *segment, f diskFile) error {
	_, err := f.WriteAt(seg.header.encode(), 0)
	if err == nil {
		err = s.disk.Rename(s.preparedPath(), seg.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("create segment %s: %w", seg.path, err), f.Close(), s.disk.Remove(s.preparedPath()))
	}
	seg.file = f
	return nil
}

func (s *Spool) preparedPath() string { return filepath.Join(s.opts.Dir, preparedName) }

// prepare makes the file of the next segment once the active one is half full,
// where the limit leaves room for both. It is the janitor's.
func (s *Spool) prepare() error {
	s.mu.Lock()
	wanted := s.active != nil && s.prepared == nil && !s.closed &&
		s.active.size.Load() >= s.opts.SegmentBytes/2 &&
		s.bytes-s.active.size.Load()+2*s.opts.SegmentBytes <= s.opts.MaxBytes
	s.mu.Unlock()
	if !wanted {
		return nil
	}
	f, err := s.disk.Open(s.preparedPath(), os.O_CREATE|os.O_TRUNC|os.O_RDWR)
	if err != nil {
		return fmt.Errorf("prepare segment: %w", err)
	}
	err = f.Allocate(s.opts.SegmentBytes)
	if err == nil && s.syncer.mode != SyncOff {
		err = errors.Join(f.Sync(), s.disk.SyncDir(s.opts.Dir))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("prepare segment: %w", err), f.Close(), s.disk.Remove(s.preparedPath()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.Join(f.Close(), s.disk.Remove(s.preparedPath()))
	}
	s.prepared = f
	return nil
}

// reserve asks for room up to size in a file of written bytes. Without it the
// file grows as it is written.
func reserve(f diskFile, size, written int64) {
	if f.Allocate(size) != nil {
		_ = f.Truncate(written) // what is left of the attempt is cut off when the segment is settled
	}
}

func (s *Spool) wakeJanitor() {
	select {
	case s.kick <- struct{}{}:
	default: // it is about to look anyway
	}
}
