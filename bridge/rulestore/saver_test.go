package rulestore

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// The saver rests after each write, so that many changes are one file.
func TestSaverRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "rules.snapshot")
		written := 0
		s := startSaver(path, time.Second, func() *snapshot { written++; return &snapshot{} }, slog.New(slog.DiscardHandler))
		for range 1000 { // ten seconds
			s.changed()
			time.Sleep(10 * time.Millisecond)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		if written != 11 {
			t.Errorf("%d files written in ten seconds", written)
		}
	})
}

// A saver that has worked for a second rests ten before it goes on, and only close
// gets the file at once.
func TestSaverRestsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "rules.snapshot")
		written := 0
		s := startSaver(path, time.Second, func() *snapshot {
			written++
			time.Sleep(time.Second)
			return &snapshot{}
		}, slog.New(slog.DiscardHandler))
		for range 33 {
			s.changed()
			time.Sleep(time.Second)
		}
		synctest.Wait() // orders the saver's writes before this read
		if written != 3 {
			t.Errorf("%d files written in 33 seconds", written)
		}
		s.changed()
		closing := time.Now()
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(closing); took != time.Second {
			t.Errorf("the last one took %s, a second of it work", took)
		}
		if written != 4 {
			t.Errorf("%d files written with the one at the end", written)
		}
	})
}

// A large snapshot is written in short turns, with rests between them.
func TestSaverTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns []int
		began := time.Now()
		busy := writerFunc(func(b []byte) (int, error) {
			turns = append(turns, len(b))
			time.Sleep(time.Millisecond)
			return len(b), nil
		})
		docs := newDocuments(0)
		for i := range 5000 {
			key := fmt.Sprintf("team.%d", i)
			docs.put(judge(version{key: key, data: []byte(allow(key))}, docs).doc, uint64(i))
		}
		p := &pace{}
		p.begin()
		if _, err := (&snapshot{documents: docs.freeze()}).encode(pacedWriter{busy, p}); err != nil {
			t.Fatal(err)
		}
		if len(turns) < 5 || slices.Max(turns) > 128<<10 {
			t.Errorf("turns of %v bytes", turns)
		}
		if took, want := time.Since(began), time.Duration(len(turns))*(1+restFactor)*time.Millisecond; took != want {
			t.Errorf("%d turns took %s, want %s", len(turns), took, want)
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
