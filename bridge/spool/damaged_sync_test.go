package spool

import (
	"errors"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
)

// Records before a torn one are on the disk when the run after a kill has closed, although their
// segment counts as damaged and is left as it is.
func TestDamagedSegmentIsSynced(t *testing.T) {
	opts := Options{Dir: "spool", Sync: SyncInterval, SegmentBytes: 1024}
	for seed := range uint64(20) {
		disk := newMemDisk()
		s, err := openOn(disk, opts)
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, s, "first")
		mustAppend(t, s, strings.Repeat("x", 370))
		disk.mu.Lock()
		disk.short, disk.fail = true, func(string, string) error { return syscall.EROFS }
		disk.mu.Unlock()
		if _, err := s.Append([]byte("torn")); err == nil {
			t.Fatal("appended")
		}
		disk.setFail(nil)
		s, err = openOn(disk, opts) // it was killed
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
		s, err = openOn(disk.powerCut(rand.New(rand.NewPCG(seed, 0))), opts)
		if err != nil {
			t.Fatal(err)
		}
		if got := drain(t, s.Reader()); len(got) != 2 {
			t.Errorf("seed %d: %d records are left", seed, len(got))
		}
	}
}
