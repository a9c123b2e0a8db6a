// Package forward takes the spool to JetStream: in order, at least once,
// deduplicated by Nats-Msg-Id. It keeps a bounded window of messages in flight,
// acks the spool as JetStream acks it, and begins again behind the last acked
// record whenever anything goes wrong. What NATS will never take goes to a dead-letter
// file and does not hold up the rest.
package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	defaultWindow = 1024
	ackTimeout    = 5 * time.Second // a lost ack must not hold its place for ever
	firstBackoff  = 100 * time.Millisecond
	maxBackoff    = 5 * time.Second
	drainPoll     = 5 * time.Millisecond
)

// Log is the spool as its one consumer sees it.
type Log interface {
	// Next returns the next record, valid until the following call, or a nil payload.
	Next() (seq uint64, spoolID string, payload []byte, err error)
	// Ready is signalled when Next has something to return.
	Ready() <-chan struct{}
	Rewind(after uint64) error
	Ack(seq uint64, spoolID string, streamSeq uint64) error
	Acked() uint64
	Tail() uint64
	Close() error
}

// Options of a forwarder.
type Options struct {
	Log         Log
	Conn        *nats.Conn      // publishing only; must not buffer while it reconnects
	DeadLetters string          // file
	Window      int             // messages in flight, default 1024
	Connected   <-chan struct{} // signalled when NATS, or its stream, is there again: ends a back-off early
	Logger      *slog.Logger
}

// Forwarder owns the goroutine that empties the spool.
type Forwarder struct {
	log    Log
	js     jetstream.JetStream
	dead   string
	window int
	logger *slog.Logger

	connected <-chan struct{}
	cancel    context.CancelFunc
	done      sync.WaitGroup

	acked, resent, duplicates, deadCount, failures atomic.Uint64
	lastErr                                        atomic.Pointer[string]
	sent                                           uint64 // highest sequence ever published; the loop's own
}

// Start begins to forward what is behind the spool's cursor.
func Start(o Options) (*Forwarder, error) {
	if o.Window <= 0 {
		o.Window = defaultWindow
	}
	js, err := jetstream.New(o.Conn,
		jetstream.WithPublishAsyncMaxPending(o.Window),
		jetstream.WithPublishAsyncTimeout(ackTimeout))
	if err != nil {
		return nil, fmt.Errorf("forward: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &Forwarder{
		log: o.Log, js: js, dead: o.DeadLetters, window: o.Window, logger: o.Logger,
		connected: o.Connected, cancel: cancel,
	}
	f.done.Go(func() { f.run(ctx) })
	return f, nil
}

// Drain waits until JetStream has acked everything in the spool, or ctx ends.
func (f *Forwarder) Drain(ctx context.Context) error {
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for {
		left := f.log.Tail() - min(f.log.Acked(), f.log.Tail())
		if left == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("forward: %d events stay in the spool: %w", left, context.Cause(ctx))
		}
	}
}

// Close stops forwarding. What is in flight and not acked will be sent again by
// the next start.
func (f *Forwarder) Close() error {
	f.cancel()
	f.done.Wait()
	f.js.CleanupPublisher()
	return f.log.Close()
}

// Stats is a picture of the forwarder for metrics and status.
type Stats struct {
	Acked      uint64 `json:"acked"`      // events JetStream has acked, duplicates among them
	Resent     uint64 `json:"resent"`     // events published more than once
	Duplicates uint64 `json:"duplicates"` // acks that said: already there
	Dead       uint64 `json:"dead"`       // events in the dead-letter file
	Failures   uint64 `json:"failures"`   // times the forwarder began again
	LastError  string `json:"last_error,omitempty"`
}

// Stats returns the present figures.
func (f *Forwarder) Stats() Stats {
	st := Stats{
		Acked: f.acked.Load(), Resent: f.resent.Load(), Duplicates: f.duplicates.Load(),
		Dead: f.deadCount.Load(), Failures: f.failures.Load(),
	}
	if e := f.lastErr.Load(); e != nil {
		st.LastError = *e
	}
	return st
}

// run forwards until Close, beginning again after each failure.
func (f *Forwarder) run(ctx context.Context) {
	backoff := firstBackoff
	for {
		before := f.log.Acked()
		err := f.forward(ctx)
		if ctx.Err() != nil {
			return
		}
		if f.log.Acked() > before {
			backoff = firstBackoff
		}
		text := err.Error()
		f.lastErr.Store(&text)
		if n := f.failures.Add(1); backoff == firstBackoff || n == 1 {
			f.logger.Warn("forward: events wait in the spool", "error", err)
		}
		f.pause(ctx, backoff/2+rand.N(backoff)) //nolint:gosec // jitter
		backoff = min(2*backoff, maxBackoff)
	}
}

// pause waits for d, or until there is a reason to try sooner.
func (f *Forwarder) pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-f.connected:
	case <-time.After(d):
	}
}

// inFlight is a published record that waits for its ack; without a future it is
// settled already.
type inFlight struct {
	seq     uint64
	spoolID string
	future  jetstream.PubAckFuture
}

// forward publishes from the cursor on until something fails. Before it returns, every
// message in flight is acked or given up, so that the next run does not overtake it.
func (f *Forwarder) forward(ctx context.Context) (err error) {
	if err := f.log.Rewind(f.log.Acked()); err != nil {
		return err
	}
	w := window{f: f}
	defer func() { err = errors.Join(err, w.settle(ctx)) }()
	for {
		for len(w.flying) < f.window {
			more, err := w.publishNext()
			if err != nil {
				return err
			}
			if !more {
				break
			}
		}
		var ready <-chan struct{}
		if len(w.flying) < f.window {
			ready = f.log.Ready()
		}
		if err := w.await(ctx, ready); err != nil {
			return err
		}
	}
}
