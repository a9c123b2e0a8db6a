package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	mirrorTimeout = 3 * time.Second // of one request to NATS
	mirrorRetry   = 2 * time.Second // after a failure
	mirrorLook    = time.Second     // how often it looks at the connection, and whether somebody asks
	mirrorAgain   = time.Minute     // how often the bucket is read anew: it may have been deleted and made again
	mirrorMost    = 50_000          // keys; of others it only tells that they are there
)

// mirror is a copy of a KV bucket for the page. It follows the bucket only while somebody
// asks; an answer is what it has, at once, and says what is wrong.
type mirror struct {
	bucket string
	link   *link // of js
	js     jetstream.JetStream
	idle   time.Duration // after which it stops to follow
	most   int           // keys kept
	log    *slog.Logger

	mu      sync.Mutex // guards what follows
	closed  bool
	wanted  time.Time          // when somebody last asked
	cancel  context.CancelFunc // nil: it does not follow
	loop    sync.WaitGroup
	values  map[string][]byte
	partial bool   // keys came for which there was no room; until the bucket is read anew
	known   bool   // values are what the bucket had when it was read last
	trouble string // why they are not current, "" when they are
}

// contents is what a mirror says of itself.
type contents struct {
	Known   bool   `json:"known"`             // the bucket was read
	Trouble string `json:"trouble,omitempty"` // why it may have changed since
	Partial bool   `json:"partial,omitempty"` // there are keys that are not here
}

// look calls each with the values, and keeps the mirror following for a while.
func (m *mirror) look(each func(value []byte)) contents {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wanted = time.Now()
	if m.cancel == nil && !m.closed {
		var ctx context.Context
		ctx, m.cancel = context.WithCancel(context.Background())
		m.trouble = "reading it"
		m.loop.Go(func() { m.run(ctx) })
	}
	for _, value := range m.values {
		each(value)
	}
	c := contents{Known: m.known, Trouble: m.trouble, Partial: m.partial}
	if state := m.link.state().status; !m.link.connected() {
		c.Trouble = "NATS is " + state.String()
	}
	return c
}

// close ends following.
func (m *mirror) close() {
	m.mu.Lock()
	m.closed = true
	if m.cancel != nil {
		m.cancel()
	}
	m.mu.Unlock()
	m.loop.Wait()
}

// run follows until nobody has asked for a while.
func (m *mirror) run(ctx context.Context) {
	for {
		err := m.follow(ctx)
		if m.over(ctx) {
			return
		}
		if err == nil {
			continue // it is read anew
		}
		m.log.Debug("the page's copy of a bucket is not current", "bucket", m.bucket, "error", err)
		m.mu.Lock()
		m.trouble = err.Error()
		m.mu.Unlock()
		select {
		case <-time.After(mirrorRetry):
		case <-ctx.Done():
		}
	}
}

func (m *mirror) unwanted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Since(m.wanted) >= m.idle
}

// over reports whether nobody asks any more, and then lets the next one begin anew.
func (m *mirror) over(ctx context.Context) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() == nil && time.Since(m.wanted) < m.idle {
		return false
	}
	m.cancel()
	m.cancel, m.values, m.known = nil, nil, false
	return true
}

// follow reads the bucket and what changes in it, until it is to be read anew or nobody
// asks any more.
func (m *mirror) follow(ctx context.Context) error {
	reconnects := m.link.state().reconnects
	watch, err := m.watch(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = watch.Stop() }() // of what it cannot be told now, the server lets go 6 s after the connection broke
	again := time.After(mirrorAgain)
	stalled := time.NewTimer(mirrorTimeout)
	defer stalled.Stop()
	look := time.NewTicker(mirrorLook)
	defer look.Stop()

	fresh := map[string][]byte{} // until the bucket is read; then m.values
	partial, reading := false, true
	for {
		select {
		case e, ok := <-watch.Updates():
			if !ok {
				return fmt.Errorf("bucket %s: the watch broke off", m.bucket)
			}
			if e == nil {
				reading = false
				stalled.Stop()
				m.take(fresh, partial)
				continue
			}
			if reading {
				stalled.Reset(mirrorTimeout)
			}
			m.mu.Lock()
			switch _, have := fresh[e.Key()]; {
			case e.Operation() != jetstream.KeyValuePut:
				delete(fresh, e.Key())
			case have || len(fresh) < m.most:
				fresh[e.Key()] = e.Value()
			default:
				partial = true
				m.partial = true
			}
			m.mu.Unlock()
		case <-stalled.C:
			return fmt.Errorf("bucket %s: NATS does not answer", m.bucket)
		case <-again:
			return nil
		case <-look.C:
			if m.unwanted() {
				return nil
			}
			if now := m.link.state(); now.status == nats.CONNECTED && now.reconnects != reconnects {
				return nil // sooner than the watch finds out what it missed
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (m *mirror) watch(ctx context.Context) (jetstream.KeyWatcher, error) {
	timed, cancel := context.WithTimeout(ctx, mirrorTimeout)
	defer cancel()
	kv, err := m.js.KeyValue(timed, m.bucket)
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", m.bucket, err)
	}
	watch, err := kv.WatchAll(ctx)
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", m.bucket, err)
	}
	return watch, nil
}

// take puts what was read in place of what was known.
func (m *mirror) take(fresh map[string][]byte, partial bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values, m.partial, m.known, m.trouble = fresh, partial, true, ""
}
