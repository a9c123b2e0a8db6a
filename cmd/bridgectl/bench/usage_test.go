//go:build linux

package bench

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	const behind = " S 1 4711 4711 0 -1 4194560 1 2 3 4 1234 56 7 8 20 0 9 0 100 1 1"
	for _, test := range []struct {
		name, stat   string
		user, system time.Duration
		err          error
	}{
		{"a plain name", "4711 (bridge)" + behind, 12340 * time.Millisecond, 560 * time.Millisecond, nil},
		{"a name with blanks and parentheses", "4711 (a) b (c 1 2 3)" + behind, 12340 * time.Millisecond, 560 * time.Millisecond, nil},
		{"cut short", "4711 (bridge) S 1 4711", 0, 0, errProc},
		{"no number", "4711 (bridge) S 1 4711 4711 0 -1 4194560 1 2 3 4 12x4 56 7 8", 0, 0, errProc},
		{"empty", "", 0, 0, errProc},
	} {
		t.Run(test.name, func(t *testing.T) {
			user, system, err := parseStat([]byte(test.stat))
			if user != test.user && err == nil || system != test.system && err == nil || !errors.Is(err, test.err) {
				t.Errorf("got %s, %s, %v", user, system, err)
			}
		})
	}
}

func TestParseStatus(t *testing.T) {
	var u usage
	err := u.parseStatus([]byte("Name:\tbridge\nVmPeak:\t  900 kB\nVmHWM:\t   20 kB\nVmRSS:\t   10 kB\nRssAnon:\t    4 kB\nThreads:\t9\n"))
	if err != nil || u.peak != 20<<10 || u.resident != 10<<10 || u.anonymous != 4<<10 || u.threads != 9 {
		t.Errorf("got %+v, %v", u, err)
	}
	for _, text := range []string{"Name:\tbridge\nVmRSS:\t 10 kB\nThreads:\t1\n", "VmHWM:\tmany kB\n", ""} {
		if err := new(usage).parseStatus([]byte(text)); !errors.Is(err, errProc) {
			t.Errorf("%q: %v, want %v", text, err, errProc)
		}
	}
}

// The account of this process lies between what getrusage(2) says before and after,
// but for the clock's ticks.
func TestReadUsage(t *testing.T) {
	const ticks = 2 * time.Second / userHZ // each of the two times is cut to one
	burn(100 * time.Millisecond)
	before := rusage(t)
	u, err := readUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	after := rusage(t)
	if got := u.user + u.system; got < before-ticks || got > after+ticks {
		t.Errorf("%s of processor time, getrusage says %s to %s", got, before, after)
	}
	if u.resident <= 0 || u.anonymous <= 0 || u.anonymous > u.resident || u.peak < u.resident || u.threads < 1 || u.files < 3 {
		t.Errorf("got %+v", u)
	}
	if _, err := readUsage(0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("process 0: %v", err)
	}
}

func burn(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		continue
	}
}

func rusage(t *testing.T) time.Duration {
	t.Helper()
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
