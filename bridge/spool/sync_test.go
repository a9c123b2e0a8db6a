package spool

import (
	"errors"
	"strings"
	"sync"
	"testing"
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
