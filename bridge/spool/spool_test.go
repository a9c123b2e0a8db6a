package spool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, o Options) *Spool {
	t.Helper()
	s, err := Open(o)
	return closed(t, s, err)
}

// untended is open without the janitor: it goes by the clock, and the test by times of its own.
func untended(t testing.TB, o Options) *Spool {
	t.Helper()
	s, err := openOn(osDisk{}, o)
	return closed(t, s, err)
}

// closed returns a spool that was opened, and closes it with the test.
func closed(t testing.TB, s *Spool, err error) *Spool {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func mustAppend(t testing.TB, s *Spool, payload string) uint64 {
	t.Helper()
	seq, err := s.Append([]byte(payload))
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return seq
}

type entry struct {
	seq     uint64
	id      string
	payload string
}

// drain reads everything there is.
func drain(t testing.TB, r *Reader) []entry {
	t.Helper()
	var all []entry
	for {
		seq, id, payload, err := r.Next()
		if err != nil {
			t.Fatalf("next: %v", err)
		}
		if payload == nil {
			return all
		}
		all = append(all, entry{seq, id, string(payload)})
	}
}

// payloads reads everything behind the cursor of the log in dir.
func payloads(t testing.TB, dir string) []string {
	t.Helper()
	s, err := Open(Options{Dir: dir, Sync: SyncOff, SegmentBytes: 64 << 10})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	r := s.Reader()
	var texts []string
	for _, e := range drain(t, r) {
		texts = append(texts, e.payload)
	}
	if err := errors.Join(r.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	return texts
}

func TestRestartGoesOnBehindTheCursor(t *testing.T) {
	for name, mode := range map[string]SyncMode{"interval": SyncInterval, "always": SyncAlways, "off": SyncOff} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			first := open(t, Options{Dir: dir, Sync: mode})
			for i := range 10 {
				mustAppend(t, first, fmt.Sprintf("event %d", i))
			}
			r := first.Reader()
			all := drain(t, r)
			if len(all) != 10 || all[9].payload != "event 9" || all[9].seq != 10 {
				t.Fatalf("read %v", all)
			}
			if err := r.Ack(4, all[3].id, 77); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(r.Close(), first.Close()); err != nil {
				t.Fatal(err)
			}

			second := open(t, Options{Dir: dir, Sync: mode})
			if got, want := second.Acked(), (Cursor{Seq: 4, StreamSeq: 77, SpoolID: all[3].id}); got != want {
				t.Errorf("cursor %v, want %v", got, want)
			}
			if seq := mustAppend(t, second, "after the restart"); seq != 11 {
				t.Errorf("sequence after the restart is %d, want 11", seq)
			}
			r = second.Reader()
			defer r.Close()
			again := drain(t, r)
			if len(again) != 7 || again[0] != all[4] || again[5] != all[9] {
				t.Fatalf("after the restart: %v", again)
			}
			if last := again[6]; last.payload != "after the restart" || last.id == all[0].id {
				t.Errorf("the new record is %v; its id has to differ from the earlier run's", last)
			}
		})
	}
}

// A killed process leaves its files as they are at that moment: nothing is
// closed, nothing synced.
func TestNothingAppendedIsLostWithoutClose(t *testing.T) {
	dir, crashed := t.TempDir(), t.TempDir()
	s := open(t, Options{Dir: dir, SegmentBytes: 256})
	var want []string
	for i := range 50 {
		want = append(want, fmt.Sprintf("event %d", i))
		mustAppend(t, s, want[i])
	}
	if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if got := payloads(t, crashed); strings.Join(got, ",") != strings.Join(want, ",") {
		t.Errorf("got %v", got)
	}
}

// Segments may be gone, by a power cut or by hand: a sequence JetStream has acked is
// not given out again, and the reader goes on with what comes.
func TestCursorAheadOfTheSegments(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, Sync: SyncOff})
	for range 7 {
		mustAppend(t, s, "acked")
	}
	if err := s.ack(Cursor{Seq: 7, SpoolID: s.id}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range segments(t, dir) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, Options{Dir: dir, Sync: SyncOff})
	if seq := mustAppend(t, s, "new"); seq != 8 {
		t.Errorf("sequence %d, want 8", seq)
	}
	r := s.Reader()
	defer r.Close()
	if got := drain(t, r); len(got) != 1 || got[0].payload != "new" {
		t.Errorf("got %v", got)
	}
}

// Files of sealed segments are closed in every mode, or a removed segment would
// keep its room on the disk.
func TestSealedFilesAreClosed(t *testing.T) {
	for name, mode := range map[string]SyncMode{"interval": SyncInterval, "always": SyncAlways, "off": SyncOff} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := openOn(osDisk{}, Options{Dir: dir, SegmentBytes: 256, Sync: mode})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 40 {
				mustAppend(t, s, fmt.Sprintf("event %d", i))
			}
			if n := len(segments(t, dir)); n < 5 {
				t.Fatalf("only %d segments", n)
			}
			s.tend()
			fds, err := os.ReadDir("/proc/self/fd")
			if err != nil {
				t.Fatal(err)
			}
			open := 0
			for _, fd := range fds {
				if path, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(path, dir) && strings.HasSuffix(path, segmentSuffix) {
					open++
				}
			}
			if open != 1 {
				t.Errorf("%d segments are open, want the active one", open)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestClosed(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append([]byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
}

func TestPayloadSize(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), SegmentBytes: 1 << 10, Sync: SyncOff})
	for _, n := range []int{0, MaxPayload + 1} {
		if _, err := s.Append(make([]byte, n)); err == nil {
			t.Errorf("%d bytes were taken", n)
		}
	}
	// One larger than a segment and than the reader's buffer still goes through.
	want := strings.Repeat("y", readBuffer+10)
	mustAppend(t, s, "before")
	mustAppend(t, s, want)
	mustAppend(t, s, "after")
	r := s.Reader()
	defer r.Close()
	if got := drain(t, r); len(got) != 3 || got[1].payload != want || got[2].payload != "after" {
		t.Errorf("got %d records", len(got))
	}
}

func TestCursorSurvivesATornWrite(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, Sync: SyncOff})
	for i := range 3 {
		mustAppend(t, s, fmt.Sprint(i))
	}
	for seq := range uint64(3) {
		if err := s.ack(Cursor{Seq: seq + 1, StreamSeq: 10 + seq, SpoolID: s.id}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, cursorName)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	newest := data[slotSize:] // the third write went to the second slot
	for at := range slotSize {
		bad := bytes.Clone(data)
		bad[slotSize+at] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		cf, cur, err := openCursor(osDisk{}, dir)
		if err := errors.Join(err, cf.close()); err != nil {
			t.Fatal(err)
		}
		if cur.Seq != 2 || cur.StreamSeq != 11 {
			t.Fatalf("slot %x damaged at %d: cursor %+v, want the one before", newest, at, cur)
		}
	}
}

// A save that fails half way is tried again in its slot: the other one is all there is.
func TestCursorSurvivesFailedSaves(t *testing.T) {
	d := newMemDisk()
	s := still(t, d, Options{})
	if err := s.ack(Cursor{Seq: 1, SpoolID: s.id}); err != nil {
		t.Fatal(err)
	}
	d.short = true
	d.setFail(failing(syscall.ENOSPC, "write"))
	for seq := range uint64(3) { // the first failure of a row is returned, Stats has them all
		err := s.ack(Cursor{Seq: seq + 2, SpoolID: s.id})
		if errors.Is(err, syscall.ENOSPC) != (seq == 0) || s.Stats().CursorError == "" {
			t.Fatal(seq, err)
		}
	}
	if _, cur, err := openCursor(d.killed(), "spool"); err != nil || cur.Seq != 1 {
		t.Errorf("cursor %+v, %v", cur, err)
	}
	d.setFail(nil)
	if err := s.ack(Cursor{Seq: 5, SpoolID: s.id}); err != nil || s.Stats().CursorError != "" {
		t.Errorf("after the recovery: %v, %q", err, s.Stats().CursorError)
	}
}

func TestAckNeverGoesBack(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Sync: SyncOff})
	for _, seq := range []uint64{5, 3} {
		if err := s.ack(Cursor{Seq: seq, StreamSeq: seq}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Acked().Seq; got != 5 {
		t.Errorf("acked %d", got)
	}
}

func TestAlwaysIsOnDiskBeforeTheAnswer(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Sync: SyncAlways, SegmentBytes: 4096})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				seq, err := s.Append(make([]byte, 100))
				if err != nil {
					t.Error(err)
					return
				}
				s.mu.Lock()
				i := slices.IndexFunc(s.segments, func(seg *segment) bool { return seg.last.Load() >= seq })
				safe := s.segments[i].safe.Load()
				s.mu.Unlock()
				if safe < seq {
					t.Errorf("sequence %d was answered, safe is %d", seq, safe)
				}
			}
		})
	}
	wg.Wait()
}

// Many writers, one reader that follows: everything comes once, in the order of
// the sequences, and each writer's records in its own order.
func TestReaderFollowsConcurrentWriters(t *testing.T) {
	const writers, each = 8, 2000
	s := open(t, Options{Dir: t.TempDir(), SegmentBytes: 64 << 10, Retain: time.Hour})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := fmt.Fprintf(appendWriter{s}, "%d %d", w, i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	r := s.Reader()
	defer r.Close()
	deadline := time.After(time.Minute)
	var next [writers]int
	for want := uint64(1); want <= writers*each; {
		seq, _, payload, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if payload == nil {
			select {
			case <-r.Ready():
				continue
			case <-deadline:
				t.Fatalf("stuck before sequence %d of %d, appended are %d", want, writers*each, s.Tail())
			}
		}
		var w, i int
		if _, err := fmt.Sscanf(string(payload), "%d %d", &w, &i); err != nil {
			t.Fatal(err)
		}
		if seq != want || i != next[w] {
			t.Fatalf("sequence %d, want %d; writer %d sent %d, want %d", seq, want, w, i, next[w])
		}
		next[w]++
		want++
	}
	wg.Wait()
}

type appendWriter struct{ s *Spool }

func (w appendWriter) Write(p []byte) (int, error) {
	_, err := w.s.Append(p)
	return len(p), err
}
