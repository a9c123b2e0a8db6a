package consumers

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// lanes are the messages that wait for a worker. Those of one stream name are a lane: one worker at a
// time has it, and while its first message waits for its next try so do those behind it. Lanes take turns.
type lanes struct {
	opts Options

	mu    sync.Mutex
	wake  *sync.Cond // something is ready, or the end
	all   map[string]*lane
	ready []*lane
	ripe  int // messages of lanes that are ready
	begun bool
	ended bool
}

// lane is there while it has messages, in work or waiting.
type lane struct {
	name    string
	state   laneState
	waiting []*delivery // in the order of the stream
	wait    time.Duration
	timer   *time.Timer // of one that is parked

	spared bool // a message was set aside unseen: those behind it are seen. Of the worker that has the lane
}

type laneState int

const (
	laneNew    laneState = iota
	laneReady            // for the next worker
	laneBusy             // a worker has it
	laneParked           // until its first message is tried again
)

func newLanes(opts Options) *lanes {
	ls := &lanes{opts: opts, all: map[string]*lane{}}
	ls.wake = sync.NewCond(&ls.mu)
	return ls
}

// begin lets workers begin. Before that the messages that are there are put in order.
func (ls *lanes) begin() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.begun = true
	ls.wake.Broadcast()
}

// add puts a message into its lane.
func (ls *lanes) add(d *delivery) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	name := d.Name()
	l := ls.all[name]
	if l == nil {
		l = &lane{name: name}
		ls.all[name] = l
	}
	d.lane = l
	l.insert(d)
	switch l.state {
	case laneNew:
		ls.makeReady(l)
	case laneReady:
		ls.ripe++
		ls.wake.Broadcast()
	}
}

// insert keeps the order of the stream: what was delivered late goes before what is newer.
func (l *lane) insert(d *delivery) {
	at := len(l.waiting)
	if at > 0 && l.waiting[at-1].Sequence > d.Sequence {
		at, _ = slices.BinarySearchFunc(l.waiting, d.Sequence, func(d *delivery, s uint64) int { return cmp.Compare(d.Sequence, s) })
	}
	l.waiting = slices.Insert(l.waiting, at, d)
}

func (ls *lanes) makeReady(l *lane) {
	l.state = laneReady
	ls.ready = append(ls.ready, l)
	ls.ripe += len(l.waiting)
	ls.wake.Broadcast()
}

// next returns the messages of one call of the handler: the first of a lane, or a batch of what several
// have. Their lanes are the caller's until done. It returns nil when ctx or the lanes have ended.
func (ls *lanes) next(ctx context.Context) []*delivery {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for {
		for (len(ls.ready) == 0 || !ls.begun) && !ls.ended {
			ls.wake.Wait()
		}
		if ls.opts.Batch > 1 {
			ls.linger()
		}
		if ls.ended || ctx.Err() != nil {
			return nil
		}
		if batch := ls.grab(); len(batch) > 0 {
			return batch
		} // another worker had it
	}
}

// linger waits for more messages, until there is a batch of them or the first has waited long enough.
func (ls *lanes) linger() {
	over := false
	limit := time.AfterFunc(ls.opts.BatchWait, func() {
		ls.mu.Lock()
		defer ls.mu.Unlock()
		over = true
		ls.wake.Broadcast()
	})
	defer limit.Stop()
	for ls.ripe < ls.opts.Batch && !over && !ls.ended {
		ls.wake.Wait()
	}
}

func (ls *lanes) grab() []*delivery {
	var batch []*delivery
	for len(ls.ready) > 0 && len(batch) < ls.opts.Batch {
		l := ls.ready[0]
		ls.ready[0] = nil
		ls.ready = ls.ready[1:]
		ls.ripe -= len(l.waiting)
		n := min(len(l.waiting), ls.opts.Batch-len(batch))
		batch = append(batch, l.waiting[:n]...)
		clear(l.waiting[:n])
		l.waiting = l.waiting[n:]
		l.state = laneBusy
	}
	return batch
}

// done gives back the lanes of a batch, with what of it is to be tried again.
func (ls *lanes) done(batch, left []*delivery) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, d := range left {
		d.lane.insert(d)
		d.lane.wait = max(d.lane.wait, d.wait)
	}
	for _, d := range batch {
		if l := d.lane; l.state == laneBusy {
			ls.free(l)
		}
	}
}

func (ls *lanes) free(l *lane) {
	switch {
	case len(l.waiting) == 0:
		delete(ls.all, l.name)
	case l.wait > 0 && !ls.ended:
		l.state = laneParked
		l.timer = time.AfterFunc(l.wait, func() {
			ls.mu.Lock()
			defer ls.mu.Unlock()
			if !ls.ended {
				ls.makeReady(l)
			}
		})
		l.wait = 0
	default:
		ls.makeReady(l)
	}
}

// end ends what waits: no worker gets any more. It returns the messages of lanes that no worker has, in
// the order of the stream.
func (ls *lanes) end() []*delivery {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.ended = true
	ls.wake.Broadcast()
	var idle []*delivery
	for _, l := range ls.all {
		if l.timer != nil {
			l.timer.Stop()
		}
		if l.state != laneBusy {
			idle = append(idle, l.waiting...)
		}
	}
	slices.SortFunc(idle, func(a, b *delivery) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return idle
}
