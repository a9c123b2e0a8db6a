package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Problem is a place in a spool that is not as it was written.
type Problem struct {
	File   string `json:"file"`   // its name in the folder
	Offset int64  `json:"offset"` // of the first bad byte
	Bytes  int64  `json:"bytes"`  // up to the next whole record, or to the end
	Reason string `json:"reason"`

	// The sequences that should stand there; both are 0 when none is known to be missing.
	MissingFrom uint64 `json:"missing_from,omitempty"`
	MissingTo   uint64 `json:"missing_to,omitempty"`

	// Torn says that it is the end of a record that was being written when the
	// bridge stopped, or is being written now. No answer went out for it, and
	// nothing is missing.
	Torn bool `json:"torn,omitempty"`
}

// content is all that can be read in a segment's file, also behind damage.
type content struct {
	path      string
	header    header
	known     bool // header is the segment's: read, or rebuilt and proven
	size      int64
	end       int64 // behind the last whole record
	records   []place
	problems  []Problem // the last one may be the tail's, behind every whole record
	blank     bool      // only zeros: a file that is being made
	unread    bool      // the file cannot be read
	torn      bool      // a crash may have torn what stands behind the last whole record
	misplaced string    // why its name or its sequences are not its own
	claimed   uint64    // the highest sequence of what seem to be records, whole or not
}

// place is a whole record and where it lies. Its payload is a view.
type place struct {
	seq     uint64
	payload []byte
	offset  int64
	lost    bool // damage lies before it: the bridge does not read this far
}

// last returns the sequence of the last whole record, the one before the first when there is none.
func (c *content) last() uint64 {
	if len(c.records) == 0 {
		return max(c.first(), 1) - 1
	}
	return c.records[len(c.records)-1].seq
}

// first returns the segment's first sequence: the header's, or the name's; 0 when
// neither can be believed.
func (c *content) first() uint64 {
	if c.known {
		return c.header.first
	}
	if first := nameSequence(c.path); first <= maxSequence {
		return first
	}
	return 0
}

// damagedTail returns the problem behind which no whole record stands, or nil.
func (c *content) damagedTail() *Problem {
	if n := len(c.problems); n > 0 && c.problems[n-1].Offset >= c.end {
		return &c.problems[n-1]
	}
	return nil
}

// maxSegmentFile is a size that no segment has. Of a larger file only as much is
// read as a segment has by default.
const maxSegmentFile = 1 << 30

// maxReads is how often a file that seems damaged, and grows, is read again.
const maxReads = 20

// readContent reads a segment's file. ids are the ids of other segments, from
// which a damaged header may be rebuilt. A file that cannot be read is a problem too;
// an error is one that is gone.
func readContent(path string, ids []string) (*content, error) {
	b, size, err := readSegmentFile(osDisk{}, path)
	if _, gone := os.Lstat(path); errors.Is(gone, fs.ErrNotExist) {
		return nil, gone
	}
	if err != nil {
		return unreadable(path, err), nil
	}
	c := parseContent(path, ids, b)
	// While a bridge appends, a read may have zeros where a record was being
	// written, and the record after it. What is still there when the file stands
	// still, or many reads later, is damage.
	for try := 0; len(c.problems) > 0 && try < maxReads; try++ {
		again, _, err := readSegmentFile(osDisk{}, path)
		if err != nil || bytes.Equal(again, b) {
			break
		}
		b, c = again, parseContent(path, ids, again)
	}
	if c.size = size; size > int64(len(b)) && size > maxRest {
		c.problems = append(c.problems, Problem{
			File: filepath.Base(path), Offset: int64(len(b)), Bytes: size - int64(len(b)), Reason: "larger than any segment; not read further",
		})
	}
	return c, nil
}

func unreadable(path string, cause error) *content {
	return &content{path: path, unread: true, problems: []Problem{{File: filepath.Base(path), Reason: cause.Error()}}}
}

// parseContent is readContent for the bytes b of the file.
func parseContent(path string, ids []string, b []byte) *content {
	c := &content{path: path, size: int64(len(b)), end: min(headerSize, int64(len(b)))}
	if len(bytes.TrimRight(b, "\x00")) == 0 {
		c.blank = true
		return c
	}
	var err error
	if c.header, err = decodeHeader(b); err == nil {
		c.known = true
	} else {
		c.problems = append(c.problems, Problem{File: filepath.Base(path), Bytes: c.end, Reason: reason(err)})
		c.header, c.known = rebuildHeader(b, nameSequence(path), ids)
		c.end = 0
	}
	if c.known {
		c.sift(b)
		return c
	}
	c.torn = len(b) < headerSize
	c.claimed = claimed(b, headerSize, c.last())
	return c
}

// readSegmentFile returns the size of a file and its bytes: at most one
// segment's, when there are more.
func readSegmentFile(d disk, path string) (b []byte, size int64, err error) {
	f, err := d.Open(path, os.O_RDONLY)
	if err != nil {
		return nil, 0, fmt.Errorf("read segment: %w", err)
	}
	defer f.Close()
	if size, err = f.Size(); err == nil {
		limit := size
		if size > maxSegmentFile {
			limit = maxRest
		}
		b = make([]byte, limit)
		var n int
		if n, err = f.ReadAt(b, 0); errors.Is(err, io.EOF) {
			b, err = b[:n], nil
		}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read segment %s: %w", path, err)
	}
	return b, size, nil
}

// claimed returns the highest sequence in a row of what seem to be records from
// offset off on, the one after last first. Checksums are not asked.
func claimed(b []byte, off int, last uint64) uint64 {
	for off+frameSize <= len(b) {
		need, err := frameNeeds(b[off:])
		if err != nil || binary.LittleEndian.Uint64(b[off+8:]) != last+1 {
			break
		}
		off, last = off+need, last+1
	}
	return last
}

// sift finds the segment's whole records and what lies between them.
func (c *content) sift(b []byte) {
	data := len(bytes.TrimRight(b, "\x00")) // zeros behind it are room for more records
	off, last, lost := headerSize, c.header.first-1, false
	for off < data {
		seq, payload, err := recordAt(b[off:], c.header.salt)
		if err == nil && seq != last+1 {
			err = fmt.Errorf("%w: sequence %d follows %d", ErrCorrupt, seq, last)
		}
		if err != nil {
			problem := Problem{File: filepath.Base(c.path), Offset: int64(off), Reason: reason(err)}
			next, found := resync(b, off, last, c.header.salt)
			if !found {
				problem.Bytes = int64(data - off)
				c.problems = append(c.problems, problem)
				c.torn = torn(b[off:], int64(off))
				c.claimed = max(last+1, claimed(b, off, last))
				return
			}
			problem.Bytes = int64(next - off)
			off, lost = next, true
			seq, payload, _ = recordAt(b[off:], c.header.salt)
			if seq > last+1 {
				problem.MissingFrom, problem.MissingTo = last+1, seq-1
			}
			c.problems = append(c.problems, problem)
		}
		c.records = append(c.records, place{seq: seq, payload: payload, offset: int64(off), lost: lost})
		off += frameLen(len(payload))
		last, c.end = seq, int64(off)
	}
	c.claimed = last
}

// headerRead says whether the header is as it was written.
func (c *content) headerRead() bool { return len(c.problems) == 0 || c.problems[0].Offset > 0 }

// readableEnd returns where the records that the bridge reads end, and the last of them.
func (c *content) readableEnd() (size int64, last uint64) {
	size, last = headerSize, c.first()-1
	for _, r := range c.records {
		if r.lost {
			break
		}
		size, last = r.offset+int64(frameLen(len(r.payload))), r.seq
	}
	return size, last
}

// recordAt returns the whole record at the start of b.
func recordAt(b []byte, salt uint32) (seq uint64, payload []byte, err error) {
	need, err := frameNeeds(b)
	switch {
	case errors.Is(err, errEnd):
		return 0, nil, fmt.Errorf("%w: no record where one should be", ErrCorrupt)
	case err != nil:
		return 0, nil, err
	case need > len(b):
		return 0, nil, fmt.Errorf("%w: record cut short", ErrCorrupt)
	}
	return decodeFrame(b[:need], salt)
}

// resync finds the next whole record at or behind offset from. A checksum of 32
// bits alone would sooner or later pass by accident, so the sequence has to be
// one that can stand there too: behind the last one, by no more than the
// smallest records that fit into the bytes skipped.
func resync(b []byte, from int, last uint64, salt uint32) (int, bool) {
	for at := from; at+frameSize <= len(b); at += alignment {
		seq := binary.LittleEndian.Uint64(b[at+8:])
		if ahead := seq - last; seq <= last || ahead > 1+uint64(at-from)/uint64(frameLen(1)) {
			continue
		}
		if _, _, err := recordAt(b[at:], salt); err == nil {
			return at, true
		}
	}
	return 0, false
}

// rebuildHeader returns the header of a segment whose own is damaged. Records are
// checked with the header's checksum and do not name their spool id, so one is
// believed only when it has that very checksum, or the first record proves it.
func rebuildHeader(b []byte, first uint64, ids []string) (header, bool) {
	if len(b) < headerSize || first == 0 || first > maxSequence {
		return header{}, false
	}
	stored := binary.LittleEndian.Uint32(b[12:])
	created := time.UnixMilli(int64(binary.LittleEndian.Uint64(b[40:])))
	for _, id := range append([]string{string(bytes.TrimRight(b[24:40], "\x00"))}, ids...) {
		for _, leftOut := range []uint64{0, binary.LittleEndian.Uint64(b[48:])} {
			h := header{first: first, id: id, created: created, leftOut: leftOut}
			h.encode() // sets the checksum
			seq, _, err := recordAt(b[headerSize:], h.salt)
			if leftOut < first && (h.salt == stored || err == nil && seq == first) {
				return h, true
			}
		}
	}
	return header{}, false
}

// nameSequence returns the sequence in the name of a segment's file, also of one
// that was set aside; 0 when there is none.
func nameSequence(path string) uint64 {
	digits, _, _ := strings.Cut(filepath.Base(path), ".")
	seq, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0
	}
	return seq
}

// reason is err without the word that every problem has in common.
func reason(err error) string {
	return strings.TrimPrefix(err.Error(), ErrCorrupt.Error()+": ")
}
