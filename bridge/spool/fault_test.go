package spool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// still opens a spool on d without its janitor: the test takes the steps.
func still(t testing.TB, d disk, o Options) *Spool {
	t.Helper()
	o.Dir = "spool"
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 4 << 10 // reserved room is memory here
	}
	s, err := openOn(d, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// failing returns a fault for the operations named in ops.
func failing(err error, ops string) func(op, path string) error {
	return func(op, _ string) error {
		for _, name := range strings.Fields(ops) {
			if name == op {
				return err
			}
		}
		return nil
	}
}

func texts(t testing.TB, s *Spool) string {
	t.Helper()
	r := s.Reader()
	defer r.Close()
	var all []string
	for _, e := range drain(t, r) {
		all = append(all, e.payload)
	}
	return strings.Join(all, " ")
}

// After an append that failed, whatever it left in the file, the next ones are
// right, and nothing half-written is ever read, before or after a crash.
func TestFailedWrites(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		short bool
		ops   string
	}{
		{"no room", syscall.ENOSPC, false, "write"},
		{"no room half way", syscall.ENOSPC, true, "write"},
		{"bad disk", syscall.EIO, false, "write"},
		{"bad disk but for the padding", syscall.EIO, true, "write"},
		{"and cannot be undone", syscall.EIO, true, "write truncate"},
		{"no room and cannot be undone", syscall.ENOSPC, true, "write truncate"},
		{"read-only", syscall.EROFS, false, "write truncate create"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newMemDisk()
			s := still(t, d, Options{SegmentBytes: 4096})
			mustAppend(t, s, "one")
			d.short = c.short
			d.setFail(failing(c.err, c.ops))
			if _, err := s.Append([]byte("a failed one")); !errors.Is(err, c.err) {
				t.Fatalf("append: %v", err)
			}
			if st := s.Stats(); st.AppendError == "" || st.Append.Failed != 1 {
				t.Errorf("the failure does not show: %+v", st)
			}
			if got := texts(t, still(t, d.killed(), Options{})); got != "one" && c.ops != "write truncate" {
				t.Errorf("after a crash: %q", got)
			}
			d.setFail(nil)
			mustAppend(t, s, "2")
			mustAppend(t, s, "three")
			if st := s.Stats(); st.AppendError != "" {
				t.Errorf("recovered, but %q", st.AppendError)
			}
			if got := texts(t, s); got != "one 2 three" {
				t.Errorf("got %q", got)
			}
			if got := texts(t, still(t, d.killed(), Options{})); !strings.HasSuffix(got, " 2 three") {
				t.Errorf("after a crash that followed: %q", got)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			again := still(t, d, Options{})
			if got := texts(t, again); got != "one 2 three" || again.Stats().Damaged+again.Stats().Quarantined > 0 {
				t.Errorf("after a restart: %q, %+v", got, again.Stats())
			}
		})
	}
}

// While no segment can be created, requests get the error at once, and the disk
// is asked ten times a second.
func TestFailingCreateIsNotRetriedByEachRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk()
		d.setFail(failing(syscall.ENOSPC, "create"))
		s := still(t, d, Options{})
		if st := s.Stats(); st.AppendError == "" {
			t.Error("a spool that opened on a full disk does not say so")
		}
		before := d.count("create")
		end := time.Now().Add(time.Second)
		for time.Now().Before(end) {
			if _, err := s.Append([]byte("x")); !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			<-time.After(time.Millisecond)
		}
		if n := d.count("create") - before; n < 8 || n > 10 {
			t.Errorf("asked %d times in a second, want about 10", n)
		}
		d.setFail(nil)
		<-time.After(createBackoff)
		mustAppend(t, s, "room again")
		if got := texts(t, s); got != "room again" {
			t.Errorf("got %q", got)
		}
	})
}

// A disk in trouble keeps nobody from starting; a folder that is no use does.
func TestOpenInTrouble(t *testing.T) {
	full := newMemDisk()
	s := still(t, full, Options{})
	mustAppend(t, s, "one")
	mustAppend(t, s, "two")
	if err := s.ack(Cursor{Seq: 1, SpoolID: s.id}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		err   error
		ops   string
		fatal bool
		want  string
	}{
		"full":             {syscall.ENOSPC, "create write mkdir rename allocate sync syncdir", false, "two"},
		"read-only":        {syscall.EROFS, "create write truncate rename remove allocate sync", false, "two"},
		"out of files":     {syscall.EMFILE, "create", false, "two"},
		"no permission":    {syscall.EACCES, "create", true, ""},
		"unlistable":       {syscall.EIO, "list", true, ""},
		"no segment opens": {syscall.EIO, "open", false, ""},

		"out of files to read": {syscall.EMFILE, "open", true, ""}, // nothing is passed over for it
		"out of memory":        {syscall.ENOMEM, "read", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := full.killed()
			d.setFail(failing(c.err, c.ops))
			s, err := openOn(d, Options{Dir: "spool", SegmentBytes: 4 << 10})
			if c.fatal != (err != nil) {
				t.Fatalf("open: %v", err)
			}
			if c.fatal {
				return
			}
			d.setFail(nil)
			s.mu.Lock()
			s.createAfter = time.Time{}
			s.mu.Unlock()
			if got := texts(t, s); got != c.want {
				t.Errorf("kept are %q, want %q", got, c.want)
			}
			mustAppend(t, s, "three")
			if got := strings.TrimSpace(c.want + " three"); texts(t, s) != got {
				t.Errorf("after the recovery %q, want %q", texts(t, s), got)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: file}); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a file as folder: %v", err)
	}
}

// After a failed fsync the records are written again elsewhere, under a reader's
// feet, until it works; then a power cut takes nothing.
func TestFailedFsync(t *testing.T) {
	two := strings.Repeat("2", 2*sectorSize) // whole sectors that nothing later dirties again
	for _, mode := range []SyncMode{SyncInterval, SyncAlways} {
		for _, where := range []string{"active", "sealed"} {
			if mode == SyncAlways && where == "sealed" {
				continue // its append fails in the active segment
			}
			t.Run(fmt.Sprint(mode, where), func(t *testing.T) {
				d := newMemDisk()
				s := still(t, d, Options{Sync: mode, SegmentBytes: 4096})
				mustAppend(t, s, "one")
				d.setFail(failing(syscall.EIO, "sync"))
				_, err := s.Append([]byte(two))
				if mode == SyncAlways && !errors.Is(err, syscall.EIO) {
					t.Fatalf("answered although the fsync failed: %v", err)
				}
				if where == "sealed" {
					s.mu.Lock()
					s.sealLocked()
					s.mu.Unlock()
				}
				r := s.Reader()
				defer r.Close()
				if _, _, payload, err := r.Next(); string(payload) != "one" || err != nil {
					t.Fatalf("%q %v", payload, err)
				}
				for range 5 { // the janitor tries and tries
					s.tend()
					if st := s.Stats(); !strings.Contains(st.SyncError, "input/output") {
						t.Fatalf("the failure does not show: %q", st.SyncError)
					}
				}
				if _, err := s.Append([]byte("three")); (err != nil) != (mode == SyncAlways) {
					t.Fatalf("append: %v", err)
				}
				if n := len(d.files(segmentSuffix)); n > 3 {
					t.Errorf("%d segments: each failure made another", n)
				}
				d.setFail(nil)
				s.tend()
				if st := s.Stats(); st.SyncError != "" || st.Fsync.Failed == 0 {
					t.Errorf("after the recovery: %+v", st)
				}
				if all := drain(t, r); len(all) != 2 || all[0].payload != two || all[0].seq != 2 || all[0].id != s.id {
					t.Errorf("the reader in the middle got %v", all)
				}
				if mode == SyncAlways {
					mustAppend(t, s, "four")
				}
				if leftovers := d.files(rewriteSuffix); len(leftovers) > 0 {
					t.Errorf("left over: %v", leftovers)
				}
				for seed := range uint64(20) {
					after := still(t, d.powerCut(rand.New(rand.NewPCG(seed, 0))), Options{})
					if got := texts(t, after); !strings.HasPrefix(got, "one "+two+" three") {
						t.Fatalf("after a power cut: %q", got)
					}
				}
			})
		}
	}
}

// A segment that rotates out while its fsync fails is written again once, like any other.
func TestFailedFsyncOfASegmentThatRotatesOut(t *testing.T) {
	d := newMemDisk()
	s := still(t, d, Options{})
	mustAppend(t, s, "one")
	seg := s.active
	s.mu.Lock()
	err := s.rotateLocked()
	s.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	s.syncer.mu.Lock()
	_ = s.syncer.abandon(s, seg, syscall.EIO)
	s.syncer.mu.Unlock()
	copies := 0
	d.setFail(func(op, path string) error {
		if op == "create" && strings.HasSuffix(path, rewriteSuffix) {
			copies++
		}
		return nil
	})
	for range 3 {
		s.tend()
	}
	if st := s.Stats(); st.SyncError != "" || copies != 1 {
		t.Errorf("%d copies, %q", copies, st.SyncError)
	}
}

// While a disk refuses to sync, it is not given one new segment after the other.
func TestFailingFsyncsDoNotMultiplySegments(t *testing.T) {
	d := newMemDisk()
	s := still(t, d, Options{})
	d.setFail(failing(syscall.EIO, "sync"))
	for range 20 {
		mustAppend(t, s, "x")
		if err := s.syncer.sync(s); err == nil {
			t.Fatal("no error")
		}
		s.tend()
	}
	if n := len(d.files(segmentSuffix)); n > 2 {
		t.Errorf("%d segments", n)
	}
}

// Records of an abandoned segment that do not read back are damage: they are
// reported, the file is kept, and syncing goes on.
func TestAbandonedAndUnreadable(t *testing.T) {
	t.Run("changed", func(t *testing.T) {
		abandonUnreadable(t, func(data []byte) { data[headerSize+frameSize] ^= 1 })
	})
	t.Run("forgotten", func(t *testing.T) {
		abandonUnreadable(t, func(data []byte) { clear(data[headerSize:]) })
	})
}

func abandonUnreadable(t *testing.T, damage func(data []byte)) {
	d := newMemDisk()
	s := still(t, d, Options{Sync: SyncInterval})
	mustAppend(t, s, "one")
	path := s.active.path
	d.setFail(failing(syscall.EIO, "sync"))
	if err := s.syncer.sync(s); err == nil {
		t.Fatal("no error")
	}
	d.setFail(nil)
	damage(d.names[path].data)
	mustAppend(t, s, "two")
	s.tend()
	if st := s.Stats(); st.SyncError != "" || st.Damaged != 1 {
		t.Errorf("%+v", st)
	}
	if got := texts(t, s); got != "two" {
		t.Errorf("got %q", got)
	}
	if d.names[path] == nil {
		t.Error("the damaged file is gone")
	}
}

// An append is one write, and no other goroutine takes part in it: none runs here.
func TestAppendIsOneWrite(t *testing.T) {
	for _, mode := range []SyncMode{SyncInterval, SyncOff} {
		d := newMemDisk()
		s := still(t, d, Options{Sync: mode})
		clear(d.ops)
		for range 20 {
			mustAppend(t, s, strings.Repeat("x", 100))
		}
		if len(d.ops) != 1 || d.count("write") != 20 {
			t.Errorf("mode %d: %v for 20 appends", mode, d.ops)
		}
	}
}

// An append that fills a segment takes the prepared one: it creates nothing and
// syncs nothing.
func TestRotationWithoutFsync(t *testing.T) {
	d := newMemDisk()
	s := still(t, d, Options{SegmentBytes: 1024})
	big := strings.Repeat("x", 300)
	mustAppend(t, s, big)
	mustAppend(t, s, big)
	s.tend()
	if len(d.files(preparedSuffix)) != 1 {
		t.Fatal("half full, and nothing is prepared")
	}
	before := d.count("sync") + d.count("syncdir") + d.count("create")
	for range 2 {
		mustAppend(t, s, big)
	}
	if n := d.count("sync") + d.count("syncdir") + d.count("create") - before; n != 0 || len(d.files(segmentSuffix)) != 2 {
		t.Errorf("%d operations on the append path, segments %v", n, d.files(segmentSuffix))
	}
	if size := len(d.names[s.active.path].data); size != 1024 {
		t.Errorf("the new segment has room for %d bytes", size)
	}
	// Without a prepared one it is made in place, still without a sync.
	for range 4 {
		mustAppend(t, s, big)
	}
	if n := d.count("sync") + d.count("syncdir") + d.count("create") - before; n == 0 || n > 3 {
		t.Errorf("%d operations", n)
	}
	s.tend()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Reserved room is given back: at Close, and of a killed run at the next Open.
func TestNoRoomIsWasted(t *testing.T) {
	sizes := func(d *memDisk) (total int) {
		for _, f := range d.names {
			total += len(f.data)
		}
		return total
	}
	for name, end := range map[string]func(*Spool, *memDisk) *memDisk{
		"closed": func(s *Spool, d *memDisk) *memDisk { _ = s.Close(); return d },
		"killed": func(_ *Spool, d *memDisk) *memDisk { return d.killed() },
	} {
		t.Run(name, func(t *testing.T) {
			d := newMemDisk()
			for i := range 4 {
				s := still(t, d, Options{SegmentBytes: 64 << 10})
				if i%2 == 0 { // every other run is idle
					mustAppend(t, s, strings.Repeat("x", 40<<10))
					s.tend()
				}
				d = end(s, d)
			}
			s := still(t, d, Options{SegmentBytes: 64 << 10})
			s.tend()
			if len(d.files(preparedSuffix)) > 0 {
				t.Error("a prepared segment of an earlier run is left")
			}
			if got := len(d.files(segmentSuffix)); got != 3 {
				t.Errorf("%d segments of two runs that wrote, and the active one", got)
			}
			if total := sizes(d); total > 2*(41<<10)+64<<10 {
				t.Errorf("%d bytes on the disk", total)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if total := sizes(d); total > 2*(41<<10) {
				t.Errorf("%d bytes on the disk of a closed spool", total)
			}
		})
	}
}
