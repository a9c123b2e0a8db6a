package spool

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestFullAndRoomAgain(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), MaxBytes: 4096, Retain: time.Hour, Sync: SyncOff})
	payload := strings.Repeat("x", 200)
	n := 0
	for {
		_, err := s.Append([]byte(payload))
		if errors.Is(err, ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if st := s.Stats(); st.Bytes > 4096 || st.Events != uint64(n) || n < 10 {
		t.Fatalf("after %d events: %+v", n, st)
	}
	r := s.Reader()
	defer r.Close()
	all := drain(t, r)
	if err := s.removeAcked(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append([]byte(payload)); !errors.Is(err, ErrFull) {
		t.Fatalf("room although nothing is acked: %v", err)
	}
	if err := r.Ack(all[len(all)-1].seq, all[0].id, 1); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, payload) // at once: what is acked gives way to what is not
}

// So it is right after a restart, when nothing is there to be acked any more.
func TestAckedSegmentsGiveWayAfterARestart(t *testing.T) {
	opts := Options{Dir: t.TempDir(), MaxBytes: 8 << 10, Retain: time.Hour, Sync: SyncOff}
	for range 4 {
		s := open(t, opts)
		r := s.Reader()
		for range 10 {
			mustAppend(t, s, strings.Repeat("x", 200))
		}
		all := drain(t, r)
		if err := errors.Join(r.Ack(all[9].seq, all[9].id, 1), r.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// The limit is for what waits: however much is acked and kept for a while, a
// spool that is emptied in time is never full.
func TestAckedSegmentsGiveWay(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, MaxBytes: 64 << 10, Retain: time.Hour, Sync: SyncOff})
	r := s.Reader()
	defer r.Close()
	for range 200 {
		for range 50 { // some 12 KiB
			mustAppend(t, s, strings.Repeat("x", 200))
		}
		all := drain(t, r)
		if err := r.Ack(all[49].seq, all[49].id, all[49].seq); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.discardReleased(); err != nil {
		t.Fatal(err)
	}
	// The janitor may have begun to delete them.
	for deadline := time.Now().Add(time.Minute); len(segments(t, dir)) > 5; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d files for four segments' worth", len(segments(t, dir)))
		}
	}
}

func TestAckedSegmentsAreKeptForAWhile(t *testing.T) {
	dir := t.TempDir()
	s := untended(t, Options{Dir: dir, SegmentBytes: 128, Retain: 5 * time.Minute, Sync: SyncOff})
	for i := range 12 {
		mustAppend(t, s, fmt.Sprintf("event %02d", i))
	}
	before := len(segments(t, dir))
	r := s.Reader()
	defer r.Close()
	all := drain(t, r)
	if err := r.Ack(all[5].seq, all[5].id, 1); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, step := range []struct {
		name string
		at   time.Time
		gone bool
	}{
		{"just acked", now, false},
		{"a second before", now.Add(5*time.Minute - time.Second), false},
		{"time is up", now.Add(5 * time.Minute), true},
	} {
		if err := s.removeAcked(step.at); err != nil {
			t.Fatal(err)
		}
		if gone := len(segments(t, dir)) < before; gone != step.gone {
			t.Errorf("%s: removed is %v", step.name, gone)
		}
	}
	if err := r.Rewind(all[5].seq); err != nil {
		t.Fatal(err)
	}
	if again := drain(t, r); len(again) != 6 || again[0] != all[6] {
		t.Errorf("unacked records after the removal: %v", again)
	}
}

// The stream may lose what it has acked: it is read again, and kept as long as
// what was never acked.
func TestTakenBack(t *testing.T) {
	dir := t.TempDir()
	s := untended(t, Options{Dir: dir, SegmentBytes: 128, Retain: time.Minute, Sync: SyncOff})
	for i := range 12 {
		mustAppend(t, s, fmt.Sprintf("event %02d", i))
	}
	r := s.Reader()
	defer r.Close()
	all := drain(t, r)
	if err := r.Ack(12, all[11].id, 120); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := s.removeAcked(now); err != nil { // notes when they were acked
		t.Fatal(err)
	}
	if err := r.TakeBack(3, all[2].id, 30); err != nil {
		t.Fatal(err)
	}
	if seq, id, streamSeq := r.Cursor(); seq != 3 || id != all[2].id || streamSeq != 30 {
		t.Errorf("cursor %d %s %d", seq, id, streamSeq)
	}
	if err := s.removeAcked(now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := r.Rewind(r.Acked()); err != nil {
		t.Fatal(err)
	}
	if again := drain(t, r); len(again) != 9 || again[0] != all[3] {
		t.Errorf("read again: %v", again)
	}
	if err := r.Ack(12, all[11].id, 121); err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Duration{time.Minute, 2*time.Minute - time.Second} {
		if err := s.removeAcked(now.Add(at)); err != nil {
			t.Fatal(err)
		}
		if oldest := r.Oldest(); oldest > 4 {
			t.Errorf("after %s the oldest record is %d: removed before its time", at, oldest)
		}
	}
	if err := s.removeAcked(now.Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	if oldest := r.Oldest(); oldest < 10 {
		t.Errorf("oldest %d: not removed", oldest)
	}
}
