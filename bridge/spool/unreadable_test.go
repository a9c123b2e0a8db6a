package spool

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A file that fails to be read is tried for a while, then skipped.
func TestUnreadableSegmentDoesNotBlockTheQueue(t *testing.T) {
	for _, op := range []string{"open", "read"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newMemDisk()
				s := nineEvents(t, d)
				bad := d.files(segmentSuffix)[1]
				d.setFail(func(did, path string) error {
					if did == op && path == bad {
						return syscall.EIO
					}
					return nil
				})
				r := s.Reader()
				began := time.Now()
				got, failures := readOn(t, r, func(int) error {
					<-time.After(time.Second)
					return r.Rewind(0) // as the forwarder may: what is read again is no progress
				})
				if len(got) >= 9 || got[0] != "event 0" || got[len(got)-1] != "event 8" {
					t.Errorf("got %v", got)
				}
				if took := time.Since(began); took != readPatience {
					t.Errorf("skipped after %s and %d failures", took, failures)
				}
				if s.Stats().Lost == 0 {
					t.Error("the loss does not show")
				}
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// The segment that takes the appends does not read back, or its file was removed: what comes after
// it was skipped goes into another file, and is read.
func TestUnreadableActiveSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk()
		s := still(t, d, Options{})
		mustAppend(t, s, "lost")
		bad := d.files(segmentSuffix)[0]
		d.setFail(func(did, path string) error {
			if did == "open" && path == bad {
				return syscall.ENOENT
			}
			return nil
		})
		r := s.Reader()
		for end := time.Now().Add(2 * readPatience); time.Now().Before(end); <-time.After(time.Second) {
			_, _, payload, err := r.Next()
			if payload != nil || err == nil {
				break
			}
		}
		mustAppend(t, s, "kept")
		if _, _, payload, err := r.Next(); string(payload) != "kept" || err != nil {
			t.Errorf("%q, %v", payload, err)
		}
		if s.Stats().Lost != 1 {
			t.Errorf("%+v", s.Stats())
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// A short hiccup skips nothing, however often it is asked for meanwhile. Nor does a process or a
// machine that is out of something, however long.
func TestHealthyRecordsAreNotSkipped(t *testing.T) {
	for _, op := range []string{"open", "read"} {
		for errno, lasts := range map[syscall.Errno]time.Duration{
			syscall.EIO: readPatience - time.Second, syscall.EMFILE: time.Hour, syscall.ENFILE: time.Hour,
			syscall.ENOMEM: time.Hour, syscall.EINTR: time.Hour, syscall.EAGAIN: time.Hour,
		} {
			t.Run(fmt.Sprint(op, " ", errno), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := newMemDisk()
					s := nineEvents(t, d)
					r := s.Reader()
					d.setFail(failing(errno, op))
					got, _ := readOn(t, r, func(failures int) error {
						<-time.After(lasts / 100)
						if failures == 100 {
							d.setFail(nil)
						}
						return nil
					})
					if st := s.Stats(); len(got) != 9 || st.Lost != 0 || st.Damaged != 0 {
						t.Errorf("got %v; %+v", got, st)
					}
					if err := r.Close(); err != nil {
						t.Fatal(err)
					}
				})
			})
		}
	}
}

// nineEvents returns a spool on d with the events 0 to 8 in several segments.
func nineEvents(t *testing.T, d disk) *Spool {
	t.Helper()
	s := still(t, d, Options{SegmentBytes: 128})
	for i := range 9 {
		mustAppend(t, s, fmt.Sprintf("event %d", i))
	}
	return s
}

// readOn reads to the end of the log, and calls failed with the count of failures after each.
// It returns what the last of the reads has returned since the reader was sent back.
func readOn(t *testing.T, r *Reader, failed func(failures int) error) (got []string, failures int) {
	t.Helper()
	for {
		seq, _, payload, err := r.Next()
		switch {
		case err != nil:
			failures++
			if err := failed(failures); err != nil {
				t.Fatal(err)
			}
		case payload == nil:
			return got, failures
		default:
			if seq == 1 {
				got = nil
			}
			got = append(got, string(payload))
		}
	}
}

// A start that lacks files to read what is kept fails, whichever it is that it lacks one for, and the
// next one that has them reads all.
func TestOpenOutOfFiles(t *testing.T) {
	before := newMemDisk()
	s := nineEvents(t, before)
	if err := s.ack(Cursor{Seq: 2, SpoolID: s.id}); err != nil {
		t.Fatal(err)
	}
	before.names[segmentPath("spool", 3)].data[0] ^= 1 // a header that has to be rebuilt
	for n := 0; ; n++ {
		d := before.killed()
		opens := 0
		d.setFail(func(op, _ string) error {
			if op != "open" {
				return nil
			}
			if opens++; opens == n+1 {
				return syscall.EMFILE
			}
			return nil
		})
		s, err := openOn(d, Options{Dir: "spool", SegmentBytes: 128})
		if err == nil && opens <= n {
			break // it opens no more than n
		}
		if err == nil && len(drain(t, s.Reader())) == 7 {
			continue // it can do without that one
		}
		if !errors.Is(err, syscall.EMFILE) {
			t.Errorf("without the file that is opened as number %d: %v", n+1, err)
		}
		d.setFail(nil)
		if got := texts(t, still(t, d, Options{})); !strings.HasPrefix(got, "event 2 ") || !strings.HasSuffix(got, "event 8") {
			t.Errorf("the next start reads %q", got)
		}
	}
}
