package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Inspection is what a spool's folder holds. It comes from reading alone: no
// lock is taken and nothing is written, so it may be made while a bridge runs.
type Inspection struct {
	Dir      string        `json:"dir"`
	Cursor   CursorInfo    `json:"cursor"`
	Segments []SegmentInfo `json:"segments"`
	SetAside []string      `json:"set_aside"` // damaged segments that are no longer part of the log

	Waiting      uint64    `json:"waiting"`       // events the bridge will still send
	WaitingBytes int64     `json:"waiting_bytes"` // of their records
	Problems     []Problem `json:"problems"`
}

// CursorInfo is how far JetStream has acked the log. StreamSeq is 0 when that
// record went elsewhere, and SpoolID is empty when nothing was ever acked.
type CursorInfo struct {
	Seq       uint64 `json:"seq"`
	StreamSeq uint64 `json:"stream_seq"`
	SpoolID   string `json:"spool_id"`
}

// SegmentInfo is one file of the log.
type SegmentInfo struct {
	File      string    `json:"file"`
	SpoolID   string    `json:"spool_id"` // empty when the header cannot be read
	First     uint64    `json:"first"`
	Last      uint64    `json:"last"`    // First-1 when there is no whole record
	Records   int       `json:"records"` // whole ones, also behind damage
	Lost      int       `json:"lost"`    // of them behind damage, where the bridge does not read
	Bytes     int64     `json:"bytes"`   // up to the end of the last whole record
	FileBytes int64     `json:"file_bytes"`
	Created   time.Time `json:"created"` // zero when the header cannot be read
	Problems  int       `json:"problems"`
}

// Damaged returns the problems that are more than a torn end.
func (in *Inspection) Damaged() []Problem {
	return slices.DeleteFunc(slices.Clone(in.Problems), func(p Problem) bool { return p.Torn })
}

// Inspect reads every byte of the spool in dir.
func Inspect(dir string) (*Inspection, error) {
	in := &Inspection{Dir: dir, Segments: []SegmentInfo{}, SetAside: []string{}, Problems: []Problem{}}
	paths, aside, err := listFolder(dir)
	if err != nil {
		return nil, err
	}
	for _, path := range aside {
		in.SetAside = append(in.SetAside, filepath.Base(path))
	}
	cur, problem, err := readCursorFile(dir)
	if err != nil {
		return nil, err
	}
	in.Cursor.Seq, in.Cursor.StreamSeq, in.Cursor.SpoolID = cur.Seq, cur.StreamSeq, cur.SpoolID
	if problem != nil {
		in.Problems = append(in.Problems, *problem)
	}
	var log order
	pos := cur.Seq
	err = eachContent(paths, func(c *content) error {
		log.add(c)
		in.Segments = append(in.Segments, describe(c))
		for _, r := range c.records {
			if r.seq > pos && !r.lost {
				pos = r.seq
				in.Waiting++
				in.WaitingBytes += int64(frameLen(len(r.payload)))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// Read again: what a running bridge removed meanwhile, it has passed by now.
	passed, _, err := readCursorFile(dir)
	if err != nil {
		return nil, err
	}
	log.judge(passed.Seq, problem == nil)
	in.Problems = append(in.Problems, log.problems()...)
	return in, nil
}

// ReadCursor returns the cursor of the spool in dir; the zero Cursor when
// nothing was ever acked, or no copy of it can be read.
func ReadCursor(dir string) (Cursor, error) {
	cur, _, err := readCursorFile(dir)
	return cur, err
}

// readCursorFile reads the cursor and says when there should be one and is none.
func readCursorFile(dir string) (Cursor, *Problem, error) {
	path := filepath.Join(dir, cursorName)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Cursor{}, nil, nil
	}
	if err != nil {
		return Cursor{}, nil, fmt.Errorf("read cursor: %w", err)
	}
	defer f.Close()
	var slots [2 * slotSize]byte
	n, err := io.ReadFull(f, slots[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return Cursor{}, nil, fmt.Errorf("read cursor: %w", err)
	}
	var cur Cursor
	var newest uint64
	for _, slot := range [][]byte{slots[:slotSize], slots[slotSize:]} {
		if c, count, ok := decodeSlot(slot); ok && count > newest {
			cur, newest = c, count
		}
	}
	if newest == 0 && strings.Trim(string(slots[:]), "\x00") != "" {
		return Cursor{}, &Problem{File: cursorName, Bytes: int64(n), Reason: "no copy of the cursor can be read; the bridge would send everything that is kept again"}, nil
	}
	return cur, nil, nil
}

// listFolder returns the segments in dir in order, and those that were set aside.
func listFolder(dir string) (segments, aside []string, err error) {
	entries, err := os.ReadDir(dir) // sorted, and names are fixed-width sequences
	if err != nil {
		return nil, nil, fmt.Errorf("spool folder: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch filepath.Ext(e.Name()) {
		case segmentSuffix:
			segments = append(segments, path)
		case damagedSuffix:
			aside = append(aside, path)
		}
	}
	return segments, aside, nil
}

// eachContent reads one segment after the other; visit must not keep their
// payloads. One that is gone meanwhile was removed by the running bridge and is
// no longer part of the log.
func eachContent(paths []string, visit func(*content) error) error {
	ids := headerIDs(osDisk{}, paths)
	for _, path := range paths {
		c, err := readContent(path, ids)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = visit(c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// headerIDs returns the spool ids in the headers that can be read. A file that
// cannot is reported by who reads all of it.
func headerIDs(d disk, paths []string) []string {
	var ids []string
	for _, path := range paths {
		if h, err := readHeader(d, path); err == nil && !slices.Contains(ids, h.id) {
			ids = append(ids, h.id)
		}
	}
	return ids
}

func readHeader(d disk, path string) (header, error) {
	f, err := d.Open(path, os.O_RDONLY)
	if err != nil {
		return header{}, err
	}
	defer f.Close()
	head := make([]byte, headerSize)
	if _, err := f.ReadAt(head, 0); err != nil {
		return header{}, err
	}
	return decodeHeader(head)
}

func describe(c *content) SegmentInfo {
	info := SegmentInfo{
		File: filepath.Base(c.path), First: c.first(), Last: c.last(), Records: len(c.records),
		Bytes: c.end, FileBytes: c.size, Problems: len(c.problems),
	}
	if c.known {
		info.SpoolID, info.Created = c.header.id, c.header.created.UTC()
	}
	for _, r := range c.records {
		if r.lost {
			info.Lost++
		}
	}
	return info
}
