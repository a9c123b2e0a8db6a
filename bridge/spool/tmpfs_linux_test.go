package spool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The real thing: a file system of 512 KiB. It needs root, as CI has.
func TestRealDiskWithoutRoom(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("cannot mount a small tmpfs, run as root with CAP_SYS_ADMIN: %v", err)
		}
		t.Skipf("mounting a tmpfs needs root: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 300<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openSmall(t, filepath.Join(dir, "spool"))
	payload := []byte(strings.Repeat("x", 1000))
	n := 0
	for {
		_, err := s.Append(payload)
		if errors.Is(err, syscall.ENOSPC) {
			break
		}
		if err != nil || n > 1000 {
			t.Fatal(n, err)
		}
		n++
	}
	if _, err := s.Append(payload); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("append: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.createAfter = time.Time{}
	s.mu.Unlock()
	mustAppend(t, s, "room again")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSmall(t, filepath.Join(dir, "spool"))
	r := s.Reader()
	all := drain(t, r)
	if len(all) != n+1 || all[n].payload != "room again" {
		t.Errorf("%d records, want %d", len(all), n+1)
	}
	if err := errors.Join(r.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

func openSmall(t testing.TB, dir string) *Spool {
	t.Helper()
	s, err := openOn(osDisk{}, Options{Dir: dir, SegmentBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
