// Package forward takes the spool to JetStream: in order, at least once,
// deduplicated by Nats-Msg-Id. It begins again behind the last acked record whenever
// anything goes wrong. What NATS will never take goes to a dead-letter file and does
// not hold up the rest; everything else holds the queue until it is mended.
//
// # Two ways to publish
//
// Where the server (2.14 or later) and the stream (AllowBatchPublish) allow it, a
// backlog goes in fast batches that end at the first gap, see batch.go. Elsewhere
// a window of messages is in flight, each with its own ack, see window.go. An event
// that comes alone is published at once and by itself in both; those that follow closely
// gather for some milliseconds, see gather.go.
//
// # Order
//
// Events reach the stream in the order of the spool, which is the order they
// were answered in. In batches, and while messages go one by one, this always holds: the server
// stores no message behind one it did not store. In a window, messages of one
// connection are stored in order too, so outages, restarts and kills do no
// harm, not even of the leader in a cluster; but when the server refuses one message and
// takes the next (a full ingest queue, a stream that is full for a large event and not for a
// small one, a stream that is created between two messages), or a cluster hands the stream
// to another leader between two messages, those of the same window that were stored
// stand before it. The window is then one message until the refused one is in. A
// stream that lost messages gets them again behind those that survived.
//
// # Nothing lost
//
// The cursor moves over what JetStream has acked and keeps the stream sequence. Before
// publishing, after every failure, and every half minute, the stream is asked whether it still
// holds the cursor's message, see verify.go.
package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	defaultWindow     = 1024
	defaultCheckEvery = 30 * time.Second
	defaultAckTimeout = 5 * time.Second // a lost ack must not hold its place for ever
	drainPoll         = 5 * time.Millisecond
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
	// Cursor returns what was last given to Ack or TakeBack.
	Cursor() (seq uint64, spoolID string, streamSeq uint64)
	// TakeBack moves the cursor back: what is behind it has to be sent again.
	TakeBack(after uint64, spoolID string, streamSeq uint64) error
	// Oldest returns the first sequence that can still be read.
	Oldest() uint64
	Tail() uint64
	// Count returns how many records can be read behind sequence after, up to until: sequences may be
	// left out.
	Count(after, until uint64) uint64
	Close() error
}

// Options of a forwarder.
type Options struct {
	Log         Log
	Conn        *nats.Conn      // publishing only; must not buffer while it reconnects
	DeadLetters string          // file
	MaxDead     int64           // its size in bytes, default 256 MiB; beyond it events that NATS never takes are lost
	Window      int             // messages in flight without batches, default 1024
	AckTimeout  time.Duration   // of a message without a batch, default 5 s
	CheckEvery  time.Duration   // how often the stream is asked for the cursor's message, default 30 s
	Connected   <-chan struct{} // signalled when NATS, or its stream, is there again: ends a back-off early
	Logger      *slog.Logger
}

// Forwarder owns the goroutine that empties the spool. Fields without a comment
// are set once; those below loop belong to that goroutine.
type Forwarder struct {
	log        Log
	conn       *nats.Conn
	js         jetstream.JetStream
	dead       graveyard
	window     int
	checkEvery time.Duration
	logger     *slog.Logger
	connected  <-chan struct{}
	cancel     context.CancelFunc
	done       sync.WaitGroup
	counters   counters

	// loop
	held    *entry // read from the log and put back
	spare   *entry // nobody has it any more
	sent    uint64 // highest sequence ever published
	careful uint64 // up to here, messages go one by one

	published time.Time // when the last publish began
	stream    streamState
	batches   batching
	unburied  unburied
	mourned   time.Time // when the log last told of a lost event
}

// Start begins to forward what is behind the spool's cursor.
func Start(o Options) (*Forwarder, error) {
	if o.Window <= 0 {
		o.Window = defaultWindow
	}
	if o.MaxDead <= 0 {
		o.MaxDead = maxDeadBytes
	}
	if o.CheckEvery <= 0 {
		o.CheckEvery = defaultCheckEvery
	}
	if o.AckTimeout <= 0 {
		o.AckTimeout = defaultAckTimeout
	}
	js, err := jetstream.New(o.Conn,
		jetstream.WithPublishAsyncMaxPending(o.Window),
		jetstream.WithPublishAsyncTimeout(o.AckTimeout))
	if err != nil {
		return nil, fmt.Errorf("forward: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &Forwarder{
		log: o.Log, conn: o.Conn, js: js, dead: graveyard{o.DeadLetters, o.MaxDead}, window: o.Window, checkEvery: o.CheckEvery,
		logger: o.Logger, connected: o.Connected, cancel: cancel,
		batches: batching{size: firstBatch},
	}
	f.done.Go(func() { f.run(ctx) })
	return f, nil
}

// Drain waits until JetStream has acked everything in the spool, or ctx ends.
func (f *Forwarder) Drain(ctx context.Context) error {
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for {
		if f.log.Acked() >= f.log.Tail() {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			left := f.log.Count(f.log.Acked(), f.log.Tail())
			return fmt.Errorf("forward: %d events stay in the spool: %w", left, context.Cause(ctx))
		}
	}
}

// Close stops forwarding. What is in flight and not acked will be sent again by
// the next start. It may wait for one ack, at most as long as its time-out.
func (f *Forwarder) Close() error {
	f.cancel()
	f.done.Wait()
	f.batches.release()
	f.js.CleanupPublisher()
	return f.log.Close()
}

// run forwards until Close, beginning again after each failure.
func (f *Forwarder) run(ctx context.Context) {
	var waits backoff
	for {
		before := f.log.Acked()
		err := f.forward(ctx)
		if ctx.Err() != nil {
			return
		}
		if err = f.offline(err); err == nil {
			continue // time to look at the stream again
		}
		f.counters.failed(err)
		wait, first := waits.after(f.log.Acked() > before)
		if first {
			f.logger.Warn("forward: events wait in the spool", "error", err)
		}
		f.pause(ctx, wait)
	}
}

// forward publishes from the cursor on until something fails, or until the stream is to be
// verified again. When it returns, nothing is in flight any more, so that the next run
// does not overtake it.
func (f *Forwarder) forward(ctx context.Context) error {
	f.batches.release()
	if err := f.verify(ctx); err != nil {
		return err
	}
	check := time.NewTimer(f.checkEvery) // not earlier: a long look would end with the next one due
	defer check.Stop()
	f.held = nil
	if err := f.log.Rewind(f.log.Acked()); err != nil {
		return err
	}
	for {
		first, err := f.next()
		if err != nil {
			return err
		}
		if first == nil {
			f.stream.stored = nil // it was for what is behind the cursor, and all of that is read
			select {
			case <-f.log.Ready():
				continue
			case <-check.C:
				return nil
			case <-f.connected:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if f.connection() != f.stream.connection {
			return nil // it may have been idle through an outage
		}
		f.gather(ctx, first)
		f.published = time.Now()
		if err := f.publish(ctx, first); err != nil {
			return err
		}
		select {
		case <-check.C:
			return nil
		default:
		}
	}
}

// connection numbers the connections to NATS, from 1.
func (f *Forwarder) connection() uint64 { return 1 + f.conn.Stats().Reconnects }

// publish sends first, and what follows it in the log as far as the chosen way goes.
// It returns when all of it is settled.
func (f *Forwarder) publish(ctx context.Context, first *entry) error {
	alone := first.seq <= f.careful
	switch {
	case !alone && f.stream.batches && first.plain() && first.seq < f.log.Tail():
		return f.sendBatch(ctx, first)
	case alone || f.stream.batches:
		return f.sendWindow(ctx, first, 1)
	}
	return f.sendWindow(ctx, first, f.window)
}

// settled moves the cursor behind a record that has the stream sequence streamSeq.
func (f *Forwarder) settled(seq uint64, spoolID string, streamSeq uint64) error {
	f.counters.lastAck.Store(time.Now().UnixNano())
	f.counters.failing.Store(false)
	f.stream.ownID, f.stream.ownSeq = spoolID, streamSeq
	return f.log.Ack(seq, spoolID, streamSeq)
}

// passed moves the cursor behind a record without a known place in the stream: a dead letter,
// or a duplicate. The cursor goes on naming the last message whose place is known.
func (f *Forwarder) passed(seq uint64) error {
	return f.log.Ack(seq, f.stream.ownID, f.stream.ownSeq)
}

// errWentBack says that the stream gave a new message a sequence it had given
// before. What was acked there is gone.
var errWentBack = errors.New("the stream has begun anew, or lost its end; it is looked at before anything else is sent")

// grew reports errWentBack unless the new stream sequence is above the last one.
func (f *Forwarder) grew(streamSeq uint64) error {
	if streamSeq <= f.stream.ownSeq {
		return fmt.Errorf("%w (sequence %d after %d)", errWentBack, streamSeq, f.stream.ownSeq)
	}
	return nil
}
