package spool

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
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

// syncer brings records to the disk, and settles sealed segments: cut to their
// records, synced, closed. It never holds Spool.mu while the disk works.
type syncer struct {
	mode SyncMode

	mu        sync.Mutex // held over an fsync, so that those who wait share it
	abandoned []*segment // a sync of them failed; added by syncs, taken out by the janitor

	statMu sync.Mutex // never held while the disk works, so that a report does not wait for it
	err    error      // of the last sync, and as long as a segment is abandoned
	behind error      // why segments of earlier runs are not settled
	stats  SyncStats
}

// commit returns when the record seq of seg is on the disk. Whoever comes first
// syncs for all that were written by then. While a segment is abandoned it
// returns the error at once: requests do not wait for a disk to recover.
func (y *syncer) commit(s *Spool, seg *segment, seq uint64) error {
	if seg.safe.Load() >= seq {
		return nil
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	if seg.safe.Load() >= seq {
		return nil
	}
	err := y.syncLocked(s)
	if err == nil && seg.safe.Load() < seq {
		err = fmt.Errorf("sync spool: record %d is not on the disk", seq)
	}
	return err
}

// sync forces everything appended so far to the disk and settles what is sealed.
func (y *syncer) sync(s *Spool) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.syncLocked(s)
}

// syncLocked is sync; y.mu is held. It stops at the first failure, and does
// nothing while a segment is abandoned, so that a broken disk is not given one new
// segment after the other to break.
func (y *syncer) syncLocked(s *Spool) error {
	if len(y.abandoned) > 0 {
		_, err := y.report()
		return err
	}
	s.mu.Lock()
	sealed, active, renamed := s.sealed, s.active, s.renamed
	s.sealed, s.renamed = nil, false
	var last uint64
	if active != nil {
		last = active.last.Load()
	}
	s.mu.Unlock()
	if renamed {
		if err := s.disk.SyncDir(s.opts.Dir); err != nil {
			s.mu.Lock()
			s.sealed, s.renamed = append(sealed, s.sealed...), true
			s.mu.Unlock()
			return y.result(fmt.Errorf("sync spool folder: %w", err))
		}
	}
	for i, seg := range sealed {
		if err := y.settle(s, seg, true); err != nil {
			s.mu.Lock()
			s.sealed = append(sealed[i+1:], s.sealed...)
			s.mu.Unlock()
			return y.abandon(s, seg, err)
		}
	}
	if active != nil && active.safe.Load() < last {
		if err := y.fsync(active.file); err != nil {
			return y.abandon(s, active, err)
		}
		active.safe.Store(last)
	}
	return y.result(nil)
}

// settle ends the work on a sealed segment. y.mu is held.
func (y *syncer) settle(s *Spool, seg *segment, durable bool) error {
	if seg.empty() {
		s.mu.Lock()
		there := s.forgetLocked(seg)
		s.mu.Unlock()
		err := seg.file.Close()
		if there {
			err = errors.Join(err, s.discard(seg))
		}
		if err != nil {
			s.opts.Log.Warn("spool: an empty segment stays", "error", err)
		}
		return nil
	}
	if err := seg.file.Truncate(seg.size.Load()); err != nil {
		return err
	}
	if durable {
		if err := y.fsync(seg.file); err != nil {
			return err
		}
		seg.safe.Store(seg.last.Load())
	}
	if err := seg.file.Close(); err != nil {
		s.opts.Log.Warn("spool: close a segment", "error", err)
	}
	return nil
}

// settleSealed is the work of SyncOff: sealed segments are cut and closed.
func (y *syncer) settleSealed(s *Spool) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	s.mu.Lock()
	sealed := s.sealed
	s.sealed = nil
	s.mu.Unlock()
	var err error
	for _, seg := range sealed {
		if failed := y.settle(s, seg, false); failed != nil {
			err = errors.Join(err, y.abandon(s, seg, failed))
		}
	}
	return err
}

// abandon gives up the file of seg: after a failed fsync nobody knows what of it
// is on the disk, and a second one would not tell. Its records are written again
// by the janitor. y.mu is held.
func (y *syncer) abandon(s *Spool, seg *segment, cause error) error {
	s.mu.Lock()
	s.sealed = slices.DeleteFunc(s.sealed, func(sealed *segment) bool { return sealed == seg }) // it rotated out meanwhile
	if s.active == seg {
		s.active = nil
		if !s.closed {
			// When it fails, the next append tries again and tells why.
			_ = s.rotateLocked()
		}
	}
	s.mu.Unlock()
	err := fmt.Errorf("sync segment %s: %w", seg.path, errors.Join(cause, seg.file.Close()))
	y.abandoned = append(y.abandoned, seg)
	s.wakeJanitor()
	return y.result(err)
}

// finish is the last sync, with one attempt to write again what a sync of failed.
func (y *syncer) finish(s *Spool) error {
	var err error
	for range 2 {
		if err = errors.Join(y.sync(s), s.settleInherited()); err == nil {
			return nil
		}
		if failed := s.rewriteAbandoned(); failed != nil {
			return failed
		}
	}
	return err
}

func (y *syncer) fsync(f diskFile) error {
	start := time.Now()
	err := f.Sync()
	took := time.Since(start)
	y.statMu.Lock()
	defer y.statMu.Unlock()
	y.stats.add(took, err)
	return err
}

// result keeps err as that of the last sync and returns it.
func (y *syncer) result(err error) error {
	y.statMu.Lock()
	defer y.statMu.Unlock()
	y.err = err
	return err
}

// inheritedResult keeps err as why segments of earlier runs are not settled.
func (y *syncer) inheritedResult(err error) {
	y.statMu.Lock()
	defer y.statMu.Unlock()
	y.behind = err
}

// report returns what was counted, and why not everything is on the disk.
func (y *syncer) report() (SyncStats, error) {
	y.statMu.Lock()
	defer y.statMu.Unlock()
	return y.stats, cmp.Or(y.err, y.behind)
}
