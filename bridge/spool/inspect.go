package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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

// Watch is told of each segment that was looked at: how many were, of how many. It may be nil.
type Watch func(done, of int)

func (w Watch) tell(done, of int) {
	if w != nil {
		w(done, of)
	}
}

// Inspect reads every byte of the spool in dir.
func Inspect(dir string, watch Watch) (*Inspection, error) {
	in := &Inspection{Dir: dir, Segments: []SegmentInfo{}, SetAside: []string{}, Problems: []Problem{}}
	cur, problem := readCursorFile(dir) // before the list: a running bridge may ack what comes later
	paths, aside, err := listFolder(dir)
	if err != nil {
		return nil, err
	}
	for _, path := range aside {
		in.SetAside = append(in.SetAside, filepath.Base(path))
	}
	for _, name := range in.SetAside {
		if isAside(name) {
			in.Problems = append(in.Problems, Problem{File: name, Reason: "set aside because of damage; export --lost and redrive send what of its events can be proven; remove it when none is missed"})
		}
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
		watch.tell(len(in.Segments), len(paths))
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
	if end := log.end(); len(log.seen) > 0 && cur.Seq > end {
		in.Problems = append(in.Problems, Problem{File: cursorName, Reason: fmt.Sprintf(
			"it says that JetStream has acked up to sequence %d, but the log ends with %d: the bridge sends none of it", cur.Seq, end)})
	}
	// Read again: what a running bridge removed meanwhile, it has passed by now.
	passed, _ := readCursorFile(dir)
	log.judge(passed.Seq, problem == nil)
	in.Problems = append(in.Problems, log.problems()...)
	return in, nil
}

// ReadCursor returns the cursor of the spool in dir; the zero Cursor when
// nothing was ever acked, or no copy of it can be read.
func ReadCursor(dir string) Cursor {
	cur, _ := readCursorFile(dir)
	return cur
}

// readCursorFile reads the cursor and says when there should be one and is none.
func readCursorFile(dir string) (Cursor, *Problem) {
	var slots [2 * slotSize]byte
	var cur Cursor
	f, err := osDisk{}.Open(filepath.Join(dir, cursorName), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return Cursor{}, nil
	}
	if err == nil {
		if _, err = f.ReadAt(slots[:], 0); errors.Is(err, io.EOF) {
			err = nil
		}
		err = errors.Join(err, f.Close())
	}
	if err == nil {
		cur, _, err = newestSlot(slots[:])
	}
	if err != nil {
		return Cursor{}, &Problem{File: cursorName, Reason: reason(err) + "; the bridge would send everything that is kept again"}
	}
	return cur, nil
}

// listFolder returns the segments in dir, and those that were set aside.
func listFolder(dir string) (segments, aside []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("spool folder: %w", err)
	}
	spool := false
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		spool = spool || e.Name() == cursorName
		switch filepath.Ext(e.Name()) {
		case segmentSuffix:
			segments = append(segments, path)
		case damagedSuffix:
			aside = append(aside, path)
		}
	}
	if !spool && len(segments)+len(aside) == 0 {
		return nil, nil, fmt.Errorf("there is no spool in %s; name the bridge's data folder, or the spool in it", dir)
	}
	return segments, aside, nil
}

// eachContent reads one segment after the other, in the order of the log; visit
// must not keep their payloads. One that is gone meanwhile was removed by the running
// bridge and is no longer part of the log.
func eachContent(paths []string, visit func(*content) error) error {
	ids, paths := headerIDs(osDisk{}, paths), sortedByHeader(paths)
	var read taken
	for _, path := range paths {
		c, err := readContent(path, ids)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			read.mark(c)
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

// sortedByHeader sorts segments by their headers' first sequences, as the bridge does; a
// name counts where there is no header.
func sortedByHeader(paths []string) []string {
	first := map[string]uint64{}
	for _, path := range paths {
		h, err := readHeader(osDisk{}, path)
		if err != nil {
			h.first = nameSequence(path)
		}
		first[path] = h.first
	}
	paths = slices.Clone(paths)
	slices.SortStableFunc(paths, func(a, b string) int { return cmp.Compare(first[a], first[b]) })
	return paths
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
