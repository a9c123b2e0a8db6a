package admin

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of a Feed.
const (
	feedTick    = 100 * time.Millisecond
	feedBudget  = 20       // events a tick: at most 200 a second are shown
	feedViewers = 8        // at the same time; more get 503
	feedBehind  = 20       // batches that wait for one viewer; beyond them it misses some
	feedSlots   = 64       // events taken and not yet sent
	MaxShown    = 16 << 10 // bytes of the largest event a Feed takes
)

var errViewers = errors.New("as many as can be are watching already; close one of the pages")

// Feed shows a sample of the events to those who watch. Wants and Offer are for the
// request path: they neither allocate nor wait, and without viewers they cost one
// load. What is not in the sample is counted and the viewers are told how much.
type Feed struct {
	watched atomic.Bool
	budget  atomic.Int64 // events that may be taken until the next tick
	skipped paddedCounter

	free, taken chan *slot // each has room for all slots

	mu      sync.Mutex
	viewers map[*viewer]struct{}
	pump    *pump // runs while there are viewers; nil until the first one ever
}

// Shown is what the feed says of an event beside the event itself.
type Shown struct {
	Outcome string // one of a few words; nothing of the sender's
	Seq     uint64 // of the event in its spool
	Cut     bool   // the event is not whole, it was too large
}

// slot is the copy of one event.
type slot struct {
	shown Shown
	event []byte
}

// batch is what one tick has for the viewers.
type batch struct {
	events  []byte // JSON objects with commas between them
	count   int    // of them
	leftOut uint64 // not among them
}

type viewer struct {
	batches chan batch
	missed  uint64 // events since the last batch that it had room for; guarded by Feed.mu
}

type pump struct{ stop, done chan struct{} }

// NewFeed returns a feed that nobody watches.
func NewFeed() *Feed {
	return &Feed{
		free: make(chan *slot, feedSlots), taken: make(chan *slot, feedSlots),
		viewers: map[*viewer]struct{}{},
	}
}

// Wants reports whether the next event is to be offered. When it says so, the event's
// place in the sample is taken.
func (f *Feed) Wants() bool {
	if !f.watched.Load() {
		return false
	}
	if f.budget.Load() <= 0 || f.budget.Add(-1) < 0 {
		f.skipped.Add(1)
		return false
	}
	return true
}

// Offer shows an event of at most MaxShown bytes of JSON, which is copied. One that is
// larger, or comes while the viewers' goroutine is behind, is left out.
func (f *Feed) Offer(shown Shown, event []byte) {
	if len(event) > MaxShown {
		f.skipped.Add(1)
		return
	}
	select {
	case s := <-f.free:
		s.shown, s.event = shown, append(s.event[:0], event...)
		f.taken <- s // has room for all slots
	default:
		f.skipped.Add(1)
	}
}

// watch adds a viewer, who has to leave.
func (f *Feed) watch() (*viewer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.viewers) == feedViewers {
		return nil, errViewers
	}
	v := &viewer{batches: make(chan batch, feedBehind)}
	f.viewers[v] = struct{}{}
	if len(f.viewers) == 1 {
		f.begin()
	}
	return v, nil
}

// begin starts the pump. The slots' memory is made for the first viewer ever.
func (f *Feed) begin() {
	if f.pump == nil {
		for range feedSlots {
			f.free <- &slot{event: make([]byte, 0, MaxShown)}
		}
	}
	f.take() // what came when the last viewer left is old
	f.skipped.Store(0)
	f.budget.Store(feedBudget)
	p := &pump{stop: make(chan struct{}), done: make(chan struct{})}
	f.pump = p
	f.watched.Store(true)
	go func() {
		defer close(p.done)
		f.run(p.stop)
	}()
}

// leave removes a viewer. The last one ends the pump and waits for it.
func (f *Feed) leave(v *viewer) {
	f.mu.Lock()
	delete(f.viewers, v)
	p := f.pump
	last := len(f.viewers) == 0
	if last {
		f.watched.Store(false)
		close(p.stop)
	}
	f.mu.Unlock()
	if last {
		<-p.done
	}
}

func (f *Feed) run(stop <-chan struct{}) {
	tick := time.NewTicker(feedTick)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			f.budget.Store(feedBudget)
			f.send(f.take())
		}
	}
}

// take makes a batch of what was offered.
func (f *Feed) take() batch {
	b := batch{leftOut: f.skipped.Swap(0)}
	for {
		select {
		case s := <-f.taken:
			if b.count++; b.count > 1 {
				b.events = append(b.events, ',')
			}
			b.events = s.appendJSON(b.events)
			f.free <- s // has room for all slots
		default:
			return b
		}
	}
}

// appendJSON appends the slot as an object. The event is JSON already.
func (s *slot) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"outcome":`...)
	dst = strconv.AppendQuote(dst, s.shown.Outcome)
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendUint(dst, s.shown.Seq, 10)
	if s.shown.Cut {
		dst = append(dst, `,"cut":true`...)
	}
	dst = append(dst, `,"event":`...)
	dst = append(dst, s.event...)
	return append(dst, '}')
}

// send gives a batch to every viewer that has room; the others are told later how much
// they missed.
func (f *Feed) send(b batch) {
	if b.count == 0 && b.leftOut == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for v := range f.viewers {
		mine := b
		mine.leftOut += v.missed
		select {
		case v.batches <- mine:
			v.missed = 0
		default:
			v.missed = mine.leftOut + uint64(b.count)
		}
	}
}
