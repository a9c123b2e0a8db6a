package spool

import (
	"errors"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killedRun returns a disk with what a run that was killed has written and not synced: three
// records, of which the last is torn where the segment counts as damaged.
func killedRun(t *testing.T, damaged bool) *memDisk {
	t.Helper()
	d := newMemDisk()
	s := still(t, d, Options{})
	mustAppend(t, s, "first")
	mustAppend(t, s, strings.Repeat("x", 370))
	if damaged {
		d.mu.Lock()
		d.short, d.fail = true, func(string, string) error { return syscall.EROFS }
		d.mu.Unlock()
		if _, err := s.Append([]byte("torn")); err == nil {
			t.Fatal("appended")
		}
		d.setFail(nil)
	}
	return d
}

// leftByPowerCuts opens what several power cuts leave of d, which has to be both records.
func leftByPowerCuts(t *testing.T, d *memDisk) {
	t.Helper()
	for seed := range uint64(20) {
		s := still(t, d.powerCut(rand.New(rand.NewPCG(seed, 0))), Options{})
		if got := texts(t, s); !strings.HasPrefix(got, "first xxx") {
			t.Errorf("seed %d: %.20q is left", seed, got)
		}
	}
}

// What a killed run has written is on the disk when the run after it has closed, although its
// segment may count as damaged and be left as it is.
func TestInheritedSegmentIsSynced(t *testing.T) {
	for name, damaged := range map[string]bool{"whole": false, "damaged": true} {
		t.Run(name, func(t *testing.T) {
			d := killedRun(t, damaged)
			if err := still(t, d, Options{}).Close(); err != nil {
				t.Fatal(err)
			}
			leftByPowerCuts(t, d)
		})
	}
}

// While that cannot be done it shows, this run's own records are synced all the same, and it is
// done as soon as it can be.
func TestInheritedSegmentCannotBeSynced(t *testing.T) {
	for _, c := range []struct {
		name    string
		damaged bool
		err     error
		ops     string
		again   bool // the segment is written again
	}{
		{"whole, out of files", false, syscall.EMFILE, "open", false},
		{"whole, not to be written", false, syscall.EROFS, "open", false},
		{"whole, not cut", false, syscall.EIO, "truncate", true},
		{"whole, not synced", false, syscall.EIO, "sync", true},
		{"damaged, out of files", true, syscall.EMFILE, "open", false},
		{"damaged, not synced", true, syscall.EIO, "sync", true},
		{"damaged, not synced and not kept", true, syscall.EIO, "sync link", true},
		{"damaged, not synced and not replaced", true, syscall.EIO, "sync rename", true},
	} {
		for mode, name := range map[SyncMode]string{SyncInterval: "interval", SyncAlways: "always"} {
			t.Run(c.name+" "+name, func(t *testing.T) {
				d := killedRun(t, c.damaged)
				path := d.files(segmentSuffix)[0]
				s := still(t, d, Options{Sync: mode})
				fault := failing(c.err, c.ops)
				broken := func(op, on string) error {
					if !strings.HasPrefix(on, path) || op == "sync" && on != path { // a copy is synced
						return nil
					}
					return fault(op, on)
				}
				d.setFail(broken)
				s.tend()
				if st := s.Stats(); !strings.Contains(st.SyncError, c.err.Error()) {
					t.Errorf("the failure does not show: %q", st.SyncError)
				}
				for range 3 {
					mustAppend(t, s, "own")
					s.tend()
				}
				if err := s.syncer.sync(s); err != nil || s.active.safe.Load() != s.Tail() {
					t.Errorf("its own records wait for it: %v", err)
				}
				d.setFail(nil)
				s.tend()
				s.tend()
				st := s.Stats()
				if st.SyncError != "" {
					t.Errorf("still %q", st.SyncError)
				}
				if aside := len(d.files(damagedSuffix)); c.damaged && c.again != (aside == 1 && st.Quarantined == 1 && st.Damaged == 0) || aside > 1 {
					t.Errorf("set aside are %v; %+v", d.files(damagedSuffix), st)
				}
				leftByPowerCuts(t, d)
			})
		}
	}
}

// A run that ends before it could be done says so.
func TestCloseTellsOfInheritedSegments(t *testing.T) {
	d := killedRun(t, false)
	s := still(t, d, Options{})
	d.setFail(failing(syscall.EMFILE, "open"))
	if err := s.Close(); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("close: %v", err)
	}
	if st := s.Stats(); st.SyncError == "" {
		t.Error("it does not show")
	}
}

// A segment that was acked and removed meanwhile needs no sync.
func TestInheritedSegmentIsGone(t *testing.T) {
	d := killedRun(t, false)
	s := still(t, d, Options{Retain: 1})
	d.setFail(failing(syscall.EIO, "sync"))
	s.tend()
	d.setFail(nil)
	if err := s.ack(Cursor{Seq: s.Tail(), SpoolID: s.id}); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if err := s.removeAcked(time.Now().Add(time.Duration(i) * time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	d.setFail(failing(syscall.EIO, "create"))
	s.tend()
	if st := s.Stats(); st.SyncError != "" || len(s.inherited) != 0 {
		t.Errorf("%q", st.SyncError)
	}
}
