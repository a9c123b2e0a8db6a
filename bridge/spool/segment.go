package spool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

const (
	segmentSuffix = ".seg"
	damagedSuffix = ".damaged"
)

// segment is one file of the log. Spool.mu guards what is not atomic; size and
// last move only forward, size before last, so that a reader who sees a sequence
// finds its bytes.
type segment struct {
	path    string
	header  header
	size    atomic.Int64  // bytes up to the end of the last whole record
	last    atomic.Uint64 // sequence of the last whole record, header.first-1 when empty
	damage  error         // why the bytes after size are not readable, if there are any
	ackedAt time.Time     // when the janitor first saw all of it acked
}

func segmentPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", first, segmentSuffix))
}

// createSegment makes the file of a new segment; durable makes its name survive
// a power cut.
func createSegment(dir string, first uint64, id string, durable bool) (*segment, *os.File, error) {
	seg := &segment{
		path:   segmentPath(dir, first),
		header: header{first: first, id: id, created: time.Now()},
	}
	f, err := os.OpenFile(seg.path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("create segment: %w", err)
	}
	if _, err = f.Write(seg.header.encode()); err == nil && durable {
		err = errors.Join(f.Sync(), syncDir(dir))
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("create segment %s: %w", seg.path, err), f.Close(), os.Remove(seg.path))
	}
	seg.size.Store(headerSize)
	seg.last.Store(first - 1)
	return seg, f, nil
}

// openSegment reads a segment of an earlier run up to its last whole record.
// What follows is described by damage; only an unreadable file is an error.
func openSegment(path string) (*segment, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	defer f.Close()
	seg := &segment{path: path}
	r := bufio.NewReaderSize(f, 1<<20)
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(r, head); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read segment %s: %w", path, err)
	}
	if seg.header, err = decodeHeader(head); err != nil {
		seg.damage = err
		return seg, nil
	}
	size, last, err := scan(r, seg.header)
	seg.size.Store(size)
	seg.last.Store(last)
	if err != nil && !errors.Is(err, errEnd) {
		if !errors.Is(err, ErrCorrupt) {
			return nil, fmt.Errorf("read segment %s: %w", path, err)
		}
		seg.damage = err
	}
	return seg, nil
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
// something.
func restIsZero(r *bufio.Reader, last uint64) error {
	for {
		b, err := r.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return errEnd
		case err != nil:
			return err
		case b != 0:
			return fmt.Errorf("%w: data after the end, sequence %d", ErrCorrupt, last)
		}
	}
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
