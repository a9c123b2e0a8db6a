package spool

import (
	"errors"
	"slices"
	"time"
)

// janitorInterval is how often acked segments are looked at, an abandoned one is
// written again, a disk that refused a record is tried, and the append time of the
// newest record is noted.
const janitorInterval = time.Second

// keepHouse syncs, prepares, mends and removes segments until Close. Everything
// it does to the disk happens without Spool.mu.
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
			_ = s.syncer.sync(s)
			s.reportSync()
		case <-s.kick:
			s.tend()
		case now := <-clean.C:
			s.mu.Lock()
			s.ages.note(s.tail.Load(), now)
			s.mu.Unlock()
			s.reportDiscard(s.removeAcked(now))
			s.countAside()
			s.probe()
			s.tend()
		}
	}
}

// tend does what an append left for later.
func (s *Spool) tend() {
	s.reportDiscard(s.discardReleased())
	if err := s.prepare(); err != nil {
		s.opts.Log.Warn("spool: the next segment is not prepared and will be made when it is needed", "error", err)
	}
	_ = s.settle()
	s.reportSync()
}

// settle brings everything to the disk that is to be there and is not.
func (s *Spool) settle() error {
	err := s.rewriteAbandoned()
	if err == nil && s.syncer.mode == SyncOff {
		err = s.syncer.settleSealed(s)
	} else if err == nil {
		err = s.syncer.sync(s)
	}
	return errors.Join(err, s.settleInherited())
}

func (s *Spool) reportDiscard(err error) {
	if err != nil {
		s.opts.Log.Error("spool: cannot remove an acked segment", "error", err)
	}
}

// reportSync logs the first failed sync of a row of them; Stats shows all.
func (s *Spool) reportSync() {
	_, err := s.syncer.report()
	if err != nil && !s.syncFailing {
		s.opts.Log.Error("spool: fsync failed; what was answered since the last one would not survive a power cut until it is written again", "error", err)
	}
	if err == nil && s.syncFailing {
		s.opts.Log.Info("spool: everything is on the disk again")
	}
	s.syncFailing = err != nil
}

// removeAcked discards segments that were acked Options.Retain ago, or sooner
// when the room for one more segment is gone.
func (s *Spool) removeAcked(now time.Time) error {
	acked := s.Acked().Seq
	s.mu.Lock()
	n := 0 // segments to go, from the oldest on
	going := true
	for _, seg := range s.segments {
		if seg == s.active {
			break
		}
		if seg.last.Load() > acked {
			seg.ackedAt = time.Time{} // it may have been acked, and taken back
			going = false
			continue
		}
		if seg.ackedAt.IsZero() {
			seg.ackedAt = now
		}
		going = going && (now.Sub(seg.ackedAt) >= s.opts.Retain || s.bytes+s.opts.SegmentBytes > s.opts.MaxBytes)
		if going {
			s.bytes -= seg.size.Load()
			n++
		}
	}
	s.released = append(s.released, s.segments[:n]...)
	s.segments = s.segments[n:]
	s.unread = slices.DeleteFunc(s.unread, func(seg *segment) bool {
		passed := acked > seg.last.Load() && nameSequence(seg.path) > 0
		if passed { // it will never be read in its place
			s.released = append(s.released, seg)
		}
		return passed
	})
	s.ages.forget(acked)
	s.mu.Unlock()
	return s.discardReleased()
}

// countAside looks whether files that were set aside are still there.
func (s *Spool) countAside() {
	s.mu.Lock()
	before := s.quarantined
	s.mu.Unlock()
	if before == 0 {
		return
	}
	names, err := s.disk.List(s.opts.Dir)
	if err != nil {
		return // the figure stays as it is
	}
	n := 0
	for _, name := range names {
		if isAside(name) {
			n++
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quarantined = n
}

// releaseLocked takes acked segments out of the log, the oldest first, until it
// has at most limit bytes: what waits for JetStream goes before what is kept for a
// while. The janitor deletes the files. mu is held.
func (s *Spool) releaseLocked(limit int64) {
	acked := s.ackedSeq.Load()
	for len(s.segments) > 0 && s.bytes > limit {
		seg := s.segments[0]
		if seg == s.active || seg.last.Load() > acked {
			break
		}
		s.bytes -= seg.size.Load()
		s.segments = s.segments[1:]
		s.released = append(s.released, seg)
	}
	s.wakeJanitor()
}

// discardReleased deletes the files of the segments that left the log.
func (s *Spool) discardReleased() error {
	s.mu.Lock()
	gone := s.released
	s.released = nil
	s.mu.Unlock()
	var err error
	for _, seg := range gone {
		err = errors.Join(err, s.discard(seg))
	}
	return err
}

// forgetLocked takes seg out of the list, and reports whether it was there. mu
// is held.
func (s *Spool) forgetLocked(seg *segment) bool {
	i := slices.Index(s.segments, seg)
	if i < 0 {
		return false
	}
	s.bytes -= seg.size.Load()
	s.segments = slices.Delete(slices.Clone(s.segments), i, i+1)
	return true
}
