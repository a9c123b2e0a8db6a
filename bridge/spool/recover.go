package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// load takes over what earlier runs left: the segments, the sequence to go on
// with, their size. Leftovers that never held an answered record are removed.
func (s *Spool) load() error {
	names, err := s.disk.List(s.opts.Dir)
	if err != nil {
		return fmt.Errorf("list segments: %w", err)
	}
	s.next = s.acked.Seq + 1
	s.tail.Store(s.acked.Seq)
	for i, name := range names { // sorted, and segments are named by fixed-width sequences
		path := filepath.Join(s.opts.Dir, name)
		switch {
		case strings.HasSuffix(name, preparedSuffix), strings.HasSuffix(name, rewriteSuffix):
			if err := s.disk.Remove(path); err != nil {
				s.opts.Log.Warn("spool: cannot remove a leftover", "file", path, "error", err)
			}
		case strings.HasSuffix(name, damagedSuffix):
			s.quarantined++
		case isSegment(name):
			// Each run starts a segment and cuts the last one of the run before, so
			// only the newest can have been torn by a crash.
			newest := !slices.ContainsFunc(names[i+1:], isSegment)
			if err := s.takeOver(path, newest, names); err != nil {
				return err
			}
		}
	}
	return nil
}

func isSegment(name string) bool { return strings.HasSuffix(name, segmentSuffix) }

// takeOver adds the segment at path to the log; names are all files. Only a file
// that this process may not read is an error.
func (s *Spool) takeOver(path string, newest bool, names []string) error {
	seg, torn, err := readSegment(s.disk, path)
	if err != nil {
		if !errors.Is(err, syscall.EIO) {
			return err
		}
		seg.damage = err
	}
	if seg.damage != nil && torn && (newest || seg.empty()) {
		s.opts.Log.Info("spool: the last write before a crash is incomplete and cut off",
			"segment", path, "after", seg.last.Load(), "error", seg.damage)
		seg.damage = nil
	}
	if seg.damage != nil {
		s.salvage(seg, names)
		s.opts.Log.Error("spool segment is damaged; its readable records are forwarded and the file is kept",
			"segment", path, "error", seg.damage)
	}
	if seg.size.Load() <= headerSize { // nothing readable in it
		if err := s.discard(seg); err != nil {
			s.opts.Log.Warn("spool: a file without a readable record is in the way", "error", err)
			s.neverName(path)
		}
		return nil
	}
	if seg.damage == nil {
		s.resume(seg)
	}
	s.neverName(path)
	s.segments = append(s.segments, seg)
	s.bytes += seg.size.Load()
	s.next = max(s.next, seg.last.Load()+1)
	s.tail.Store(max(s.tail.Load(), seg.last.Load()))
	return nil
}

// salvage looks behind the damage of seg as the tools do. A header is rebuilt
// where the segment itself proves it, and its records are read with that; the file
// stays as it is. Sequences of whole records behind damage are given to no other,
// so that a repair can put them back.
func (s *Spool) salvage(seg *segment, names []string) {
	b, err := readSegmentFile(s.disk, seg.path, maxRest)
	if err != nil {
		s.opts.Log.Warn("spool: a damaged segment cannot be looked into", "segment", seg.path, "error", err)
		return
	}
	var paths []string
	for _, name := range names {
		if isSegment(name) {
			paths = append(paths, filepath.Join(s.opts.Dir, name))
		}
	}
	c := parseContent(seg.path, headerIDs(s.disk, paths), b)
	if !c.known {
		return
	}
	s.next = max(s.next, c.last()+1)
	if !c.headerRead() {
		seg.header = c.header
		size, last := c.readableEnd()
		seg.size.Store(size)
		seg.last.Store(last)
	}
}

// neverName keeps the name of a file that stays out of reach of new segments.
func (s *Spool) neverName(path string) {
	first, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(path), segmentSuffix), 10, 64)
	if err == nil {
		s.next = max(s.next, first+1)
	}
}

// resume leaves seg to the syncer as if it had just been sealed: a killed run has
// neither given back its reserved room nor synced its last records, and what a
// crash has torn is to be off the disk before the log goes on behind it.
func (s *Spool) resume(seg *segment) {
	f, err := s.disk.Open(seg.path, os.O_RDWR)
	if err != nil {
		s.opts.Log.Warn("spool: a segment of an earlier run cannot be synced or cut to its size", "error", err)
		return
	}
	seg.file = f
	s.sealed = append(s.sealed, seg)
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
	aside := fmt.Sprintf("%s.%d%s", seg.path, time.Now().UnixNano(), damagedSuffix)
	if err := s.disk.Rename(seg.path, aside); err != nil {
		return fmt.Errorf("set a damaged segment aside: %w", err)
	}
	s.mu.Lock()
	s.quarantined++
	s.mu.Unlock()
	return nil
}
