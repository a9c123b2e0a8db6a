package spool

import (
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkAppend is the cost of one event of 600 bytes, beside a bare write(2)
// of as many bytes in the same run.
func BenchmarkAppend(b *testing.B) {
	payload := make([]byte, 600)
	b.Run("bare-write", func(b *testing.B) {
		f, err := os.Create(filepath.Join(b.TempDir(), "bare"))
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		frame := make([]byte, frameLen(len(payload)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := f.Write(frame); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, mode := range []struct {
		name string
		sync SyncMode
	}{{"interval", SyncInterval}, {"off", SyncOff}, {"always", SyncAlways}} {
		b.Run(mode.name, func(b *testing.B) {
			s := open(b, Options{Dir: b.TempDir(), Sync: mode.sync, MaxBytes: 1 << 40})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Append(payload); err != nil {
					b.Fatal(err)
				}
			}
		})
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
