package rulestore

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// watch is one KV watch of all keys.
type watch struct {
	updates <-chan jetstream.KeyValueEntry // nil once, behind the initial load; closed at the end
	cancel  context.CancelFunc
}

// startWatch watches from a revision on, or from every key's newest version when
// from is 0.
func startWatch(ctx context.Context, kv jetstream.KeyValue, from uint64) (*watch, error) {
	// No time-out on this context: the library ends the watch with it.
	ctx, cancel := context.WithCancel(ctx)
	var opts []jetstream.WatchOpt
	if from > 0 {
		opts = append(opts, jetstream.ResumeFromRevision(from))
	}
	watcher, err := kv.WatchAll(ctx, opts...)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("watch bucket %s: %w", kv.Bucket(), err)
	}
	return &watch{updates: watcher.Updates(), cancel: cancel}, nil
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
