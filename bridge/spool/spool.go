package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
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
	MaxBytes     int64         // of all records, default 1 GiB; acked ones give way, and without any Append returns ErrFull
	SegmentBytes int64         // default and at most 64 MiB, at most a quarter of MaxBytes
	Retain       time.Duration // how long acked segments are kept, default 5 min; less when room is needed
	Log          *slog.Logger
}

// Spool is the log. Append may be called from many goroutines; the Reader
// belongs to the forwarder.
type Spool struct {
	opts Options
	disk disk
	id   string

	mu          sync.Mutex
	closed      bool
	segments    []*segment // oldest first; the active one is the last
	active      *segment   // takes the appends; nil when there is none: the next append starts one
	released    []*segment // acked and out of the log; the janitor deletes them
	sealed      []*segment // take no more appends and are not settled yet, see syncer
	prepared    diskFile   // reserved and empty, for the next rotation; nil when there is none
	renamed     bool       // names in the folder changed since it was synced
	frame       []byte     // the record being written
	next        uint64     // sequence of the next record
	given       uint64     // the highest sequence that a record is known to have had
	unread      []*segment // files of earlier runs that could not be read; not part of the log
	bytes       int64      // headers and records of all segments
	lost        uint64     // records that did not read back, or are missing
	lostUntil   uint64     // the last of them
	quarantined int        // files set aside, by this run and those before
	ages        ages
	createErr   error     // why no segment could be created
	createAfter time.Time // and when it is tried again
	trouble     error     // of the last append; nil when it was written

	tail  atomic.Uint64 // last appended sequence
	armed atomic.Bool   // the reader waits on wake
	wake  chan struct{}

	appends  appendStats
	syncer   syncer
	cursor   *cursorFile // under ackMu
	ackMu    sync.Mutex
	acked    Cursor
	unsaved  error         // why the cursor could not be saved; under ackMu
	ackedSeq atomic.Uint64 // acked.Seq, for those who hold mu
	kick     chan struct{} // there is work for the janitor
	quit     chan struct{}
	janitor  sync.WaitGroup

	inherited   []*inherited // of segments; filled by Open, and the janitor's own from then on
	syncFailing bool         // the last sync failed; the janitor's own
}

// Open reads the log in o.Dir and starts a new segment. Damage never makes it
// fail, and neither does a disk that is full or failing: then appends fail until
// it recovers, and Stats says why. A folder it may not use does, and so does a lack of
// files or memory to read what is there: without it, its events would be passed over.
func Open(o Options) (*Spool, error) {
	s, err := openOn(osDisk{}, o)
	if err != nil {
		return nil, err
	}
	s.janitor.Go(s.keepHouse)
	return s, nil
}

// openOn is Open without the janitor.
func openOn(d disk, o Options) (*Spool, error) {
	o = o.withDefaults()
	s := &Spool{
		opts: o,
		disk: d,
		id:   strings.ToLower(rand.Text()[:idLen]),
		wake: make(chan struct{}, 1),
		kick: make(chan struct{}, 1),
		quit: make(chan struct{}),
	}
	s.syncer.mode = o.Sync
	if err := d.MakeDir(o.Dir); err != nil && !passing(err) {
		return nil, fmt.Errorf("spool folder: %w; it has to be a folder that the bridge's user may read and write", err)
	}
	var err error
	if s.cursor, s.acked, err = openCursor(d, o.Dir); exhausted(err) {
		return nil, err
	} else if err != nil {
		o.Log.Error("spool: how far JetStream has acked is unknown; everything kept is sent again", "error", err)
	}
	s.ackedSeq.Store(s.acked.Seq)
	if err := s.load(); err != nil {
		return nil, errors.Join(err, s.cursor.close())
	}
	s.ages.note(s.tail.Load(), time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.rotateLocked(); err != nil {
		if !passing(err) {
			return nil, errors.Join(err, s.cursor.close())
		}
		s.trouble = err
		o.Log.Error("spool: takes no events until its disk recovers", "error", err)
		return s, nil
	}
	if s.bytes-headerSize+o.SegmentBytes <= o.MaxBytes {
		reserve(s.active.file, o.SegmentBytes, headerSize)
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	o.SegmentBytes = max(min(o.SegmentBytes, defaultSegmentBytes, o.MaxBytes/4), headerSize+frameSize)
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

// Append writes payload (1 to MaxPayload bytes) as the next record and returns
// its sequence. When it returns nil, the record survives what the package's
// crash model says. On an error nothing was appended, but for a failed fsync with
// SyncAlways: then the record is there and will be read, only not safe from a
// power cut. It does not keep payload.
func (s *Spool) Append(payload []byte) (uint64, error) {
	if len(payload) == 0 || len(payload) > MaxPayload {
		return 0, fmt.Errorf("spool: payload of %d bytes, allowed are 1 to %d", len(payload), MaxPayload)
	}
	start := s.appends.begin(s.tail.Load())
	seg, seq, err := s.write(payload)
	if err != nil {
		s.appends.failed.Add(1)
		return 0, err
	}
	if s.armed.Load() && s.armed.CompareAndSwap(true, false) {
		select {
		case s.wake <- struct{}{}:
		default: // one is already there
		}
	}
	if s.syncer.mode == SyncAlways {
		if err := s.syncer.commit(s, seg, seq); err != nil {
			s.appends.failed.Add(1)
			return 0, err
		}
	}
	s.appends.end(start)
	return seq, nil
}

// write puts payload behind the last record and returns where.
func (s *Spool) write(payload []byte) (*segment, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, 0, ErrClosed
	}
	need := int64(frameLen(len(payload)))
	if s.bytes+need > s.opts.MaxBytes {
		s.releaseLocked(s.opts.MaxBytes - need)
	}
	if s.bytes+need > s.opts.MaxBytes {
		s.trouble = ErrFull
		return nil, 0, ErrFull
	}
	if err := s.makeRoomLocked(need); err != nil {
		s.trouble = err
		s.releaseForLocked(err)
		return nil, 0, err
	}
	seg := s.active
	seq, size := s.next, seg.size.Load()
	s.frame = appendFrame(s.frame[:0], seg.header.salt, seq, payload)
	if _, err := seg.file.WriteAt(s.frame, size); err != nil {
		s.trouble = s.undoLocked(seg, err)
		s.releaseForLocked(err)
		return nil, 0, s.trouble
	}
	seg.size.Store(size + need)
	seg.last.Store(seq)
	s.given = seq
	s.next++
	s.bytes += need
	s.tail.Store(seq)
	s.trouble = nil
	if half := s.opts.SegmentBytes / 2; size < half && size+need >= half {
		s.wakeJanitor() // time to prepare the next one
	}
	return seg, seq, nil
}

// releaseForLocked gives a full disk back what is only kept for a while. mu is
// held.
func (s *Spool) releaseForLocked(err error) {
	if noRoom(err) {
		s.releaseLocked(0)
	}
}

// undoLocked makes sure that what a failed write left of a record is never read,
// and returns the error of the append. mu is held.
func (s *Spool) undoLocked(seg *segment, cause error) error {
	size := seg.size.Load()
	err := seg.file.Truncate(size)
	switch {
	case err != nil:
		// The bytes stay, perhaps even as a record that reads back. Its sequence is
		// given to no other, and the segment ends before it.
		seg.spoilt = true
		s.next++
		if seg.empty() { // a new segment was no help: do not make one for each request
			s.createErr, s.createAfter = cause, time.Now().Add(createBackoff)
		}
	case !noRoom(cause) && !seg.empty():
		seg.spoilt = true // the next file may lie on a better part of the disk
	}
	return fmt.Errorf("append to spool: %w", errors.Join(cause, err))
}

// Close stops the janitor, makes the log durable, gives back reserved room and
// closes the files. Appends that come later get ErrClosed.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	prepared := s.prepared
	s.prepared = nil
	s.mu.Unlock()
	close(s.quit)
	s.janitor.Wait()
	var err error
	if prepared != nil {
		err = errors.Join(prepared.Close(), s.disk.Remove(s.preparedPath()))
	}
	s.mu.Lock()
	s.sealLocked()
	s.mu.Unlock()
	err = errors.Join(err, s.syncer.finish(s))
	s.ackMu.Lock()
	defer s.ackMu.Unlock()
	return errors.Join(err, s.cursor.close())
}
