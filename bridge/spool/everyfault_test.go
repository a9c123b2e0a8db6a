package spool

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// everyFault says how many of the faults of TestEveryFault are tried: one in so many. A run of all
// of them, which takes a minute or two, sets SPOOL_EVERY_FAULT.
func everyFault() int {
	if os.Getenv("SPOOL_EVERY_FAULT") != "" {
		return 1
	}
	return 32
}

// faultAt is a disk that fails from operation number at on, count times.
type faultAt struct {
	at, count int
	err       syscall.Errno
	short     bool
}

func (f faultAt) String() string {
	return fmt.Sprintf("%v from operation %d, %d times, short %v", f.err, f.at, f.count, f.short)
}

// The disk fails at any operation, from the start of a run that takes over what another has left, once
// or for a while or for good. What the mode promises is kept: read on in the same run, after a kill,
// and after power cuts.
func TestEveryFault(t *testing.T) {
	const forGood = 1 << 30
	thin, seed := everyFault(), uint64(time.Now().UnixNano())
	for _, mode := range []SyncMode{SyncInterval, SyncAlways, SyncOff} {
		operations := (&faultRun{mode: mode}).run(t, faultAt{at: forGood})
		if operations < 50 || operations > 1000 {
			t.Fatalf("a run has %d operations", operations)
		}
		r := rand.New(rand.NewPCG(seed, uint64(mode)))
		for at := range operations {
			for _, count := range []int{1, 3, forGood} {
				for _, err := range []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EROFS} {
					for _, short := range []bool{false, true} {
						if r.IntN(thin) > 0 {
							continue
						}
						f := faultAt{at, count, err, short}
						(&faultRun{mode: mode}).run(t, f)
						if t.Failed() {
							t.Fatalf("mode %d, %v", mode, f)
						}
					}
				}
			}
		}
	}
}

// faultRun is one run on a failing disk, and knows what it was answered.
type faultRun struct {
	mode     SyncMode
	disk     *memDisk
	answered map[string]bool // and whether a power cut must leave it
	order    []string        // all that was tried: what failed may be read, or not
}

// run plays the scenario on a disk that fails as f says, and returns how many operations it had.
func (r *faultRun) run(t *testing.T, f faultAt) int {
	t.Helper()
	r.answered = map[string]bool{}
	r.disk = newMemDisk()
	before := r.open(t)
	for i := range 5 {
		r.append(before, fmt.Sprint("earlier ", i))
	}
	r.promise(before) // and then it is killed
	for i := range 3 {
		r.append(before, fmt.Sprint("unsynced ", i))
	}
	operations := 0
	r.disk.mu.Lock()
	r.disk.short = f.short
	r.disk.fail = func(string, string) error {
		if operations++; operations > f.at && operations <= f.at+f.count {
			return f.err
		}
		return nil
	}
	r.disk.mu.Unlock()
	s, err := openOn(r.disk, r.options())
	if err != nil { // as after a failed List: another start takes over
		r.disk.setFail(nil)
		s = r.open(t)
	}
	for i := range 12 {
		r.append(s, fmt.Sprint("event ", i))
		if i%4 == 3 {
			s.tend()
			r.promise(s)
		}
	}
	r.check(t, s, "failing")
	r.disk.setFail(nil)
	r.check(t, still(t, r.disk.killed(), r.options()), "killed")
	if r.mode != SyncOff {
		for range 3 {
			r.check(t, still(t, r.disk.powerCut(rand.New(rand.NewPCG(uint64(f.at), uint64(f.count)))), r.options()), "power cut")
		}
	}
	return operations
}

func (r *faultRun) options() Options {
	return Options{Dir: "spool", Sync: r.mode, SegmentBytes: 256, Retain: time.Hour}
}

func (r *faultRun) open(t *testing.T) *Spool {
	t.Helper()
	return still(t, r.disk, r.options())
}

// append appends payload, whatever the disk says.
func (r *faultRun) append(s *Spool, payload string) {
	s.mu.Lock()
	s.createAfter = time.Time{} // its back-off has ended
	s.mu.Unlock()
	payload += strings.Repeat(".", 40)
	r.order = append(r.order, payload)
	if _, err := s.Append([]byte(payload)); err == nil {
		r.answered[payload] = r.mode == SyncAlways
	}
}

// promise notes that what was answered is on the disk, if s says so.
func (r *faultRun) promise(s *Spool) {
	if s.settle() != nil || s.Stats().Damaged > 0 || r.mode == SyncOff {
		return
	}
	for payload := range r.answered {
		r.answered[payload] = true
	}
}

// check reads s from its start. After a power cut only what is promised has to be there. What a start
// could not read while the disk was failing is told, and there for the next one.
func (r *faultRun) check(t *testing.T, s *Spool, when string) {
	t.Helper()
	reader := s.Reader()
	defer reader.Close()
	var got []string
	for failures := 0; ; {
		_, _, payload, err := reader.Next()
		if err != nil {
			if failures++; failures == 3 { // it holds the reader until the disk is well again
				r.disk.setFail(nil)
			}
			continue
		}
		if payload == nil {
			break
		}
		got = append(got, string(payload))
	}
	last := -1
	for _, payload := range got {
		at := slices.Index(r.order, payload)
		if at < 0 {
			t.Errorf("%q was never appended", payload)
		}
		if at <= last {
			t.Errorf("%q is out of order in %q", payload, got)
		}
		last = at
	}
	var missing []string
	for payload, safe := range r.answered {
		if (safe || when != "power cut") && !slices.Contains(got, payload) {
			missing = append(missing, payload)
		}
	}
	if st := s.Stats(); len(missing) > 0 && (st.Damaged == 0 || when != "failing") {
		t.Errorf("%s: %q are lost; %+v", when, missing, st)
	}
}
