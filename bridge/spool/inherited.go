package spool

import (
	"fmt"
	"os"
	"slices"
)

// inherited is a segment of an earlier run that this one has not settled yet: a killed
// run has neither synced its last records nor given back its reserved room, and what a
// crash has torn is to be off the disk.
type inherited struct {
	*segment
	failed bool // nobody knows what of it is on the disk: it is to be written again
}

// settleInherited settles the segments of earlier runs, and returns the first
// failure. What failed is tried again the next time, and holds up no sync of this run's
// own records. Only the janitor calls it, and Close after it.
func (s *Spool) settleInherited() error {
	var failed error
	s.inherited = slices.DeleteFunc(s.inherited, func(seg *inherited) bool {
		err := s.settleOne(seg)
		if failed == nil {
			failed = err
		}
		return err == nil
	})
	s.syncer.inheritedResult(failed)
	return failed
}

// settleOne cuts seg to its records and syncs it. A damaged one stays as it is.
func (s *Spool) settleOne(seg *inherited) error {
	s.mu.Lock()
	kept, damaged := slices.Contains(s.segments, seg.segment), seg.damage != nil
	s.mu.Unlock()
	off := s.syncer.mode == SyncOff
	switch {
	case !kept, damaged && off:
		return nil
	case seg.failed:
		return s.writeAgain(seg.segment)
	}
	f, err := s.disk.Open(seg.path, os.O_RDWR)
	if err != nil {
		return fmt.Errorf("sync a segment of an earlier run: %w", err)
	}
	if !damaged {
		err = f.Truncate(seg.size.Load())
	}
	if err == nil && !off {
		err = s.syncer.fsync(f)
	}
	seg.failed = err != nil
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("sync segment %s of an earlier run: %w", seg.path, err)
	}
	return nil
}
