package bench

import "time"

// schedule says when the events of an open loop are due: at a steady rate, whatever became
// of those before. Times count from the start of the load.
type schedule struct {
	rate  int    // events a second; 0: always due, a closed loop
	total uint64 // events in all; 0: until end
	end   time.Duration
}

// at returns when event n, from 0, is due.
func (s schedule) at(n uint64) time.Duration {
	rate := uint64(s.rate)
	return time.Duration(n/rate)*time.Second + time.Duration(n%rate*uint64(time.Second)/rate)
}

// takes returns how long it goes on at most; 0 when nobody can tell.
func (s schedule) takes() time.Duration {
	if s.rate == 0 || s.total == 0 {
		return s.end
	}
	all := s.at(s.total)
	if s.end > 0 {
		return min(all, s.end)
	}
	return all
}

// over reports whether event n is not to be sent any more.
func (s schedule) over(n uint64, now time.Duration) bool {
	if s.total > 0 && n >= s.total {
		return true
	}
	if s.end <= 0 {
		return false
	}
	if s.rate == 0 {
		return now >= s.end
	}
	return s.at(n) >= s.end // one that is late is still sent
}

// due returns since when event n waits to be sent, and whether it does at all.
func (s schedule) due(n uint64, now time.Duration) (time.Duration, bool) {
	if s.over(n, now) {
		return 0, false
	}
	if s.rate == 0 {
		return now, true
	}
	at := s.at(n)
	return at, at <= now
}
