package bench

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// load is what one server is driven with: connections that each have one request in flight
// at most, answered before the next.
type load struct {
	addr        string // host:port, IPv4
	form        form
	connections int
	requests    *requests
	first       uint64 // number of the first event; later loads go on counting
	schedule    schedule
	phase       time.Duration // of due times with a histogram of their own; 0: one for all
}

// answers are what a load got.
type answers struct {
	accepted, refused uint64 // 200, 403
	took              time.Duration
	latency           []*hdrhistogram.Histogram // nanoseconds, one a phase
}

func (a *answers) total() uint64 { return a.accepted + a.refused }

const (
	// silence is how long no connection may get an answer while one is due.
	silence = 30 * time.Second

	longest          = int64(time.Minute) // that is told apart
	significantDigit = 3
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, longest, significantDigit)
}

// note counts an answer to what was due at due.
func (a *answers) note(status int, due, now, phase time.Duration) error {
	switch status {
	case 200:
		a.accepted++
	case 403:
		a.refused++
	default:
		return fmt.Errorf("an answer of status %d, want 200 or 403", status)
	}
	i := 0
	if phase > 0 {
		i = min(int(due/phase), len(a.latency)-1)
	}
	return a.latency[i].RecordValue(min(max(int64(now-due), 1), longest))
}

// errReply says that what came is no answer of a server under test.
var errReply = errors.New("unexpected reply")

// parseReply reads the status of a reply without a body. It is 0 while the reply is not all there.
func parseReply(reply []byte) (status int, err error) {
	const statusAt, statusEnd = len("HTTP/1.1 "), len("HTTP/1.1 200")
	const end = "\r\n\r\n"
	at := bytes.Index(reply, []byte(end))
	if at < 0 {
		return 0, nil
	}
	if at+len(end) != len(reply) || at < statusEnd || !bytes.HasPrefix(reply, []byte("HTTP/1.")) || !bytes.Contains(reply, []byte("\r\nContent-Length: 0\r\n")) {
		return 0, fmt.Errorf("%w: %q", errReply, reply)
	}
	for _, digit := range reply[statusAt:statusEnd] {
		if digit < '0' || digit > '9' {
			return 0, fmt.Errorf("%w: %q", errReply, reply)
		}
		status = 10*status + int(digit-'0')
	}
	return status, nil
}
