package forward

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/synadia-io/orbit.go/jetstreamext"
)

// A batch is bounded, so that the commit comes before its time-out, and little is
// sent again when it fails. The size adapts between the bounds: it doubles with each batch that
// goes through quickly, halves with a slow one and begins anew after a failure.
const (
	firstBatch    = 64      // messages
	maxBatch      = 8192    // messages
	maxBatchBytes = 8 << 20 // of messages, checked before each

	// batchTimeout bounds the wait for the first ack, which nothing can interrupt, and the wait
	// for the commit.
	batchTimeout = 2 * time.Second
	quickBatch   = batchTimeout / 8

	// flow is how often the server acks within a batch. We wait for the commit alone: only its
	// ack carries a stream sequence, and without one a cursor could not be verified. So the
	// publisher is told never to stall, and the size of a batch bounds what is in flight.
	flow = 500
)

var errPartBatch = errors.New("only a part of a batch was stored")

// batchRest is how long batches are left alone after the first message of two in a row got
// no answer at all: a server or proxy that does not know them says nothing. Neither does a
// stream that is without a leader, nor a network that is cut, but the stream was looked at
// between the two.
const batchRest = 5 * time.Minute

// batching is what outlives a batch.
type batching struct {
	size   int                        // of the next batch, in messages
	sent   []sentRecord               // memory for the next batch
	silent bool                       // the last one got no answer at all
	rests  time.Time                  // until then the window is used
	orphan jetstreamext.FastPublisher // failed, and its subscription is still there
}

// release ends the subscription of a failed batch, which needs a connection.
func (b *batching) release() {
	if b.orphan == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // nobody waits for the answer
	if _, err := b.orphan.Close(ctx); err == nil || b.orphan.IsClosed() || errors.Is(err, jetstreamext.ErrEmptyBatch) {
		b.orphan = nil
	}
}

// batch is one fast batch.
type batch struct {
	f    *Forwarder
	pub  jetstreamext.FastPublisher
	sent []sentRecord

	connection uint64 // number of the one it began on

	mu    sync.Mutex
	cause error // the first the server reported; comes on the connection's goroutine
}

// sentRecord is what has to be known of a message in flight.
type sentRecord struct {
	seq     uint64
	spoolID string
}

// sendBatch publishes first and what follows it as one fast batch: the server stores
// its messages in order and none behind a gap. The last one commits it.
func (f *Forwarder) sendBatch(ctx context.Context, first *entry) error {
	b := &batch{f: f, connection: f.connection(), sent: f.batches.sent[:0]}
	defer func() { f.batches.sent = b.sent }()
	var err error
	b.pub, err = jetstreamext.NewFastPublisher(f.js,
		jetstreamext.FastPublishFlowControl{Flow: flow, MaxOutstandingAcks: math.MaxUint16, AckTimeout: batchTimeout},
		jetstreamext.WithFastPublisherErrorHandler(b.report))
	if err != nil {
		return fmt.Errorf("batch: %w", err)
	}
	began := time.Now()
	ack, err := b.send(ctx, first)
	if err == nil {
		err = b.settle(ack)
	}
	if err != nil {
		return b.failed(err)
	}
	f.batches.silent = false
	switch took := time.Since(began); {
	case took < quickBatch && len(b.sent) >= f.batches.size:
		f.batches.size = min(2*f.batches.size, maxBatch)
	case took > 2*quickBatch:
		f.batches.size = max(f.batches.size/2, firstBatch)
	}
	return nil
}

// send publishes until the batch is full or the log is read, and returns the
// answer to the commit.
func (b *batch) send(ctx context.Context, first *entry) (*jetstreamext.BatchAck, error) {
	size := 0
	for e := first; ; {
		b.sent = append(b.sent, sentRecord{e.seq, e.spoolID})
		size += len(e.msg.Data)
		b.f.publishing(e)
		if len(b.sent) > 1 && (len(b.sent) >= b.f.batches.size || size >= maxBatchBytes || e.seq >= b.f.log.Tail()) {
			return b.pub.CommitMsg(ctx, e.msg)
		}
		if _, err := b.pub.AddMsg(e.msg); err != nil {
			return nil, err
		}
		b.f.spare = e // the message is on its way, and what was sent is remembered
		next, err := b.f.next()
		if err != nil {
			return nil, err
		}
		if next == nil || !next.plain() || next.seq <= b.f.careful {
			b.f.held = next
			return b.pub.Close(ctx)
		}
		e = next
	}
}

// settle moves the cursor behind what the commit says was stored.
func (b *batch) settle(ack *jetstreamext.BatchAck) error {
	n := min(ack.BatchSize, uint64(len(b.sent)))
	if n == 0 {
		return errPartBatch
	}
	last := b.sent[n-1]
	var err error
	if ack.Sequence == 0 { // the stream had them all before; it does not say where
		b.f.counters.duplicates.Add(n)
		err = b.f.passed(last.seq)
	} else if err = b.f.grew(ack.Sequence); err == nil {
		err = b.f.settled(last.seq, last.spoolID, ack.Sequence)
	}
	if err != nil {
		return err
	}
	b.f.counters.acked.Add(n)
	if n < uint64(len(b.sent)) {
		return errPartBatch
	}
	return nil
}

// failed says what happens after err, and why it came about.
func (b *batch) failed(err error) error {
	f := b.f
	b.mu.Lock()
	cause := b.cause
	b.mu.Unlock()
	if cause != nil {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	f.batches.size = firstBatch
	if !b.pub.IsClosed() {
		f.batches.orphan = b.pub
	}
	silent := len(b.sent) == 1 && cause == nil && f.conn.IsConnected() && f.connection() == b.connection
	if silent && f.batches.silent || refusesBatches(err) {
		f.batches.rests = time.Now().Add(batchRest)
		f.logger.Warn("forward: the server takes no fast batches although the stream allows them; messages go with an ack each",
			"error", err, "until", f.batches.rests)
	}
	f.batches.silent = silent
	// One by one, the poison shows itself. A batch that ended early, and one that was sent twice
	// because nobody may look, are gone through again in the same careful way.
	if poison(err) || errors.Is(err, jetstreamext.ErrBatchClosed) || errors.Is(err, errPartBatch) || f.stream.blindOn != 0 {
		f.careful = f.sent
	}
	return f.explain(fmt.Errorf("publish a batch: %w", err))
}

// report keeps the first error of the batch. The publisher calls it under its own lock.
func (b *batch) report(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cause == nil {
		b.cause = err
	}
}

// refusesBatches reports whether the server says that it takes no batches here.
func refusesBatches(err error) bool {
	return errors.Is(err, jetstreamext.ErrFastBatchNotEnabled) || errors.Is(err, jetstreamext.ErrFastBatchInvalidPattern)
}
