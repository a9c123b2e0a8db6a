package spool

import (
	"slices"
	"time"
)

// maxMarks bounds the marks kept. Beyond it every second one goes, and they are
// made half as often: after hours without an ack an age is less exact, by one part
// in 2048 of those hours.
const maxMarks = 4096

// mark says that every record after sequence seq was appended after at.
type mark struct {
	seq uint64
	at  time.Time
}

// ages tells how old a record is without a clock in Append: the janitor notes
// once a second how far the log has come. An age is never told too small, and
// too large by up to that second; of a record of an earlier run it is that of its
// segment. Spool.mu guards it.
type ages struct {
	marks []mark        // ascending in both
	apart time.Duration // at least, so that they stay few
}

// note says that the log ends with seq now.
func (a *ages) note(seq uint64, now time.Time) {
	if n := len(a.marks); n > 0 && a.marks[n-1].seq >= seq {
		if a.marks[n-1].seq == seq {
			a.marks[n-1].at = now
		}
		return
	}
	if n := len(a.marks); n > 0 && now.Sub(a.marks[n-1].at) < a.apart {
		return
	}
	if len(a.marks) == maxMarks {
		a.apart = max(2*a.apart, 2*janitorInterval)
		kept := a.marks[:0]
		for i := 0; i < maxMarks; i += 2 {
			kept = append(kept, a.marks[i])
		}
		a.marks = kept
	}
	a.marks = append(a.marks, mark{seq, now})
}

// since returns the latest time after which record seq was surely appended, zero
// when nothing is known of it.
func (a *ages) since(seq uint64) time.Time {
	i, _ := slices.BinarySearchFunc(a.marks, seq, func(m mark, seq uint64) int {
		if m.seq < seq {
			return -1
		}
		return 1
	})
	if i == 0 {
		return time.Time{}
	}
	return a.marks[i-1].at
}

// forget drops what only tells of records up to acked, which wait no more.
func (a *ages) forget(acked uint64) {
	n := 0
	for n+1 < len(a.marks) && a.marks[n+1].seq <= acked {
		n++
	}
	a.marks = slices.Delete(a.marks, 0, n)
	if len(a.marks) <= 1 {
		a.apart = 0
	}
}
