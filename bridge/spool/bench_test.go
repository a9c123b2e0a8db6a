package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/wal"
)

// BenchmarkAppend is the cost of one event of 600 bytes in each sync mode, from 1
// and from 64 goroutines, beside a bare write(2) of as many bytes and beside
// tidwall/wal. The names are such that benchstat can put them side by side:
//
//	benchstat -col /log -row /sync,/goroutines
//
// tidwall/wal has two modes, fsync at each write and none; a bare write too.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		log, sync string
		start     func(*testing.B) (appendOne func() error)
	}{
		{"write", "off", func(b *testing.B) func() error { return bareWrite(b, false) }},
		{"tidwall", "off", func(b *testing.B) func() error { return tidwall(b, false) }},
		{"spool", "off", func(b *testing.B) func() error { return spooled(b, SyncOff) }},
		{"spool", "interval", func(b *testing.B) func() error { return spooled(b, SyncInterval) }},
		{"write", "always", func(b *testing.B) func() error { return bareWrite(b, true) }},
		{"tidwall", "always", func(b *testing.B) func() error { return tidwall(b, true) }},
		{"spool", "always", func(b *testing.B) func() error { return spooled(b, SyncAlways) }},
	} {
		for _, goroutines := range []int{1, 64} {
			b.Run(fmt.Sprintf("log=%s/sync=%s/goroutines=%d", c.log, c.sync, goroutines), func(b *testing.B) {
				measure(b, goroutines, c.start(b))
			})
		}
	}
}

const benchPayload = 600 // bytes

func bareWrite(b *testing.B, always bool) func() error {
	f, err := os.Create(filepath.Join(b.TempDir(), "bare"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := f.Close(); err != nil {
			b.Error(err)
		}
	})
	frame := make([]byte, frameLen(benchPayload))
	return func() error {
		if _, err := f.Write(frame); err != nil || !always {
			return err
		}
		return osFile{f}.Sync()
	}
}

// tidwall appends to a tidwall/wal. Its indexes have to follow each other, so a
// lock is held over index and write.
func tidwall(b *testing.B, always bool) func() error {
	log, err := wal.Open(b.TempDir(), &wal.Options{NoSync: !always})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := log.Close(); err != nil {
			b.Error(err)
		}
	})
	var mu sync.Mutex
	var index uint64
	payload := make([]byte, benchPayload)
	return func() error {
		mu.Lock()
		defer mu.Unlock()
		index++
		return log.Write(index, payload)
	}
}

func spooled(b *testing.B, mode SyncMode) func() error {
	s := open(b, Options{Dir: b.TempDir(), Sync: mode, MaxBytes: 1 << 40})
	payload := make([]byte, benchPayload)
	return func() error {
		_, err := s.Append(payload)
		return err
	}
}

// measure calls do b.N times from some goroutines. It reports percentiles of
// single calls, and the processor time of the whole process for each: what
// goroutines in the background need is in it.
func measure(b *testing.B, goroutines int, do func() error) {
	b.ReportAllocs()
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	before := processorTime(b)
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
	used := processorTime(b) - before
	b.StopTimer()
	b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/op")
	slices.Sort(took)
	for _, p := range []struct {
		name  string
		share float64
	}{{"p50-ns", 0.5}, {"p99-ns", 0.99}, {"p99.9-ns", 0.999}} {
		at := min(int(p.share*float64(b.N)), b.N-1)
		b.ReportMetric(float64(took[at]), p.name)
	}
}

// processorTime is what this process has used, in user code and in the kernel.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
