package spool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// One fsync serves all that wait.
func TestGroupCommit(t *testing.T) {
	const writers, each = 64, 50
	d := &gatedDisk{gate: make(chan struct{})}
	s, err := openOn(d, Options{Dir: t.TempDir(), Sync: SyncAlways})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if _, err := s.Append(make([]byte, 100)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	close(d.gate)
	wg.Wait()
	n := s.Stats().Fsync.Count
	t.Logf("%d fsyncs for %d appends", n, writers*each)
	if n > writers*each/2 { // a few dozen where nobody else wants the processors
		t.Errorf("%d fsyncs for %d appends", n, writers*each)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// An fsync that hangs holds no append, whatever the janitor waits for.
func TestAppendsGoOnDuringAnFsync(t *testing.T) {
	d := &gatedDisk{gate: make(chan struct{}), reached: make(chan struct{}, 1)}
	s, err := openOn(d, Options{Dir: t.TempDir(), SegmentBytes: 4096, SyncInterval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, "one")
	done := make(chan error)
	go func() { done <- s.syncer.sync(s) }()
	<-d.reached
	for range 100 { // several rotations among them
		mustAppend(t, s, strings.Repeat("x", 200))
	}
	if st := s.Stats(); st.Tail != 101 {
		t.Errorf("%+v", st)
	}
	close(d.gate)
	if err := errors.Join(<-done, s.Close()); err != nil {
		t.Fatal(err)
	}
}

// With SyncInterval a power cut takes what is younger than the interval, and no more. With
// SyncOff nothing is synced while the spool runs.
func TestSyncedEveryInterval(t *testing.T) {
	const interval = 30 * time.Millisecond // not that of the janitor's other work
	for _, c := range []struct {
		name   string
		mode   SyncMode
		synced bool
	}{{"interval", SyncInterval, true}, {"off", SyncOff, false}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newMemDisk()
				s := still(t, d, Options{Sync: c.mode, SyncInterval: interval})
				s.janitor.Go(s.keepHouse)
				synctest.Wait() // what is to be done at the start
				for i := range 5 {
					mustAppend(t, s, fmt.Sprint("event ", i))
					time.Sleep(interval)
					synctest.Wait()
					for seed := range uint64(20) {
						after := still(t, d.powerCut(rand.New(rand.NewPCG(seed, 0))), Options{})
						if got := len(drain(t, after.Reader())); c.synced && got != i+1 {
							t.Errorf("seed %d: %d of %d events are left", seed, got, i+1)
						}
					}
					if n := d.count("sync"); (n > i) != c.synced || !c.synced && n > 0 {
						t.Errorf("%d syncs after %d intervals", n, i+1)
					}
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// gatedDisk is the real disk, whose Sync waits for a gate.
type gatedDisk struct {
	osDisk
	gate    chan struct{}
	reached chan struct{}
}

func (d *gatedDisk) Open(path string, flag int) (diskFile, error) {
	f, err := d.osDisk.Open(path, flag)
	if err != nil {
		return nil, err
	}
	return &gatedFile{f, d}, nil
}

type gatedFile struct {
	diskFile
	d *gatedDisk
}

func (f *gatedFile) Sync() error {
	select {
	case f.d.reached <- struct{}{}:
	default:
	}
	<-f.d.gate
	return f.diskFile.Sync()
}
