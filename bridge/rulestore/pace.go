package rulestore

import (
	"io"
	"time"
)

// restFactor is how many times as long as it worked the saver rests.
const restFactor = 10

// pace has work take turns with rests restFactor times as long, so that writing a
// snapshot, however large, takes a small share of a processor and the disk at any time:
// in one piece a million rules would hold up requests for a second.
type pace struct {
	quit <-chan struct{} // closed: there is no rest any more
	turn time.Time       // when this turn began
}

func (p *pace) begin() { p.turn = time.Now() }

// due is the rest that this turn has earned so far.
func (p *pace) due() time.Duration { return restFactor * time.Since(p.turn) }

// rest ends the turn, and begins the next one after the rest.
func (p *pace) rest() {
	timer := time.NewTimer(p.due())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.quit:
	}
	p.begin()
}

// pacedWriter rests after each write.
type pacedWriter struct {
	to   io.Writer
	pace *pace
}

func (w pacedWriter) Write(b []byte) (int, error) {
	n, err := w.to.Write(b)
	w.pace.rest()
	return n, err
}
