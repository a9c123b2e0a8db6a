package rulestore

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"bintubridge/bridge/decide"
	"bintubridge/subjects"
)

// sizes are the numbers of documents, of one rule each, that are measured.
func sizes(b *testing.B, run func(b *testing.B, n int)) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { run(b, n) })
	}
}

func benchKey(i int) string { return fmt.Sprintf("team.%d", i) }

// filled is a follower whose store has n documents in force.
func filled(b *testing.B, n int, opts Options) *follower {
	b.Helper()
	store, err := Open(opts)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	edit := store.view.Load().table.Edit()
	l := newLedger(0)
	c := startCompilers(newDocuments(0), func(v verdict) {
		was, is := l.apply(v)
		replace(edit, was, is)
	})
	for i := range n {
		c.add(version{key: benchKey(i), data: []byte(allow(fmt.Sprintf("camera-%d", i))), message: message{revision: uint64(i + 1)}})
	}
	c.finish()
	c.stop()
	store.ledger = l
	f := &follower{store: store, log: slog.New(slog.DiscardHandler)}
	f.swap(edit.Table(l.last))
	return f
}

// One push put in force: from the message to the table.
func BenchmarkPush(b *testing.B) {
	sizes(b, func(b *testing.B, n int) {
		f := filled(b, n, Options{})
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			f.take(pushed(benchKey(i*7919%n), allow(fmt.Sprintf("camera-%d", i)), uint64(n+i+1)))
			f.flush()
		}
	})
}

// The same while the saver takes its frozen copy every millisecond, which it does
// once a second at most.
func BenchmarkPushWhileFreezing(b *testing.B) {
	sizes(b, func(b *testing.B, n int) {
		f := filled(b, n, Options{})
		frozen, longest := time.Now(), time.Duration(0)
		b.ResetTimer()
		for i := range b.N {
			began := time.Now()
			if began.Sub(frozen) > time.Millisecond {
				f.store.snapshot()
				frozen = began
			}
			f.take(pushed(benchKey(i*7919%n), allow(fmt.Sprintf("camera-%d", i)), uint64(n+i+1)))
			f.flush()
			longest = max(longest, time.Since(began))
		}
		b.ReportMetric(float64(longest.Microseconds()), "µs-longest")
	})
}

// Open with a snapshot: until decisions are made by it.
func BenchmarkOpenSnapshot(b *testing.B) {
	sizes(b, func(b *testing.B, n int) {
		opts := Options{SnapshotPath: filepath.Join(b.TempDir(), "rules.snapshot")}
		if err := filled(b, n, opts).store.Close(); err != nil {
			b.Fatal(err)
		}
		b.ResetTimer()
		for range b.N {
			s, err := Open(opts)
			if err != nil || s.Status().Documents != n {
				b.Fatal(s.Status().Documents, err)
			}
			b.StopTimer()
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
}

// Writing a snapshot, with its fsyncs and without rests.
func BenchmarkWriteSnapshot(b *testing.B) {
	sizes(b, func(b *testing.B, n int) {
		snap := filled(b, n, Options{}).store.snapshot()
		path := filepath.Join(b.TempDir(), "rules.snapshot")
		closed := make(chan struct{})
		close(closed)
		restless := pace{quit: closed}
		b.ResetTimer()
		for range b.N {
			if err := replaceFile(path, snap, &restless); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecideOf(b *testing.B) {
	sizes(b, func(b *testing.B, n int) {
		f := filled(b, n, Options{})
		in, now := decide.Input{Call: subjects.Publish, Name: fmt.Sprintf("camera-%d", n/2)}, time.Now()
		b.ReportAllocs()
		for b.Loop() {
			f.store.Decide(&in, now)
		}
	})
}
