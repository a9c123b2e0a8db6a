package rulestore

import (
	"log/slog"
	"path/filepath"
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

// A large snapshot, which takes a second to write, is written every eleventh.
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
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		if written != 4 {
			t.Errorf("%d files written in 33 seconds", written)
		}
	})
}
