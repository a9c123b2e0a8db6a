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
	w     io.Writer
	what  string // "event"
	total uint64 // 0: not known
	begin time.Time
	done  atomic.Uint64

	stop, ended chan struct{}
}

// addQuiet adds the flag that turns progress off.
func addQuiet(cmd *cobra.Command) {
	cmd.Flags().BoolP("quiet", "q", false, "show no progress on a terminal")
}

// startProgress returns nil where nobody would look: standard error is no terminal, the output is
// JSON, or --quiet is given. A command that talks prints a line for each step, and so shows its
// progress itself where that goes to a terminal too.
func startProgress(cmd *cobra.Command, output *format, talks bool, what string, total uint64) *progress {
	w := terminal(cmd.ErrOrStderr())
	quiet := cmd.Flag("quiet")
	if w == nil || output.name == "json" || quiet != nil && quiet.Value.String() == "true" || talks && terminal(cmd.OutOrStdout()) != nil {
		return nil
	}
	p := &progress{w: w, what: what, total: total, begin: time.Now(), stop: make(chan struct{}), ended: make(chan struct{})}
	go p.run()
	return p
}

func (p *progress) add(n uint64) {
	if p != nil {
		p.done.Add(n)
	}
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
		_, _ = fmt.Fprint(p.w, "\r\x1b[K"+p.line(time.Since(p.begin)))
		select {
		case <-tick.C:
		case <-p.stop:
			_, _ = fmt.Fprint(p.w, "\r\x1b[K")
			return
		}
	}
}

// line is what is shown after a time: "1200 of 4800 events, 25 %, 600/s".
func (p *progress) line(after time.Duration) string {
	done := p.done.Load()
	rate := float64(done) / max(after.Seconds(), 0.001)
	if p.total == 0 {
		return fmt.Sprintf("%s, %.0f/s", plural(done, p.what), rate)
	}
	return fmt.Sprintf("%d of %s, %d %%, %.0f/s", done, plural(p.total, p.what), 100*min(done, p.total)/p.total, rate)
}
