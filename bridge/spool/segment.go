package spool

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

const (
	segmentSuffix  = ".seg"
	damagedSuffix  = ".damaged"
	rewriteSuffix  = ".rewrite"
	preparedSuffix = ".prepared"
	preparedName   = "next" + preparedSuffix

	// sectorSize is the least a disk writes at once, in bytes. Larger sectors are
	// multiples of it.
	sectorSize = 512
)

// segment is one file of the log. Spool.mu guards what is not atomic and not
// said otherwise; size and last move only forward, size before last, so that a
// reader who sees a sequence finds its bytes.
type segment struct {
	path    string
	header  header
	size    atomic.Int64  // bytes up to the end of the last whole record
	last    atomic.Uint64 // sequence of the last whole record, header.first-1 when empty
	safe    atomic.Uint64 // every record up to here is on the disk; moved under syncer.mu
	file    diskFile      // for appends; closed by the syncer, under its mu
	spoilt  bool          // takes no more records: a failed write may have left bytes behind size
	damage  error         // why the bytes after size are not readable, if there are any
	ackedAt time.Time     // when the janitor first saw all of it acked
}

func segmentPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", first, segmentSuffix))
}

// newSegment returns an empty segment that has no file yet.
func newSegment(dir string, first, leftOut uint64, id string) *segment {
	seg := &segment{
		path:   segmentPath(dir, first),
		header: header{first: first, id: id, created: time.Now(), leftOut: leftOut},
	}
	seg.size.Store(headerSize)
	seg.last.Store(first - 1)
	seg.safe.Store(first - 1)
	return seg
}

func (seg *segment) empty() bool { return seg.last.Load() < seg.header.first }

// readSegment reads a segment of an earlier run up to its last whole record. What
// follows it is described by damage; torn says that a crash has left it there and
// nothing else is behind it. Without a readable header its size is 0, and its first
// sequence the name's. An error is a file that cannot be read at all.
func readSegment(d disk, path string) (seg *segment, torn bool, err error) {
	seg = &segment{path: path, header: header{first: nameSequence(path)}}
	f, err := d.Open(path, os.O_RDONLY)
	if err != nil {
		return seg, false, fmt.Errorf("open segment: %w", err)
	}
	defer f.Close()
	length, err := f.Size()
	if err != nil {
		return seg, false, fmt.Errorf("open segment %s: %w", path, err)
	}
	r := bufio.NewReaderSize(io.NewSectionReader(f, 0, math.MaxInt64), 1<<20)
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(r, head); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return seg, false, fmt.Errorf("read segment: %w", err)
	}
	if h, err := decodeHeader(head); err == nil {
		seg.header = h
	} else {
		seg.damage = err
		blank := len(bytes.TrimRight(head, "\x00")) == 0 && errors.Is(restIsZero(r, 0), errEnd)
		return seg, length < headerSize || blank, nil
	}
	size, last, err := scan(r, seg.header)
	seg.size.Store(size)
	seg.last.Store(last)
	if errors.Is(err, errEnd) {
		return seg, false, nil
	}
	if exhausted(err) {
		return seg, false, fmt.Errorf("read segment: %w", err)
	}
	seg.damage = err
	return seg, errors.Is(err, ErrCorrupt) && tornOff(f, length, seg), nil
}

// scan reads records until one is not whole, and returns where the whole ones
// end. Its error is errEnd for a clean end.
func scan(r *bufio.Reader, h header) (size int64, last uint64, err error) {
	size, last = headerSize, h.first-1
	var frame []byte
	for {
		prefix, err := r.Peek(4)
		if err != nil && !errors.Is(err, io.EOF) {
			return size, last, err
		}
		if len(prefix) > 0 && len(prefix) < 4 {
			return size, last, fmt.Errorf("%w: torn record after sequence %d", ErrCorrupt, last)
		}
		need, err := frameNeeds(prefix)
		if errors.Is(err, errEnd) {
			return size, last, restIsZero(r, last)
		}
		if err != nil {
			return size, last, fmt.Errorf("after sequence %d: %w", last, err)
		}
		if cap(frame) < need {
			frame = make([]byte, need)
		}
		if _, err := io.ReadFull(r, frame[:need]); errors.Is(err, io.ErrUnexpectedEOF) {
			return size, last, fmt.Errorf("%w: torn record after sequence %d", ErrCorrupt, last)
		} else if err != nil {
			return size, last, err
		}
		seq, _, err := decodeFrame(frame[:need], h.salt)
		if err != nil {
			return size, last, fmt.Errorf("after sequence %d: %w", last, err)
		}
		if seq != last+1 {
			return size, last, fmt.Errorf("%w: sequence %d follows %d", ErrCorrupt, seq, last)
		}
		size, last = size+int64(need), seq
	}
}

// restIsZero tells a clean end, where only zeros follow, from one that hides
// something. The rest is mostly room that was reserved and not used, 64 MiB of it:
// it is compared in blocks, because a bridge that starts waits for this, and no
// further than any segment goes.
func restIsZero(r *bufio.Reader, last uint64) error {
	var zeros [64 << 10]byte
	for read := 0; ; read += len(zeros) {
		if read > maxRest {
			return fmt.Errorf("%w: larger than any segment, sequence %d", ErrCorrupt, last)
		}
		block, err := r.Peek(len(zeros))
		if !bytes.Equal(block, zeros[:len(block)]) {
			return fmt.Errorf("%w: data after the end, sequence %d", ErrCorrupt, last)
		}
		switch {
		case errors.Is(err, io.EOF):
			return errEnd
		case err != nil:
			return err
		}
		if _, err := r.Discard(len(block)); err != nil {
			return err
		}
	}
}

// maxRest bounds what tornOff reads into memory. A write torn by a crash
// is far below it; more than that is damage and is kept.
const maxRest = defaultSegmentBytes + MaxPayload

// tornOff reports that what follows the last whole record of seg is one that a
// crash has torn, and that no whole record of seg lies anywhere behind it: cutting
// the rest off loses nothing that reads back.
func tornOff(f io.ReaderAt, length int64, seg *segment) bool {
	size, last := seg.size.Load(), seg.last.Load()
	if length-size > maxRest {
		return false
	}
	rest := make([]byte, length-size)
	if n, err := f.ReadAt(rest, size); n < len(rest) && err != nil {
		return false
	}
	if !torn(rest, size) {
		return false
	}
	written := len(bytes.TrimRight(rest, "\x00"))
	for at := 0; at < written; at += alignment {
		b := rest[at:]
		need, err := frameNeeds(b)
		if err != nil || need > len(b) {
			continue
		}
		// Only a sequence that fits is worth a checksum over what may be megabytes.
		if seq := binary.LittleEndian.Uint64(b[8:]); seq <= last || seq-last > uint64(len(rest)/alignment) {
			continue
		}
		if _, _, err := decodeFrame(b, seg.header.salt); err == nil {
			return false
		}
	}
	return true
}

// torn tells a record that a crash has torn from one that was whole once: a part
// of it never reached the disk, so it ends early or a sector of it is zero.
// rest begins at offset at of the file.
func torn(rest []byte, at int64) bool {
	need, err := frameNeeds(rest)
	switch {
	case len(rest) < 4:
		return true
	case errors.Is(err, errEnd):
		need = 1 // if it was torn, its first sector is missing
	case err != nil:
		return false
	}
	if need > len(rest) {
		return true
	}
	for start := 0; start < need; {
		end := start + sectorSize - int((at+int64(start))%sectorSize)
		if len(bytes.TrimLeft(rest[start:min(end, len(rest))], "\x00")) == 0 {
			return true
		}
		start = end
	}
	return false
}
