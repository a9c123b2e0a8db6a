package spool

import (
	"fmt"
	"os"
	"time"
)

const (
	readBuffer = 256 << 10

	// maxReadFailures is how often in a row a file may fail to be read, and
	// readPatience how long at least, before its records are skipped. The forwarder
	// backs off in between.
	maxReadFailures = 5
	readPatience    = 30 * time.Second
)

// Reader follows the log and moves its cursor. It belongs to one goroutine, and
// there is one at a time: wake-up and cursor are the spool's.
type Reader struct {
	s   *Spool
	pos uint64 // the last sequence returned or skipped

	seg  *segment // being read, nil before the first and between two
	file diskFile
	off  int64  // of the first byte not yet in buf
	buf  []byte // bytes read
	rest []byte // of them, not yet returned

	stuck stuck
}

// stuck is the place in the log where reads fail, if there is one.
type stuck struct {
	after    uint64 // the record before it
	failures int
	since    time.Time // the first of them
}

// Reader returns a reader that starts behind the last acked record.
func (s *Spool) Reader() *Reader {
	return &Reader{s: s, pos: s.Acked().Seq, buf: make([]byte, 0, readBuffer)}
}

// Next returns the next record: its sequence, the id of the spool run that
// appended it and its payload, valid until the following call. The payload is nil when
// there is no next record yet. A record that does not read back as written is
// reported, and the reader goes on with the next segment: nothing blocks the
// queue. An error is a file that cannot be read now; Next may be called again. A file
// that fails for long is skipped like one that does not read back, unless it is the
// process or the machine that is short of something.
func (r *Reader) Next() (seq uint64, spoolID string, payload []byte, err error) {
	for {
		if r.seg == nil {
			seg := r.find()
			if seg == nil {
				return 0, "", nil, nil
			}
			if err := r.enter(seg); err != nil {
				if r.again(seg, err) {
					return 0, "", nil, err
				}
				continue
			}
		}
		seq, payload, err := r.take()
		switch {
		case err != nil:
			r.skip(r.seg, err)
		case payload == nil:
			more, err := r.fill()
			if err != nil {
				if r.again(r.seg, err) {
					return 0, "", nil, err
				}
				continue
			}
			if !more && !r.leave() {
				return 0, "", nil, nil
			}
		case seq > r.pos:
			r.pos = seq
			if r.stuck.failures > 0 && seq > r.stuck.after { // a Rewind may lead to it again
				r.stuck = stuck{}
			}
			return seq, r.seg.header.id, payload, nil
		}
	}
}

// Rewind makes Next return the first record after sequence after.
func (r *Reader) Rewind(after uint64) error {
	r.pos = after
	return r.Close()
}

// Acked returns the last acked sequence, Tail the last appended one.
func (r *Reader) Acked() uint64 { return r.s.Acked().Seq }

// Cursor returns the last acked record: its sequence, the id of the run that
// appended it, and the sequence the stream gave it, 0 when it is not there.
func (r *Reader) Cursor() (seq uint64, spoolID string, streamSeq uint64) {
	c := r.s.Acked()
	return c.Seq, c.SpoolID, c.StreamSeq
}

// TakeBack moves the cursor back behind sequence after, as far as records are kept:
// the stream has lost what was acked behind it. The next Rewind reads it again.
func (r *Reader) TakeBack(after uint64, spoolID string, streamSeq uint64) error {
	return r.s.takeBack(Cursor{Seq: after, SpoolID: spoolID, StreamSeq: streamSeq})
}

// Oldest returns the sequence of the oldest record that is kept, acked or not.
func (r *Reader) Oldest() uint64 {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if len(r.s.segments) == 0 {
		return r.s.next
	}
	return r.s.segments[0].header.first
}

// Count returns how many records are kept behind sequence after, up to until.
func (r *Reader) Count(after, until uint64) uint64 {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.countLocked(after, until)
}

// Tail returns the last appended sequence.
func (r *Reader) Tail() uint64 { return r.s.Tail() }

// Ack moves the cursor: every record up to seq, which has the id spoolID, is in
// the stream, and seq has the stream's sequence streamSeq (0 when it went elsewhere).
func (r *Reader) Ack(seq uint64, spoolID string, streamSeq uint64) error {
	return r.s.ack(Cursor{Seq: seq, SpoolID: spoolID, StreamSeq: streamSeq})
}

// Ready returns a channel that is signalled once when there is something to
// read; at once when there already is.
func (r *Reader) Ready() <-chan struct{} {
	if r.s.armed.CompareAndSwap(false, true) && r.s.Tail() > r.pos && r.s.armed.CompareAndSwap(true, false) {
		select {
		case r.s.wake <- struct{}{}:
		default:
		}
	}
	return r.s.wake
}

// Close releases the file being read. The reader may be used again.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.seg, r.file, r.rest = nil, nil, nil
	return err
}

// find returns the segment that holds the record after pos, if there is one.
func (r *Reader) find() *segment {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for _, seg := range r.s.segments {
		if seg.last.Load() > r.pos {
			return seg
		}
	}
	return nil
}

func (r *Reader) enter(seg *segment) error {
	f, err := r.s.disk.Open(seg.path, os.O_RDONLY)
	if err != nil {
		return fmt.Errorf("read spool: %w", err)
	}
	r.seg, r.file, r.off, r.rest = seg, f, headerSize, nil
	return nil
}

// again says whether a failed read of seg is worth another; when not, its records
// are skipped.
func (r *Reader) again(seg *segment, err error) bool {
	if exhausted(err) {
		return true
	}
	if r.stuck.failures == 0 || r.stuck.after != r.pos {
		r.stuck = stuck{after: r.pos, since: time.Now()}
	}
	r.stuck.failures++
	if r.stuck.failures < maxReadFailures || time.Since(r.stuck.since) < readPatience {
		return true
	}
	r.stuck = stuck{}
	r.skip(seg, err)
	return false
}

// take returns the record at the start of rest, or a nil payload when it is not all there.
func (r *Reader) take() (seq uint64, payload []byte, err error) {
	if len(r.rest) < frameSize {
		return 0, nil, nil
	}
	need, err := frameNeeds(r.rest)
	if err != nil {
		return 0, nil, err
	}
	if len(r.rest) < need {
		return 0, nil, nil
	}
	frame := r.rest[:need]
	r.rest = r.rest[need:]
	return decodeFrame(frame, r.seg.header.salt)
}

// fill reads on in the segment and reports whether there was anything.
func (r *Reader) fill() (bool, error) {
	left := r.seg.size.Load() - r.off
	if left <= 0 {
		return false, nil
	}
	n := copy(r.buf[:cap(r.buf)], r.rest)
	if need, err := frameNeeds(r.rest); err == nil && need > cap(r.buf) {
		r.buf = append(make([]byte, 0, need), r.rest...)
	}
	r.buf = r.buf[:min(int64(cap(r.buf)), int64(n)+left)]
	got, err := r.file.ReadAt(r.buf[n:], r.off)
	r.buf = r.buf[:n+got]
	r.off += int64(got)
	r.rest = r.buf
	if got == 0 { // what came before an error is returned first
		return false, fmt.Errorf("read spool: %w", err)
	}
	return true, nil
}

// leave closes a segment that is read to its end, when a later one is there to
// go on with.
func (r *Reader) leave() bool {
	r.s.mu.Lock()
	done := r.seg != r.s.active && r.off >= r.seg.size.Load()
	r.s.mu.Unlock()
	if !done {
		return false
	}
	if err := r.Close(); err != nil {
		r.s.opts.Log.Warn("spool: close a segment that was read", "error", err)
	}
	return true
}

// skip gives up the rest of seg as it is now.
func (r *Reader) skip(seg *segment, cause error) {
	r.s.mu.Lock()
	seg.damage = cause
	seg.spoilt = true // records go on in another file, should this be the active one
	last := seg.last.Load()
	r.off, r.rest = seg.size.Load(), nil
	if from := max(r.pos, r.s.lostUntil, seg.header.first-1); last > from { // else it was counted before a Rewind
		r.s.lost += last - from
		r.s.lostUntil = last
	}
	r.s.mu.Unlock()
	r.s.opts.Log.Error("spool: records cannot be read back and are skipped; the segment is kept",
		"segment", seg.path, "after", r.pos, "until", last, "error", cause)
	r.pos = last
}
