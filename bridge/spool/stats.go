package spool

import (
	"sync/atomic"
	"time"
)

// Stats is a picture of the spool for metrics and status.
type Stats struct {
	Events      uint64 `json:"events"`         // appended and not acked
	Bytes       int64  `json:"bytes"`          // of records and headers, all segments
	Unacked     int64  `json:"unacked_bytes"`  // of them not acked; within the segment that is half acked by the share of its records
	Retained    int64  `json:"retained_bytes"` // of them acked and kept for a while
	Segments    int    `json:"segments"`       // files
	Damaged     int    `json:"damaged"`        // of them with bytes that cannot be read
	Quarantined int    `json:"quarantined"`    // files set aside because of that, by earlier runs too, but for originals of repairs
	Lost        uint64 `json:"lost"`           // records behind the cursor that did not read back or are missing, as of this run
	Tail        uint64 `json:"tail"`           // last appended sequence
	Acked       uint64 `json:"acked"`          // last acked sequence

	// OldestAge is the age of the oldest record that is not acked, 0 when there is
	// none: never too small, too large by up to a second, and for a record of an
	// earlier run the age of its segment.
	OldestAge time.Duration `json:"oldest_age_ns"`

	Append      AppendStats `json:"append"`
	Fsync       SyncStats   `json:"fsync"`
	AppendError string      `json:"append_error,omitempty"` // of the last append or of Open, empty once records can be written again
	CursorError string      `json:"cursor_error,omitempty"` // why the cursor is not saved; after a restart more is sent again
	SyncError   string      `json:"sync_error,omitempty"`   // of the last sync; stays until everything is on the disk again
}

// AppendStats counts appends of this run. One append in 64 is timed, from call to
// return, so that the others pay nothing for it.
type AppendStats struct {
	Failed uint64        `json:"failed"` // returned an error
	Timed  uint64        `json:"timed"`
	Total  time.Duration `json:"total_ns"` // of the timed ones
	Max    time.Duration `json:"max_ns"`
	Last   time.Duration `json:"last_ns"`
}

// SyncStats counts fsyncs of segments in this run.
type SyncStats struct {
	Count  uint64        `json:"count"`
	Failed uint64        `json:"failed"`
	Total  time.Duration `json:"total_ns"`
	Max    time.Duration `json:"max_ns"`
	Last   time.Duration `json:"last_ns"`
}

func (st *SyncStats) add(took time.Duration, err error) {
	st.Count++
	if err != nil {
		st.Failed++
	}
	st.Total += took
	st.Max = max(st.Max, took)
	st.Last = took
}

// appendStats collects AppendStats.
type appendStats struct {
	failed, timed    atomic.Uint64
	total, max, last atomic.Int64 // nanoseconds
}

// timeEvery is a power of two.
const timeEvery = 64

// begin returns when the append that follows record tail began, zero when it is
// not one to be timed.
func (a *appendStats) begin(tail uint64) time.Time {
	if tail%timeEvery != 0 {
		return time.Time{}
	}
	return time.Now()
}

func (a *appendStats) end(start time.Time) {
	if start.IsZero() {
		return
	}
	took := int64(time.Since(start))
	a.timed.Add(1)
	a.total.Add(took)
	a.last.Store(took)
	for old := a.max.Load(); took > old && !a.max.CompareAndSwap(old, took); {
		old = a.max.Load()
	}
}

// Stats returns the present figures. It does not wait for a sync under way: those
// of the syncer are as of the last one that ended.
func (s *Spool) Stats() Stats {
	s.ackMu.Lock()
	acked, unsaved := s.acked.Seq, s.unsaved
	s.ackMu.Unlock()
	st := Stats{
		Acked: acked,
		Append: AppendStats{
			Failed: s.appends.failed.Load(), Timed: s.appends.timed.Load(),
			Total: time.Duration(s.appends.total.Load()),
			Max:   time.Duration(s.appends.max.Load()), Last: time.Duration(s.appends.last.Load()),
		},
	}
	if unsaved != nil {
		st.CursorError = unsaved.Error()
	}
	var syncErr error
	st.Fsync, syncErr = s.syncer.report()
	if syncErr != nil {
		st.SyncError = syncErr.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Bytes, st.Segments, st.Lost, st.Quarantined = s.bytes, len(s.segments), s.lost, s.quarantined
	st.Damaged = len(s.unread)
	st.Tail = s.tail.Load()
	st.Events = s.countLocked(acked, st.Tail)
	for _, seg := range s.segments {
		if seg.damage != nil {
			st.Damaged++
		}
		st.Retained += seg.ackedBytes(acked)
	}
	st.Unacked = st.Bytes - st.Retained
	st.OldestAge = s.oldestAgeLocked(acked)
	if s.trouble != nil {
		st.AppendError = s.trouble.Error()
	}
	return st
}

// countLocked returns how many records the log has behind sequence after, up to until. Between
// segments sequences may be left out, millions of them. mu is held.
func (s *Spool) countLocked(after, until uint64) (n uint64) {
	for _, seg := range s.segments {
		from, to := max(after, seg.header.first-1), min(until, seg.last.Load())
		if to > from {
			n += to - from
			after = to
		}
	}
	return n
}

func (s *Spool) oldestAgeLocked(acked uint64) time.Duration {
	for _, seg := range s.segments {
		if seg.last.Load() <= acked {
			continue
		}
		since := seg.header.created
		if noted := s.ages.since(max(acked+1, seg.header.first)); noted.After(since) {
			since = noted
		}
		return max(0, time.Since(since))
	}
	return 0
}

// ackedBytes is how much of seg lies before the cursor, by the share of its
// records.
func (seg *segment) ackedBytes(acked uint64) int64 {
	first, last, size := seg.header.first, seg.last.Load(), seg.size.Load()
	switch {
	case acked >= last:
		return size
	case acked < first:
		return 0
	}
	return int64(float64(size) * float64(acked-first+1) / float64(last-first+1))
}
