package spool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// errUnreadable says that the records of an abandoned segment did not read back.
var errUnreadable = errors.New("abandoned segment does not read back")

// rewriteAbandoned writes the records of segments whose sync failed into new
// files. It returns at the first failure; the rest is tried with it the next
// time. Only the janitor calls it, and Close after it.
func (s *Spool) rewriteAbandoned() error {
	y := &s.syncer
	for {
		y.mu.Lock()
		if len(y.abandoned) == 0 {
			y.mu.Unlock()
			return nil
		}
		seg := y.abandoned[0]
		y.mu.Unlock()

		err := s.rewrite(seg)
		if errors.Is(err, errUnreadable) {
			s.mu.Lock()
			seg.damage = err
			s.mu.Unlock()
			s.opts.Log.Error("spool: a segment whose fsync failed cannot be written again; what is readable is forwarded and the file is kept",
				"segment", seg.path, "error", err)
			err = nil
		}
		if err != nil {
			return y.result(err)
		}
		y.mu.Lock()
		y.abandoned = y.abandoned[1:]
		if len(y.abandoned) == 0 {
			_ = y.result(nil)
		}
		y.mu.Unlock()
	}
}

// rewrite copies the records of seg into a new file, makes that durable, and
// puts it in the place of the old one. The two are equal byte by byte, so a reader
// that has the old one open goes on in it, and a crash leaves one or the other.
func (s *Spool) rewrite(seg *segment) error {
	s.mu.Lock()
	kept := slices.Contains(s.segments, seg)
	s.mu.Unlock()
	if !kept { // acked and removed meanwhile
		return nil
	}
	path := seg.path + rewriteSuffix
	from, err := s.disk.Open(seg.path, os.O_RDONLY)
	if err != nil {
		return fmt.Errorf("write segment again: %w", err)
	}
	defer from.Close()
	to, err := s.disk.Open(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR)
	if err != nil {
		return fmt.Errorf("write segment again: %w", err)
	}
	err = copyRecords(to, from, seg)
	if err == nil {
		err = to.Sync()
	}
	if err = errors.Join(err, to.Close()); err == nil {
		err = s.disk.Rename(path, seg.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write segment %s again: %w", seg.path, err), s.disk.Remove(path))
	}
	if err := s.disk.SyncDir(s.opts.Dir); err != nil {
		return fmt.Errorf("write segment %s again: %w", seg.path, err)
	}
	seg.safe.Store(seg.last.Load())
	return nil
}

// copyRecords copies the bytes of seg and checks every record on the way.
func copyRecords(to io.WriterAt, from io.ReaderAt, seg *segment) error {
	size := seg.size.Load()
	w := &errWriter{w: io.NewOffsetWriter(to, 0)}
	r := bufio.NewReaderSize(io.TeeReader(io.NewSectionReader(from, 0, size), w), 1<<20)
	head := make([]byte, headerSize)
	_, err := io.ReadFull(r, head)
	whole := int64(0)
	if err == nil {
		var h header
		if h, err = decodeHeader(head); err == nil && h.salt != seg.header.salt {
			err = fmt.Errorf("%w: another segment's header", ErrCorrupt)
		}
	}
	if err == nil {
		if whole, _, err = scan(r, seg.header); errors.Is(err, errEnd) {
			err = nil
		}
	}
	if w.err != nil {
		return w.err
	}
	if err == nil && whole != size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("%w: %d of %d bytes: %w", errUnreadable, whole, size, err)
	}
	return nil
}

// errWriter remembers its error, to tell it from those of the reader before it.
type errWriter struct {
	w   io.Writer
	err error
}

func (w *errWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	if err != nil {
		w.err = err
	}
	return n, err
}
