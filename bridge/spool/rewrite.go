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

		if err := s.writeAgain(seg); err != nil {
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

// writeAgain is rewrite, but for a segment that does not read back: that one is damaged
// and stays as it is.
func (s *Spool) writeAgain(seg *segment) error {
	err := s.rewrite(seg)
	if !errors.Is(err, errUnreadable) {
		return err
	}
	s.mu.Lock()
	seg.damage = err
	s.mu.Unlock()
	s.opts.Log.Error("spool: a segment whose fsync failed cannot be written again; what is readable is forwarded and the file is kept",
		"segment", seg.path, "error", err)
	return nil
}

// rewrite copies the records of seg into a new file, makes that durable, and
// puts it in the place of the old one. The two are equal byte by byte, so a reader
// that has the old one open goes on in it, and a crash leaves one or the other. A damaged
// one is equal up to its damage, and kept under another name.
func (s *Spool) rewrite(seg *segment) error {
	s.mu.Lock()
	kept, damaged := slices.Contains(s.segments, seg), seg.damage != nil
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
	if err = errors.Join(err, to.Close()); err == nil && damaged {
		err = s.replaceDamaged(seg, path)
	} else if err == nil {
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

// replaceDamaged puts the copy at path in the place of seg, and keeps the original for
// what stands behind its damage.
func (s *Spool) replaceDamaged(seg *segment, path string) error {
	aside := asidePath(seg)
	if err := s.disk.Link(seg.path, aside); err != nil {
		return err
	}
	if err := s.disk.Rename(path, seg.path); err != nil {
		return errors.Join(err, s.disk.Remove(aside))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seg.damage = nil
	s.quarantined++
	return nil
}

// copyRecords writes what seg is known to hold, and checks every record on the way.
func copyRecords(to io.WriterAt, from io.ReaderAt, seg *segment) error {
	size, h := seg.size.Load(), seg.header
	head := h.encode() // the one in the file may be damaged
	if h.salt != seg.header.salt {
		return fmt.Errorf("%w: its header cannot be written as it was", errUnreadable)
	}
	if _, err := to.WriteAt(head, 0); err != nil {
		return err
	}
	w := &errWriter{w: io.NewOffsetWriter(to, headerSize)}
	r := bufio.NewReaderSize(io.TeeReader(io.NewSectionReader(from, headerSize, size-headerSize), w), 1<<20)
	whole, _, err := scan(r, h)
	if w.err != nil {
		return w.err
	}
	if exhausted(err) {
		return err
	}
	if errors.Is(err, errEnd) {
		err = nil
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
