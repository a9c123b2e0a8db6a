package main

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
)

const progressPause = 200 * time.Millisecond

// progress is a line on the operator's terminal that says how far a command is. A goroutine writes
// it until end; any may call add. A nil one shows nothing.
type progress struct {
	w           io.Writer
	now         atomic.Pointer[stage]
	stop, ended chan struct{}
}

// stage is a part of the work, which is counted.
type stage struct {
	what  string // "event"
	total uint64 // 0: not known
	done  atomic.Uint64
	line  func(after time.Duration) string // instead of the count; nil: the count
	begin time.Time
}

// addQuiet adds the flag that turns progress off.
func addQuiet(cmd *cobra.Command) {
	cmd.Flags().BoolP("quiet", "q", false, "show no progress on a terminal")
}

// progressTerminal returns nil where nobody would look: standard error is no terminal, the output
// is JSON, or --quiet is given. A command that talks prints a line for each step, and so shows its
// progress itself where that goes to a terminal too.
func progressTerminal(cmd *cobra.Command, output *format, talks bool) io.Writer {
	w := terminal(cmd.ErrOrStderr())
	quiet := cmd.Flag("quiet")
	if w == nil || output.name == "json" || quiet != nil && quiet.Value.String() == "true" || talks && terminal(cmd.OutOrStdout()) != nil {
		return nil
	}
	return w
}

// startProgress returns nil where nobody would look.
func startProgress(cmd *cobra.Command, output *format, talks bool, what string, total uint64) *progress {
	w := progressTerminal(cmd, output, talks)
	if w == nil {
		return nil
	}
	p := &progress{w: w, stop: make(chan struct{}), ended: make(chan struct{})}
	p.next(what, total)
	go p.run()
	return p
}

// next begins another stage.
func (p *progress) next(what string, total uint64) {
	if p != nil {
		p.now.Store(&stage{what: what, total: total, begin: time.Now()})
	}
}

// say begins a stage that is not counted, with a line of its own.
func (p *progress) say(line func(after time.Duration) string) {
	if p != nil {
		p.now.Store(&stage{line: line, begin: time.Now()})
	}
}

func (p *progress) add(n uint64) {
	if p != nil {
		p.now.Load().done.Add(n)
	}
}

// segments counts those of a spool.
func (p *progress) segments(done, of int) {
	if p == nil {
		return
	}
	s := p.now.Load()
	if s.total != uint64(of) {
		s = &stage{what: s.what, total: uint64(of), begin: s.begin}
		p.now.Store(s)
	}
	s.done.Store(uint64(done))
}

// end takes the line away, and waits until that is done.
func (p *progress) end() {
	if p == nil {
		return
	}
	close(p.stop)
	<-p.ended
}

func (p *progress) run() {
	defer close(p.ended)
	tick := time.NewTicker(progressPause)
	defer tick.Stop()
	for {
		// A terminal that takes no more is the operator's matter, not the command's.
		_, _ = fmt.Fprint(p.w, "\r\x1b[K"+p.now.Load().text())
		select {
		case <-tick.C:
		case <-p.stop:
			_, _ = fmt.Fprint(p.w, "\r\x1b[K")
			return
		}
	}
}

func (s *stage) text() string {
	after := time.Since(s.begin)
	if s.line != nil {
		return s.line(after)
	}
	return s.count(after)
}

// count is what is shown after a time: "1200 of 4800 events, 25 %, 600/s".
func (s *stage) count(after time.Duration) string {
	done := s.done.Load()
	rate := float64(done) / max(after.Seconds(), 0.001)
	if s.total == 0 {
		return fmt.Sprintf("%s, %.0f/s", plural(done, s.what), rate)
	}
	return fmt.Sprintf("%d of %s, %d %%, %.0f/s", done, plural(s.total, s.what), 100*min(done, s.total)/s.total, rate)
}
