// Package evening plans what a media server reports of an evening of streams: who publishes
// and plays when, for how long, and how each of them goes away. It does no I/O and asks no
// clock. The same options and the same answers give the same requests.
//
// Viewers come in a wave whose crest is before the middle, and stay for as long as people
// do: most briefly, few long. Beside them is what goes wrong on a real evening:
//
//   - publishers and viewers that are gone without a done, and some that come back within seconds;
//   - second publishers of a live name, which the hook accepts and the media server does not:
//     publish_done comes for a connection that never was live;
//   - publishers that play somebody else's stream on the same connection, after which
//     their updates and dones have the name of that stream;
//   - strangers (Strangers) who publish and play what is not theirs, twice when they are refused;
//   - clients that write the fields of a publish_done of another stream behind their stream name.
//
// Whether somebody is accepted is the answer's business. Who is refused gives up, or tries
// once more; whose update is refused is cut, and the media server tells the done.
//
// Addresses say who somebody is: Publishers, Viewers (and ViewersV6), Strangers.
package evening

import (
	"container/heap"
	"time"

	"bintubridge/bridge/webhook"
	"bintubridge/subjects"
)

// Where everybody connects from: networks of documentation and benchmarks, RFC 5737, 2544 and 3849.
const (
	Publishers = "203.0.113.0/24"
	Viewers    = "198.18.0.0/15"
	ViewersV6  = "2001:db8::/32"
	Strangers  = "192.0.2.0/24"
)

// Options say what evening it is.
type Options struct {
	Seed    uint64
	Streams int
	Viewers int           // who come in the course of it
	Length  time.Duration // of the evening
	// Speed is how much faster than that it is played: 60 makes a minute a second. Times
	// given by Request, and the seconds and bytes on the wire, are of the faster one.
	Speed   float64
	Updates time.Duration // from one update of a session to the next; 0: none
	Dialect webhook.Dialect
	Prefix  string // of the streams' names
}

// Request is one webhook of the media server.
type Request struct {
	At     time.Duration // since the beginning
	Call   subjects.Call
	Body   []byte
	client *client
}

// Evening gives the requests of one evening, the earliest first. One goroutine uses it.
type Evening struct {
	opts    Options
	waiting queue
	away    map[*client]struct{} // whose request was given out and is not answered
	now     time.Duration        // the evening's, of the last request
	over    bool                 // HangUp was called
}

// New plans an evening.
func New(opts Options) *Evening {
	e := &Evening{opts: opts, away: map[*client]struct{}{}}
	for i, c := range plan(opts) {
		c.number = i
		e.waiting = append(e.waiting, c)
	}
	heap.Init(&e.waiting)
	return e
}

// Due is when the next request is, or false when there is none until one is answered.
func (e *Evening) Due() (time.Duration, bool) {
	if len(e.waiting) == 0 {
		return 0, false
	}
	return e.played(e.waiting[0].due), true
}

// Next takes the next request. Its client says nothing more until it is answered.
func (e *Evening) Next() (Request, bool) {
	if len(e.waiting) == 0 {
		return Request{}, false
	}
	c, _ := heap.Pop(&e.waiting).(*client)
	e.away[c] = struct{}{}
	e.now = max(e.now, c.due)
	call, body := c.request(&e.opts)
	return Request{At: e.played(c.due), Call: call, Body: body, client: c}, true
}

// Answer says whether the request was answered by a 200. Everything else counts as a refusal,
// as it does for a media server.
func (e *Evening) Answer(r Request, accepted bool) {
	c := r.client
	delete(e.away, c)
	more := c.answered(&e.opts, accepted)
	if more && e.over {
		more = c.hangUp(e.now)
	}
	if more {
		heap.Push(&e.waiting, c)
	}
}

// HangUp ends the evening now: nobody comes any more, and whoever is there leaves.
func (e *Evening) HangUp() {
	e.over = true
	left := e.waiting[:0]
	for _, c := range e.waiting {
		if c.hangUp(e.now) {
			left = append(left, c)
		}
	}
	clear(e.waiting[len(left):])
	e.waiting = left
	heap.Init(&e.waiting)
}

// Present returns how many publish and how many play at the moment, as far as answered.
func (e *Evening) Present() (publishing, playing int) {
	count := func(c *client) {
		switch conn := c.connection(); {
		case !c.accepted || conn.ends == rejected:
		case conn.kind == subjects.KindPublish:
			publishing++
		default:
			playing++
		}
	}
	for _, c := range e.waiting {
		count(c)
	}
	for c := range e.away {
		count(c)
	}
	return publishing, playing
}

// played is a time of the evening as it is played.
func (e *Evening) played(t time.Duration) time.Duration { return e.opts.played(t) }

func (o *Options) played(t time.Duration) time.Duration {
	return time.Duration(float64(t) / o.Speed)
}

// queue is a heap of clients by when they are due.
type queue []*client

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].due < q[j].due || q[i].due == q[j].due && q[i].number < q[j].number
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(c any) { *q = append(*q, c.(*client)) } //nolint:errcheck,forcetypeassert // heap gives what it was given

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	c := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return c
}
