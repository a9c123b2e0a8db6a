package spool

import (
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A disk that refuses records shows until it takes them again, whether somebody appends
// meanwhile or not. Trying it leaves nothing in the log.
func TestProbe(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		ops  string
	}{
		{"no room", syscall.ENOSPC, "write"},
		{"bad disk", syscall.EIO, "write"},
		{"read-only", syscall.EROFS, "write truncate create"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newMemDisk()
				s := still(t, d, Options{SegmentBytes: 16 << 10})
				s.janitor.Go(s.keepHouse)
				mustAppend(t, s, "one")
				d.setFail(failing(c.err, c.ops))
				if _, err := s.Append([]byte("refused")); err == nil {
					t.Fatal("the disk takes it")
				}
				time.Sleep(time.Minute)
				if s.Stats().AppendError == "" {
					t.Error("it does not show after a quiet minute")
				}
				d.setFail(nil)
				time.Sleep(2 * janitorInterval)
				if text := s.Stats().AppendError; text != "" {
					t.Errorf("it still shows: %s", text)
				}
				mustAppend(t, s, "two")
				if got := texts(t, still(t, d.killed(), Options{})); got != "one two" {
					t.Errorf("after a crash: %q", got)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if again := still(t, d, Options{}); texts(t, again) != "one two" || again.Stats().Damaged+again.Stats().Quarantined > 0 {
					t.Errorf("after a restart: %+v", again.Stats())
				}
			})
		})
	}
}

// A spool that was full no longer says so once there is room.
func TestProbeOfAFullSpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := still(t, newMemDisk(), Options{MaxBytes: 64 << 10})
		s.janitor.Go(s.keepHouse)
		var last uint64
		for {
			seq, err := s.Append([]byte(strings.Repeat("x", 1000)))
			if err != nil {
				break
			}
			last = seq
		}
		time.Sleep(time.Minute)
		if s.Stats().AppendError != ErrFull.Error() {
			t.Errorf("full, and %q", s.Stats().AppendError)
		}
		if err := s.ack(Cursor{Seq: last, SpoolID: s.id, StreamSeq: 1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * janitorInterval)
		if text := s.Stats().AppendError; text != "" {
			t.Errorf("there is room, and %q", text)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
