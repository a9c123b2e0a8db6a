package rulestore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// watch is one KV watch of all keys, with what the library's leaves out: TTLs.
type watch struct {
	updates <-chan *version // nil once, behind the initial load; closed at the end
	cancel  context.CancelFunc
}

// startWatch watches from a revision on, or from every key's newest version when
// from is 0. Last is the newest revision that the bucket had before.
func startWatch(ctx context.Context, js jetstream.JetStream, bucket string, from, last uint64) (*watch, error) {
	push, err := js.Conn().JetStream()
	if err != nil {
		return nil, fmt.Errorf("watch bucket %s: %w", bucket, err)
	}
	// No time-out on this context: the library ends the watch with it.
	ctx, cancel := context.WithCancel(ctx)
	start := nats.DeliverLastPerSubject()
	if from > 0 {
		start = nats.StartSequence(from)
	}
	r := newReceiver(bucket, last)
	w := &watch{updates: r.updates, cancel: cancel}
	sub, err := push.Subscribe(r.prefix+">", r.receive,
		nats.BindStream("KV_"+bucket), nats.OrderedConsumer(), start, nats.Context(ctx))
	if err != nil {
		cancel()
		r.refuse()
		return nil, fmt.Errorf("watch bucket %s: %w", bucket, err)
	}
	if err := r.begin(sub); err != nil {
		w.stop()
		return nil, fmt.Errorf("watch bucket %s: %w", bucket, err)
	}
	return w, nil
}

// receiver gives the messages of a subscription to a watch.
type receiver struct {
	prefix  string
	updates chan *version
	last    uint64 // the initial load goes at least this far, unless all of it came

	mu      sync.Mutex
	toLoad  uint64 // messages of the initial load that did not come yet
	refused bool
}

// newReceiver returns one that takes no message before begin, or refuse.
func newReceiver(bucket string, last uint64) *receiver {
	r := &receiver{prefix: "$KV." + bucket + ".", updates: make(chan *version, 256), last: last}
	r.mu.Lock()
	return r
}

// begin lets messages in when the number of those to load is known.
func (r *receiver) begin(sub *nats.Subscription) (err error) {
	defer r.mu.Unlock()
	sub.SetClosedHandler(func(string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		close(r.updates)
	})
	r.toLoad, err = sub.InitialConsumerPending()
	if err == nil && r.toLoad == 0 {
		r.updates <- nil
	}
	return err
}

// refuse lets messages go by: some may have come although there is no watch.
func (r *receiver) refuse() {
	defer r.mu.Unlock()
	r.refused = true
}

func (r *receiver) receive(msg *nats.Msg) {
	meta, err := msg.Metadata()
	if err != nil {
		return // no message of a stream
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused {
		return
	}
	r.updates <- &version{
		key: strings.TrimPrefix(msg.Subject, r.prefix), data: msg.Data, removed: isMarker(msg.Header), ttl: ttlOf(msg.Header), rollup: isRollup(msg.Header),
		message: message{revision: meta.Sequence.Stream, time: meta.Timestamp},
	}
	if r.toLoad == 0 {
		return
	}
	// What was to load may be replaced before it comes. The server counts each version
	// that goes meanwhile as one less to come, also where it was to send another one of
	// the key: hence it must have come to the end, too.
	if r.toLoad--; r.toLoad == 0 || meta.NumPending == 0 && meta.Sequence.Stream >= r.last {
		r.toLoad = 0
		r.updates <- nil
	}
}

// isMarker reports whether a message says that its key was deleted or expired.
func isMarker(header nats.Header) bool {
	if operation := header.Get("KV-Operation"); operation != "" {
		return operation == "DEL" || operation == "PURGE"
	}
	switch header.Get(jetstream.MarkerReasonHeader) {
	case "MaxAge", "Purge", "Remove":
		return true
	}
	return false
}

// isRollup reports whether a message has deleted all others of its bucket.
func isRollup(header nats.Header) bool {
	return strings.EqualFold(header.Get(jetstream.MsgRollup), jetstream.MsgRollupAll)
}

// ttlOf returns a message's TTL, 0 when it has none.
func ttlOf(header nats.Header) time.Duration {
	text := header.Get(jetstream.MsgTTLHeader)
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	ttl, err := time.ParseDuration(text)
	if err != nil {
		return 0 // "never"
	}
	return ttl
}

// stop ends the watch and waits until the library's goroutine, which may be
// blocked on the channel, has left it. Ending by the context leaves the request
// that deletes the server's consumer to the library: with the server away it
// would hold Close for seconds.
func (w *watch) stop() {
	w.cancel()
	// The library leaves the channel open for ever when the connection closes
	// while a watch is being made.
	const patience = 2 * time.Second
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case _, ok := <-w.updates:
			if !ok {
				return
			}
		case <-timeout.C:
			return
		}
	}
}
