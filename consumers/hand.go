package consumers

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// hand is every message that was fetched and not answered yet: it waits for a worker or for its next try, or
// is in work. The server is told of each that it is still wanted here, so that nobody else gets it
// meanwhile. There is room for so many messages and bytes.
type hand struct {
	opts     Options
	messages int

	mu    sync.Mutex
	held  map[identity]*delivery
	bytes int
	freed chan struct{} // of the one that waits for room

	pace chan time.Duration // the ack wait of the durable that is there
	quit chan struct{}
	done chan struct{}
}

// identity is that of a message over all its deliveries: a stream that was deleted and made again has
// other messages under the same sequences.
type identity struct {
	sequence uint64
	stored   int64
}

func (d *delivery) identity() identity { return identity{d.Sequence, d.Time.UnixNano()} }

func startHand(opts Options) *hand {
	h := &hand{
		opts: opts, messages: opts.inHand(), held: map[identity]*delivery{}, freed: make(chan struct{}, 1),
		pace: make(chan time.Duration), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go h.run()
	return h
}

// hold takes a message. It returns false for one that is in hand already: it was delivered again
// because the server did not hear of it in time, and keeps its place.
func (h *hand) hold(d *delivery) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held[d.identity()] != nil {
		return false
	}
	h.held[d.identity()] = d
	h.bytes += d.size
	return true
}

// release lets go of a message: it is answered, or given back.
func (h *hand) release(d *delivery) {
	h.mu.Lock()
	if h.held[d.identity()] == d { // and not a later delivery of it
		delete(h.held, d.identity())
		h.bytes -= d.size
	}
	h.mu.Unlock()
	select {
	case h.freed <- struct{}{}:
	default:
	}
}

// all returns what is in hand, in the order of the stream.
func (h *hand) all() []*delivery {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.SortedFunc(maps.Values(h.held), func(a, b *delivery) int { return cmp.Compare(a.Sequence, b.Sequence) })
}

// room waits until there is enough room for a pull to be worth it, and returns how much: messages, and
// bytes, of which the largest message there may be needs so many. An empty hand takes any message. It
// returns false when ctx ends.
func (h *hand) room(ctx context.Context, largest int) (messages, bytes int, ok bool) {
	for ctx.Err() == nil {
		h.mu.Lock()
		messages, bytes = h.messages-len(h.held), h.opts.MaxBytes-h.bytes
		if len(h.held) == 0 {
			bytes = max(bytes, largest)
		}
		h.mu.Unlock()
		if messages >= max(1, h.messages/4) && bytes >= largest {
			return messages, bytes, true
		}
		select {
		case <-h.freed:
		case <-ctx.Done():
		}
	}
	return 0, 0, false
}

// keepFor says after which time the server gives a message to another.
func (h *hand) keepFor(ackWait time.Duration) { h.pace <- ackWait }

func (h *hand) stop() {
	close(h.quit)
	<-h.done
}

func (h *hand) run() {
	defer close(h.done)
	tick := time.NewTicker(h.opts.AckWait / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.tell()
		case ackWait := <-h.pace:
			tick.Reset(max(ackWait/3, time.Millisecond))
		case <-h.quit:
			return
		}
	}
}

// tell writes under the lock: a message that was settled must not be asked for afterwards. The
// write goes into the connection's buffer.
func (h *hand) tell() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.held {
		if err := d.msg.InProgress(); err != nil {
			h.opts.Log.Debug("a message may be delivered again", "error", err)
			return
		}
	}
}
