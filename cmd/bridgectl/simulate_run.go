package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"bintubridge/cmd/bridgectl/evening"
)

// simulation plays evenings to a webhook.
type simulation struct {
	hook        hook
	keep        bool
	connections int
	rate        float64 // requests/s; 0: as the evening goes, +Inf: as fast as it goes
	duration    time.Duration
	opts        evening.Options
	progress    io.Writer // a terminal, or nil
}

// job is a request and when it was to be sent.
type job struct {
	request evening.Request
	due     time.Time
}

// answer is what became of it.
type answer struct {
	request evening.Request
	status  int // 0: there was none
	err     error
	latency time.Duration // from when it was due
}

// run plays until the evening is over, or ctx ends and everybody has left.
func (s *simulation) run(ctx context.Context) *simulated {
	jobs, answers := make(chan job), make(chan answer, s.connections)
	var callers sync.WaitGroup
	for range s.connections {
		callers.Go(func() {
			c := &caller{hook: s.hook, keep: s.keep}
			defer c.close()
			for j := range jobs {
				status, err := c.post(context.WithoutCancel(ctx), j.request.Body) // what was begun is ended
				answers <- answer{j.request, status, err, time.Since(j.due)}
			}
		})
	}
	p := player{simulation: s, begin: time.Now(), evening: evening.New(s.opts), result: newSimulated(s)}
	p.play(ctx, jobs, answers)
	close(jobs)
	callers.Wait()
	p.result.finish(time.Since(p.begin))
	return p.result
}

// player hands out requests when they are due. Its goroutine owns the evening and the result.
type player struct {
	*simulation
	begin   time.Time
	evening *evening.Evening
	pending *job // waits for a caller
	sent    uint64
	waiting int  // for answers
	over    bool // everybody leaves
	result  *simulated
}

const progressEvery = 500 * time.Millisecond

func (p *player) play(ctx context.Context, jobs chan<- job, answers <-chan answer) {
	interrupted := ctx.Done()
	var end <-chan time.Time
	if p.rate > 0 {
		end = time.After(p.duration)
	}
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	due := time.NewTimer(0)
	defer due.Stop()
	for {
		wait, more := p.prepare()
		if !more {
			break
		}
		var out chan<- job
		var next job
		if p.pending != nil {
			out, next = jobs, *p.pending
		}
		due.Reset(wait)
		select {
		case out <- next:
			p.pending = nil
			p.sent++
			p.waiting++
		case a := <-answers:
			p.waiting--
			p.result.count(a)
			p.evening.Answer(a.request, a.status == 200)
		case <-due.C:
		case <-interrupted:
			interrupted, p.result.Interrupted = nil, true
			p.leave()
		case <-end:
			p.leave()
		case <-tick.C:
			p.show()
		}
	}
	if p.progress != nil {
		fmt.Fprint(p.progress, "\r\x1b[K")
	}
}

// leave ends the evening. What is still to be said is said at once.
func (p *player) leave() {
	p.over = true
	p.evening.HangUp()
}

// prepare takes the next request when it is due. It returns how long to wait for one,
// and false when there is none any more.
func (p *player) prepare() (time.Duration, bool) {
	if p.pending != nil {
		return math.MaxInt64, true
	}
	at, ok := p.evening.Due()
	if !ok {
		if p.waiting > 0 {
			return math.MaxInt64, true
		}
		if p.rate == 0 || p.over {
			return 0, false
		}
		p.opts.Seed++
		p.evening = evening.New(p.opts)
		return 0, true
	}
	now := time.Now()
	due := now
	switch {
	case p.over || math.IsInf(p.rate, 1):
	case p.rate > 0:
		due = p.begin.Add(time.Duration(float64(p.sent) / p.rate * float64(time.Second)))
	default:
		due = p.begin.Add(at)
	}
	if wait := due.Sub(now); wait > 0 {
		return wait, true
	}
	if r, ok := p.evening.Next(); ok {
		p.pending = &job{r, due}
	}
	return math.MaxInt64, true
}

// show rewrites the progress line.
func (p *player) show() {
	if p.progress == nil {
		return
	}
	publishing, playing := p.evening.Present()
	fmt.Fprintf(p.progress, "\r\x1b[K%s of %s: %d requests, %d refused, %d without an answer; %d publish, %d play",
		time.Since(p.begin).Round(time.Second), p.duration, p.sent, p.result.Refused, p.result.Unanswered, publishing, playing)
}
