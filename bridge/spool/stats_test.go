package spool

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// An age is told from notes a second apart: never too small, too large by no more
// than that second.
func TestOldestAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk()
		s := still(t, d, Options{})
		s.janitor.Go(s.keepHouse)
		appended := map[uint64]time.Time{}
		for range 200 {
			<-time.After(time.Duration(rand.IntN(3000)) * time.Millisecond)
			appended[mustAppend(t, s, "x")] = time.Now()
		}
		for acked := uint64(1); acked < 200; acked++ {
			if err := s.ack(Cursor{Seq: acked}); err != nil {
				t.Fatal(err)
			}
			is, told := time.Since(appended[acked+1]), s.Stats().OldestAge
			if told < is || told > is+janitorInterval {
				t.Fatalf("record %d is %s old, told was %s", acked+1, is, told)
			}
		}
		if err := s.ack(Cursor{Seq: 200}); err != nil {
			t.Fatal(err)
		}
		if told := s.Stats().OldestAge; told != 0 {
			t.Errorf("nothing waits, but %s", told)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// What an earlier run left is as old as its segment.
func TestOldestAgeAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk()
		s := still(t, d, Options{})
		mustAppend(t, s, "x")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		s = still(t, d, Options{})
		if told := s.Stats().OldestAge; told < time.Hour || told > time.Hour+time.Second {
			t.Errorf("told was %s", told)
		}
	})
}

func TestMarksAreBounded(t *testing.T) {
	var a ages
	start := time.Unix(0, 0)
	for i := range 10 * maxMarks {
		a.note(uint64(i), start.Add(time.Duration(i)*time.Second))
	}
	if len(a.marks) > maxMarks {
		t.Errorf("%d marks", len(a.marks))
	}
	for _, seq := range []uint64{1, 100, maxMarks, 9 * maxMarks} {
		at := a.since(seq)
		if is := start.Add(time.Duration(seq) * time.Second); at.After(is) || is.Sub(at) > 64*time.Second {
			t.Errorf("record %d was appended at %s, told is %s", seq, is, at)
		}
	}
	a.forget(9 * maxMarks)
	if at := a.since(9*maxMarks + 1); at.IsZero() || len(a.marks) > maxMarks {
		t.Error("forgot too much")
	}
}

func TestStatsCountBytes(t *testing.T) {
	s := still(t, newMemDisk(), Options{SegmentBytes: 1024})
	for range 20 {
		mustAppend(t, s, strings.Repeat("x", 240)) // 256 on disk, three a segment
	}
	for _, c := range []struct {
		acked    uint64
		retained int64
	}{
		{0, 0},
		{3, 3*256 + 64},
		{5, 3*256 + 64 + (3*256+64)*2/3},
		{20, 20*256 + 7*64},
	} {
		if err := s.ack(Cursor{Seq: c.acked}); err != nil {
			t.Fatal(err)
		}
		st := s.Stats()
		if st.Retained != c.retained || st.Unacked != 20*256+7*64-c.retained || st.Events != 20-c.acked {
			t.Errorf("acked %d: %+v", c.acked, st)
		}
	}
}

// Latencies are kept: of one append in 64, and of every fsync.
func TestStatsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk()
		s := still(t, d, Options{Sync: SyncAlways})
		d.setFail(func(op, _ string) error {
			if op == "sync" {
				<-time.After(3 * time.Millisecond)
			}
			return nil
		})
		for range 128 {
			mustAppend(t, s, "x")
		}
		st := s.Stats()
		if a := st.Append; a.Timed != 2 || a.Total != 6*time.Millisecond || a.Max != 3*time.Millisecond || a.Last != a.Max || a.Failed != 0 {
			t.Errorf("appends: %+v", a)
		}
		if f := st.Fsync; f.Count != 128 || f.Total != 384*time.Millisecond || f.Max != 3*time.Millisecond || f.Last != f.Max || f.Failed != 0 {
			t.Errorf("fsyncs: %+v", f)
		}
	})
}
