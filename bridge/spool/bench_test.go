package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkAppend is the cost of one event of 600 bytes, from 1 and from 64
// goroutines in each mode, beside a bare write(2) of as many bytes in the same
// run. The percentiles are of single calls, in microseconds.
func BenchmarkAppend(b *testing.B) {
	payload := make([]byte, 600)
	frame := make([]byte, frameLen(len(payload)))
	for _, goroutines := range []int{1, 64} {
		b.Run(fmt.Sprintf("bare-write/%d", goroutines), func(b *testing.B) {
			f, err := os.Create(filepath.Join(b.TempDir(), "bare"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			measure(b, goroutines, func() error {
				_, err := f.Write(frame)
				return err
			})
		})
		for _, mode := range []struct {
			name string
			sync SyncMode
		}{{"off", SyncOff}, {"interval", SyncInterval}, {"always", SyncAlways}} {
			b.Run(fmt.Sprintf("%s/%d", mode.name, goroutines), func(b *testing.B) {
				s := open(b, Options{Dir: b.TempDir(), Sync: mode.sync, MaxBytes: 1 << 40})
				measure(b, goroutines, func() error {
					_, err := s.Append(payload)
					return err
				})
				st := s.Stats()
				b.ReportMetric(float64(st.Fsync.Count)/float64(b.N), "fsyncs/op")
			})
		}
	}
}

// measure calls do b.N times from some goroutines and reports percentiles.
func measure(b *testing.B, goroutines int, do func() error) {
	b.ReportAllocs()
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range goroutines {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				start := time.Now()
				if err := do(); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(start)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	for _, p := range []struct {
		name  string
		share float64
	}{{"p50-µs", 0.5}, {"p99-µs", 0.99}, {"p99.9-µs", 0.999}} {
		at := min(int(p.share*float64(b.N)), b.N-1)
		b.ReportMetric(float64(took[at])/float64(time.Microsecond), p.name)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Sync: SyncOff})
	payload := make([]byte, 600)
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := s.Append(payload); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
