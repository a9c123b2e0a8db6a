package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of Append. Neither changes the log.
var (
	ErrFull   = errors.New("spool is full")
	ErrClosed = errors.New("spool is closed")
)

const (
	defaultSegmentBytes = 64 << 20
	defaultMaxBytes     = 1 << 30
	defaultSyncInterval = 50 * time.Millisecond
	defaultRetain       = 5 * time.Minute
	idLen               = 13 // 65 random bits in base32
)

// Options of a spool. The zero value of each field but Dir is a default.
type Options struct {
	Dir          string        // made when missing; the caller holds a lock on it
	Sync         SyncMode      // default SyncInterval
	SyncInterval time.Duration // default 50 ms; only with SyncInterval
	MaxBytes     int64         // of all segments together, default 1 GiB; then Append returns ErrFull
	SegmentBytes int64         // default 64 MiB, at most a quarter of MaxBytes
	Retain       time.Duration // how long acked segments are kept, default 5 min; less when room is needed
	Log          *slog.Logger
}

// Spool is the log. Append may be called from many goroutines; the Reader
// belongs to the forwarder.
type Spool struct {
	opts Options
	id   string

	mu       sync.Mutex
	closed   bool
	segments []*segment // oldest first; the last one is active
	file     *os.File   // of the active segment
	unsynced []*os.File // sealed files that wait for their sync and close
	frame    []byte     // the record being written
	next     uint64     // sequence of the next record
	bytes    int64      // on disk, all segments
	lost     uint64     // records that did not read back

	tail  atomic.Uint64 // last appended sequence
	armed atomic.Bool   // the reader waits on wake
	wake  chan struct{}

	syncer  syncer
	cursor  *cursorFile // under ackMu
	ackMu   sync.Mutex
	acked   Cursor
	quit    chan struct{}
	janitor sync.WaitGroup

	syncFailing bool // the last sync failed; the janitor's own
}

// Open reads the log in o.Dir and starts a new segment. Damage never makes it
// fail, a folder or file it may not use does.
func Open(o Options) (*Spool, error) {
	o = o.withDefaults()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool folder: %w", err)
	}
	s := &Spool{
		opts: o,
		id:   strings.ToLower(rand.Text()[:idLen]),
		wake: make(chan struct{}, 1),
		quit: make(chan struct{}),
	}
	s.syncer.mode = o.Sync
	var err error
	if s.cursor, s.acked, err = openCursor(o.Dir); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, s.cursor.f.Close())
	}
	seg, f, err := createSegment(o.Dir, s.next, s.id, o.Sync != SyncOff)
	if err != nil {
		return nil, errors.Join(err, s.cursor.f.Close())
	}
	s.segments, s.file = append(s.segments, seg), f
	s.bytes += headerSize
	s.tail.Store(s.next - 1)
	s.janitor.Go(s.keepHouse)
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	o.SegmentBytes = max(min(o.SegmentBytes, o.MaxBytes/4), headerSize+frameSize)
	if o.SyncInterval <= 0 {
		o.SyncInterval = defaultSyncInterval
	}
	if o.Retain <= 0 {
		o.Retain = defaultRetain
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// load finds the segments of earlier runs, the sequence to go on with and their size.
func (s *Spool) load() error {
	paths, err := filepath.Glob(filepath.Join(s.opts.Dir, "*"+segmentSuffix))
	if err != nil {
		return fmt.Errorf("list segments: %w", err)
	}
	slices.Sort(paths) // names are fixed-width sequences
	s.next = s.acked.Seq + 1
	for _, path := range paths {
		seg, err := openSegment(path)
		if err != nil {
			return err
		}
		if seg.damage != nil {
			s.opts.Log.Warn("spool segment is damaged; its readable records are forwarded and the file is kept",
				"segment", path, "error", seg.damage)
		}
		if seg.size.Load() <= headerSize { // nothing readable in it
			if err := seg.discard(); err != nil {
				return err
			}
			continue
		}
		s.segments = append(s.segments, seg)
		s.bytes += seg.size.Load()
		s.next = max(s.next, seg.last.Load()+1)
	}
	return nil
}

// discard takes the segment out of the log: deleted, or set aside under another
// name when it holds bytes that nobody has read.
func (seg *segment) discard() error {
	var err error
	if seg.damage != nil {
		err = os.Rename(seg.path, fmt.Sprintf("%s.%d%s", seg.path, time.Now().UnixNano(), damagedSuffix))
	} else {
		err = os.Remove(seg.path)
	}
	if err != nil {
		return fmt.Errorf("discard segment: %w", err)
	}
	return nil
}

// Append writes payload (1 to MaxPayload bytes) as the next record and returns
// its sequence. When it returns nil, the record survives what the package's
// crash model says. On an error nothing was appended, but for a failed fsync with
// SyncAlways: then the record is there and will be read, only not safe from a
// power cut. It does not keep payload.
func (s *Spool) Append(payload []byte) (uint64, error) {
	if len(payload) == 0 || len(payload) > MaxPayload {
		return 0, fmt.Errorf("spool: payload of %d bytes, allowed are 1 to %d", len(payload), MaxPayload)
	}
	seq, err := s.write(payload)
	if err != nil {
		return 0, err
	}
	if s.armed.Load() && s.armed.CompareAndSwap(true, false) {
		select {
		case s.wake <- struct{}{}:
		default: // one is already there
		}
	}
	if s.syncer.mode == SyncAlways {
		if err := s.syncer.commit(s, seq); err != nil {
			return 0, err
		}
	}
	return seq, nil
}

func (s *Spool) write(payload []byte) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, ErrClosed
	}
	need := int64(frameLen(len(payload)))
	if s.bytes+need > s.opts.MaxBytes {
		return 0, ErrFull
	}
	active := s.segments[len(s.segments)-1]
	if size := active.size.Load(); size > headerSize && size+need > s.opts.SegmentBytes {
		if err := s.rotateLocked(); err != nil {
			return 0, err
		}
		active = s.segments[len(s.segments)-1]
	}
	seq, size := s.next, active.size.Load()
	s.frame = appendFrame(s.frame[:0], active.header.salt, seq, payload)
	if _, err := s.file.WriteAt(s.frame, size); err != nil {
		// What was written of the record must not be found by a later Open.
		return 0, errors.Join(fmt.Errorf("append to spool: %w", err), s.file.Truncate(size))
	}
	active.size.Store(size + need)
	active.last.Store(seq)
	s.next++
	s.bytes += need
	s.tail.Store(seq)
	return seq, nil
}

// rotateLocked seals the active segment and starts the next. mu is held.
func (s *Spool) rotateLocked() error {
	seg, f, err := createSegment(s.opts.Dir, s.next, s.id, s.opts.Sync != SyncOff)
	if err != nil {
		return err
	}
	sealed := s.file
	s.segments, s.file = append(s.segments, seg), f
	s.bytes += headerSize
	if s.syncer.mode == SyncOff {
		return sealed.Close() // nobody would sync and close it later
	}
	s.unsynced = append(s.unsynced, sealed)
	return nil
}

// ack moves the cursor forward to c; one behind the present is ignored.
func (s *Spool) ack(c Cursor) error {
	s.ackMu.Lock()
	defer s.ackMu.Unlock()
	if c.Seq <= s.acked.Seq {
		return nil
	}
	s.acked = c
	return s.cursor.save(c)
}

// takeBack moves the cursor back to c: what was acked behind it is to be read
// again. Records that are not kept any more are not.
func (s *Spool) takeBack(c Cursor) error {
	s.ackMu.Lock()
	defer s.ackMu.Unlock()
	if c.Seq >= s.acked.Seq {
		return nil
	}
	s.acked = c
	return s.cursor.save(c)
}

// Acked returns the cursor.
func (s *Spool) Acked() Cursor {
	s.ackMu.Lock()
	defer s.ackMu.Unlock()
	return s.acked
}

// Tail returns the sequence of the last record.
func (s *Spool) Tail() uint64 { return s.tail.Load() }

// Stats is a picture of the spool for metrics and status.
type Stats struct {
	Events    uint64 `json:"events"`   // appended and not acked
	Bytes     int64  `json:"bytes"`    // on disk, all segments
	Segments  int    `json:"segments"` // files
	Damaged   int    `json:"damaged"`  // of them with bytes that cannot be read
	Lost      uint64 `json:"lost"`     // records that did not read back and were skipped
	Tail      uint64 `json:"tail"`     // last appended sequence
	Acked     uint64 `json:"acked"`    // last acked sequence
	SyncError string `json:"sync_error,omitempty"`
}

// Stats returns the present figures.
func (s *Spool) Stats() Stats {
	acked := s.Acked().Seq
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{Bytes: s.bytes, Segments: len(s.segments), Lost: s.lost, Tail: s.tail.Load(), Acked: acked}
	st.Events = st.Tail - min(acked, st.Tail)
	for _, seg := range s.segments {
		if seg.damage != nil {
			st.Damaged++
		}
	}
	if err := s.syncer.lastError(); err != nil {
		st.SyncError = err.Error()
	}
	return st
}

// Close stops the janitor, makes the log durable and closes its files. Appends
// that come later get ErrClosed.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.quit)
	s.janitor.Wait()
	err := s.syncer.sync(s)
	s.ackMu.Lock()
	defer s.ackMu.Unlock()
	return errors.Join(err, s.file.Close(), s.cursor.f.Sync(), s.cursor.f.Close())
}
