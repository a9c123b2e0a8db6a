package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// userHZ is the unit of times in /proc on every architecture Go runs on: sysconf(_SC_CLK_TCK).
const userHZ = 100

// errProc says that the kernel's accounting does not read as proc(5) describes it.
var errProc = errors.New("unexpected text of the kernel")

// usage is what the kernel has accounted to a process. The sum of user and system is
// exact to 10 ms; how it divides into the two is sampled.
type usage struct {
	user, system time.Duration
	peak         int64 // highest resident memory, bytes
	resident     int64 // bytes
	anonymous    int64 // of them what is in no file
	threads      int
	files        int // open descriptors
}

// readUsage returns the accounts of a process that runs.
func readUsage(pid int) (usage, error) {
	var u usage
	dir := fmt.Sprintf("/proc/%d/", pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return u, fmt.Errorf("account of process %d: %w", pid, err)
	}
	if u.user, u.system, err = parseStat(stat); err != nil {
		return u, fmt.Errorf("%sstat: %w", dir, err)
	}
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return u, fmt.Errorf("account of process %d: %w", pid, err)
	}
	if err := u.parseStatus(status); err != nil {
		return u, fmt.Errorf("%sstatus: %w", dir, err)
	}
	files, err := os.ReadDir(dir + "fd")
	if err != nil {
		return u, fmt.Errorf("account of process %d: %w", pid, err)
	}
	u.files = len(files)
	return u, nil
}

// parseStat reads the times out of /proc/PID/stat. The command's name, in parentheses,
// may hold blanks and parentheses of its own.
func parseStat(stat []byte) (user, system time.Duration, err error) {
	const utime, stime = 11, 12 // behind the name, from 0: fields 14 and 15 of proc(5)
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) <= stime {
		return 0, 0, fmt.Errorf("%w: %q", errProc, stat)
	}
	var ticks [2]uint64
	for i := range ticks {
		if ticks[i], err = strconv.ParseUint(fields[utime+i], 10, 63); err != nil {
			return 0, 0, fmt.Errorf("%w: %w", errProc, err)
		}
	}
	const tick = time.Second / userHZ
	return time.Duration(ticks[0]) * tick, time.Duration(ticks[1]) * tick, nil
}

// parseStatus reads memory and threads out of /proc/PID/status.
func (u *usage) parseStatus(status []byte) error {
	found := 0
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		var to *int64
		var threads int64
		switch name {
		case "VmHWM":
			to = &u.peak
		case "VmRSS":
			to = &u.resident
		case "RssAnon":
			to = &u.anonymous
		case "Threads":
			to = &threads
		default:
			continue
		}
		number, kilo := strings.CutSuffix(strings.TrimSpace(value), " kB")
		n, err := strconv.ParseInt(number, 10, 53)
		if err != nil {
			return fmt.Errorf("%w: %w", errProc, err)
		}
		if *to = n; kilo {
			*to = n << 10
		}
		u.threads += int(threads)
		found++
	}
	if found != 4 {
		return fmt.Errorf("%w: it has no VmHWM, VmRSS, RssAnon or Threads", errProc)
	}
	return nil
}
