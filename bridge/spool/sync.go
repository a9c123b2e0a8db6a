package spool

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// SyncMode says when appended records are forced to the disk.
type SyncMode uint8

// The modes; the package documentation says what each survives.
const (
	SyncInterval SyncMode = iota // in the background, every Options.SyncInterval
	SyncAlways                   // before Append returns, one fsync for all that wait
	SyncOff                      // when the kernel likes, and at Close
)

// ParseSyncMode returns the mode named text: interval, always or off.
func ParseSyncMode(text string) (SyncMode, error) {
	switch text {
	case "interval":
		return SyncInterval, nil
	case "always":
		return SyncAlways, nil
	case "off":
		return SyncOff, nil
	}
	return 0, fmt.Errorf("unknown sync mode %q: want interval, always or off", text)
}

// syncer knows what is on the disk.
type syncer struct {
	mode SyncMode

	mu     sync.Mutex // held over an fsync, so that those who wait share it
	synced uint64     // every record up to here is on the disk

	errMu sync.Mutex
	err   error // of the last sync
}

// commit returns when seq is on the disk. Whoever comes first syncs for all that
// were written by then.
func (y *syncer) commit(s *Spool, seq uint64) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.synced >= seq {
		return nil
	}
	return y.syncLocked(s)
}

// sync forces everything appended so far to the disk.
func (y *syncer) sync(s *Spool) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	if s.tail.Load() == y.synced {
		return nil
	}
	return y.syncLocked(s)
}

// syncLocked syncs and closes the sealed files, then syncs the active one. y.mu is held,
// s.mu is not while the disk works.
func (y *syncer) syncLocked(s *Spool) error {
	s.mu.Lock()
	sealed, active, tail := s.unsynced, s.file, s.tail.Load()
	s.unsynced = nil
	s.mu.Unlock()
	var err error
	for _, f := range sealed {
		err = errors.Join(err, f.Sync(), f.Close())
	}
	err = errors.Join(err, active.Sync())
	if err != nil {
		err = fmt.Errorf("sync spool: %w", err)
	} else {
		y.synced = tail
	}
	y.errMu.Lock()
	y.err = err
	y.errMu.Unlock()
	return err
}

func (y *syncer) lastError() error {
	y.errMu.Lock()
	defer y.errMu.Unlock()
	return y.err
}

// janitorInterval is how often acked segments are looked at.
const janitorInterval = time.Second

// keepHouse syncs and removes segments until Close.
func (s *Spool) keepHouse() {
	clean := time.NewTicker(janitorInterval)
	defer clean.Stop()
	var due <-chan time.Time // never, unless the mode asks
	if s.syncer.mode == SyncInterval {
		t := time.NewTicker(s.opts.SyncInterval)
		defer t.Stop()
		due = t.C
	}
	for {
		select {
		case <-s.quit:
			return
		case <-due:
			s.reportSync(s.syncer.sync(s))
		case now := <-clean.C:
			if err := s.removeAcked(now); err != nil {
				s.opts.Log.Error("spool: cannot remove an acked segment", "error", err)
			}
		}
	}
}

// reportSync logs the first failure of a row of them; Stats shows all.
func (s *Spool) reportSync(err error) {
	if err != nil && !s.syncFailing {
		s.opts.Log.Error("spool: fsync failed; what was answered since the last one would not survive a power cut", "error", err)
	}
	s.syncFailing = err != nil
}

// removeAcked discards sealed segments that were acked Options.Retain ago, or
// sooner when the room for one more segment is gone.
func (s *Spool) removeAcked(now time.Time) error {
	acked := s.Acked().Seq
	s.mu.Lock()
	sealed := s.segments[:len(s.segments)-1]
	n := 0 // segments to go
	for i, seg := range sealed {
		if seg.last.Load() > acked {
			seg.ackedAt = time.Time{} // it may have been acked, and taken back
			continue
		}
		if seg.ackedAt.IsZero() {
			seg.ackedAt = now
		}
		if now.Sub(seg.ackedAt) >= s.opts.Retain || s.bytes+s.opts.SegmentBytes > s.opts.MaxBytes {
			s.bytes -= seg.size.Load()
			n = i + 1
		}
	}
	gone := sealed[:n]
	s.segments = s.segments[n:]
	s.mu.Unlock()
	var err error
	for _, seg := range gone {
		err = errors.Join(err, seg.discard())
	}
	return err
}
