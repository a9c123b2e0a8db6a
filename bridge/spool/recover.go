package spool

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// load takes over what earlier runs left: the segments, the sequence to go on
// with, their size. Leftovers that never held an answered record are removed.
func (s *Spool) load() error {
	names, err := s.disk.List(s.opts.Dir)
	if err != nil {
		return fmt.Errorf("list segments: %w; the bridge's user has to be able to read the folder", err)
	}
	var paths []string
	for _, name := range names {
		path := filepath.Join(s.opts.Dir, name)
		switch {
		case strings.HasSuffix(name, preparedSuffix), strings.HasSuffix(name, rewriteSuffix):
			if err := s.disk.Remove(path); err != nil {
				s.opts.Log.Warn("spool: cannot remove a leftover", "file", path, "error", err)
			}
		case isAside(name):
			s.quarantined++
		case strings.HasSuffix(name, segmentSuffix):
			paths = append(paths, path)
		}
	}
	s.given = s.acked.Seq
	s.next = s.given + 1
	found, err := s.readEarlier(paths)
	if err != nil {
		return err
	}
	for i, e := range found {
		// Each run starts a segment and cuts the last one of the run before, so
		// only the newest can have been torn by a crash.
		if err := s.takeOver(e, i == len(found)-1, paths); err != nil {
			return err
		}
	}
	s.next = max(s.next, s.given+1)
	s.leaveRoom()
	s.tail.Store(s.acked.Seq) // unless there is a log that can tell
	for i, seg := range s.segments {
		if i == 0 || seg.last.Load() > s.tail.Load() {
			s.tail.Store(seg.last.Load())
		}
	}
	s.countMissing()
	return nil
}

// isAside says that name is that of a segment that was set aside and not repaired.
func isAside(name string) bool {
	return strings.HasSuffix(name, damagedSuffix) && !strings.HasSuffix(name, repairedSuffix)
}

// earlier is a segment of an earlier run; torn as readSegment tells.
type earlier struct {
	*segment
	torn bool
}

// readEarlier reads segments, and puts them into the order of their sequences.
// A file that cannot be read stays where it is: another start may read it. Its error is
// that of a process or machine that is short of something, and no fault of a file.
func (s *Spool) readEarlier(paths []string) ([]earlier, error) {
	var found []earlier
	for _, path := range paths {
		seg, torn, err := readSegment(s.disk, path)
		switch {
		case err == nil:
			found = append(found, earlier{seg, torn})
		case exhausted(err):
			return nil, err
		default:
			s.leaveUnread(seg, err)
		}
	}
	slices.SortStableFunc(found, func(a, b earlier) int { return cmp.Compare(a.header.first, b.header.first) })
	return found, nil
}

// leaveUnread keeps seg out of the log. Its name gives its first record, if it is a file at all.
func (s *Spool) leaveUnread(seg *segment, cause error) {
	seg.damage = cause
	s.opts.Log.Error("spool: a segment cannot be read; it is left for the next start, and set aside when what is behind it is acked",
		"segment", seg.path, "error", cause)
	s.unread = append(s.unread, seg)
	s.neverName(seg.path)
	if mayBeRead(seg) {
		s.given = max(s.given, nameSequence(seg.path))
	}
}

// mayBeRead says that another start may find records in a file that could not be read.
func mayBeRead(seg *segment) bool {
	return nameSequence(seg.path) <= maxSequence-maxRecords && !errors.Is(seg.damage, errNotRegular)
}

// maxRecords is more than any segment has.
const maxRecords = maxSegmentFile / (frameSize + alignment)

// leaveRoom sees to it that this run's records take no sequences of those that another start may
// find in a file that cannot be read now: how many they are is known only where another
// segment follows. It notes where they end.
func (s *Spool) leaveRoom() {
	for _, seg := range s.unread {
		if s.following(seg) == nil && mayBeRead(seg) {
			s.next = max(s.next, nameSequence(seg.path)+maxRecords)
		}
	}
	for _, seg := range s.unread {
		seg.last.Store(s.next - 1)
		if next := s.following(seg); next != nil {
			seg.last.Store(next.header.first - 1)
		}
	}
}

// following returns the segment of the log that follows one that is not in it, by its name.
func (s *Spool) following(seg *segment) *segment {
	for _, next := range s.segments {
		if next.header.first > nameSequence(seg.path) {
			return next
		}
	}
	return nil
}

// takeOver adds a segment to the log, behind those that begin before it. Its error is as
// that of readEarlier.
func (s *Spool) takeOver(e earlier, newest bool, paths []string) error {
	seg := e.segment
	if seg.damage != nil && e.torn && (newest || seg.size.Load() == headerSize) {
		s.opts.Log.Info("spool: the last write before a crash is incomplete and cut off",
			"segment", seg.path, "after", seg.last.Load(), "error", seg.damage)
		seg.damage = nil
	}
	if seg.damage != nil {
		err := s.salvage(seg, paths)
		if exhausted(err) {
			return err
		}
		if err != nil && seg.size.Load() <= headerSize {
			s.leaveUnread(seg, err)
			return nil
		}
		if err != nil {
			s.opts.Log.Warn("spool: a damaged segment cannot be looked into", "segment", seg.path, "error", err)
			if newest { // as leaveRoom does
				s.next = max(s.next, seg.last.Load()+maxRecords)
			}
		}
	}
	if seg.damage == nil {
		seg.damage = s.overlap(seg)
	}
	if seg.damage != nil {
		s.opts.Log.Error("spool segment is damaged; its readable records are forwarded and the file is kept",
			"segment", seg.path, "error", seg.damage)
	}
	s.neverName(seg.path)
	if seg.size.Load() >= headerSize {
		s.given = max(s.given, seg.header.before(), seg.last.Load())
	}
	if seg.size.Load() <= headerSize { // nothing readable in it
		if err := s.discard(seg); err != nil {
			s.opts.Log.Warn("spool: a file without a readable record is in the way", "error", err)
		}
		return nil
	}
	if name := nameSequence(seg.path); name != seg.header.first {
		s.opts.Log.Warn("spool: a segment has another name than its header says, which is believed",
			"segment", seg.path, "first", seg.header.first)
	}
	s.inherited = append(s.inherited, &inherited{segment: seg})
	s.segments = append(s.segments, seg)
	s.bytes += seg.size.Load()
	return nil
}

// overlap says when sequences of seg are those of another run in a segment
// before it: they are not read, and the file is not deleted for it.
func (s *Spool) overlap(seg *segment) error {
	if seg.empty() {
		return nil
	}
	for _, other := range s.segments {
		if seg.header.id != other.header.id && seg.header.first <= other.last.Load() {
			return fmt.Errorf("%w: sequences from %d on are in %s too, from another run", ErrCorrupt, seg.header.first, filepath.Base(other.path))
		}
	}
	return nil
}

// salvage looks behind the damage of seg as the tools do. A header is rebuilt
// where the segment itself proves it, and its records are read with that; the file
// stays as it is. Sequences of records behind damage are given to no other, so that a
// repair can put them back. Its error is a file that is not to be read again.
func (s *Spool) salvage(seg *segment, paths []string) error {
	b, _, err := readSegmentFile(s.disk, seg.path)
	if err != nil {
		return err
	}
	c := parseContent(seg.path, headerIDs(s.disk, paths), b)
	s.given = max(s.given, c.claimed)
	if c.known && !c.headerRead() {
		seg.header = c.header
		size, last := c.readableEnd()
		seg.size.Store(size)
		seg.last.Store(last)
	}
	return nil
}

// neverName keeps the name of a file out of reach of new segments.
func (s *Spool) neverName(path string) {
	if name := nameSequence(path); name <= maxSequence {
		s.next = max(s.next, name+1)
	}
}

// countMissing counts the sequences behind the cursor that records had once, and
// that no segment gives back. Without a cursor it is not known what was before the first.
func (s *Spool) countMissing() {
	pos, known := s.acked.Seq, s.cursor.known
	for _, seg := range s.segments {
		if known {
			s.missing(pos, seg.header.before())
		}
		pos, known = max(pos, seg.last.Load()), true
	}
	if known {
		s.missing(pos, s.given)
	}
}

func (s *Spool) missing(after, until uint64) {
	if until <= after {
		return
	}
	s.lost += until - after
	s.opts.Log.Error("spool: records behind the cursor are missing and count as lost; bridgectl spool verify and export --lost tell more",
		"events", until-after, "after", after, "until", until)
}

// discard takes the segment out of the folder: deleted, or set aside under
// another name when it holds bytes that nobody has read.
func (s *Spool) discard(seg *segment) error {
	if seg.damage == nil {
		if err := s.disk.Remove(seg.path); err != nil {
			return fmt.Errorf("remove segment: %w", err)
		}
		return nil
	}
	if err := s.disk.Rename(seg.path, asidePath(seg)); err != nil {
		return fmt.Errorf("set a damaged segment aside: %w", err)
	}
	s.mu.Lock()
	s.quarantined++
	s.mu.Unlock()
	return nil
}

// asidePath is a name for seg that no other file has.
func asidePath(seg *segment) string {
	return fmt.Sprintf("%s.%d%s", seg.path, time.Now().UnixNano(), damagedSuffix)
}
