package consumers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Handler does one message's work. nil says that it is done and may be forgotten; an error
// that it is to be tried again, or never with Permanent. The context ends after
// Options.Timeout, not when Run's ends.
type Handler func(ctx context.Context, m *Message) error

// BatchHandler does the work of several messages, all of it or none: in one transaction.
// After an error all of them come again. After one that is Permanent, or the last of
// Options.MaxDeliver, they come again in halves, until the message that is at fault stands alone.
type BatchHandler func(ctx context.Context, batch []*Message) error

// Run gives each message to h until ctx ends, and then returns nil. It outlives
// outages of NATS, and waits for a stream that is not there yet. It returns an error
// when it cannot go on: wrong options, a durable consumer of the name that is none
// of its kind, a closed connection.
func Run(ctx context.Context, js jetstream.JetStream, opts Options, h Handler) error {
	one := func(ctx context.Context, batch []*Message) error { return h(ctx, batch[0]) }
	return run(ctx, js, opts, false, one)
}

// RunBatch is Run for a database: a batch is what is there, up to Options.Batch
// messages of any names, and waits Options.BatchWait for more.
func RunBatch(ctx context.Context, js jetstream.JetStream, opts Options, h BatchHandler) error {
	return run(ctx, js, opts, true, h)
}

func run(ctx context.Context, js jetstream.JetStream, opts Options, batches bool, h BatchHandler) error {
	opts, err := opts.withDefaults(batches)
	if err != nil {
		return err
	}
	watch := opts.Monitor.Watch(opts.Name, js.Conn())
	defer watch.Leave()
	p := startPool(ctx, opts, js.Conn(), newSettler(js, opts, watch, batches), h)
	watchLag := startLag(ctx, js, opts, watch)
	err = attend(ctx, js, opts, watch, p)
	p.drain()
	watchLag.stop()
	return errors.Join(err, flush(js.Conn()))
}

// attend keeps a subscription open until ctx ends.
func attend(ctx context.Context, js jetstream.JetStream, opts Options, watch *Watch, p *pool) error {
	var wait backoff
	for ctx.Err() == nil {
		err := subscribe(ctx, js, opts, watch, p, &wait)
		switch {
		case err == nil: // ctx ended
		case errors.Is(err, ErrConsumer), errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, jetstream.ErrConnectionClosed):
			return err
		default:
			watch.Detached(err)
			opts.Log.Warn("the consumer waits for NATS", "error", err)
			wait.sleep(ctx)
		}
	}
	return nil
}

// subscribe fetches from the durable consumer until that breaks. When ctx ends it returns nil.
func subscribe(ctx context.Context, js jetstream.JetStream, opts Options, watch *Watch, p *pool, wait *backoff) error {
	cons, err := open(ctx, js, opts, watch)
	if err == nil {
		wait.reset()
		p.hand.keepFor(min(opts.AckWait, ackWaitOf(cons.CachedInfo().Config)))
		err = fetch(ctx, js, cons, opts, watch, p)
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it is of the end
	}
	return err
}

// fetch hands messages to the pool until ctx ends or the subscription breaks.
func fetch(ctx context.Context, js jetstream.JetStream, cons jetstream.Consumer, opts Options, watch *Watch, p *pool) error {
	pulls, err := startPuller(js, opts.Stream, opts.Name, opts.inHand(), func() { watch.Attached("") })
	if err != nil {
		return fmt.Errorf("fetch from %s: %w", opts.Stream, err)
	}
	defer pulls.close(p.take)
	watch.Attached("")
	for pull := pulls.catchUp; ; {
		messages, bytes, ok := p.hand.room(ctx, largestMessage(js.Conn()))
		if !ok {
			return nil
		}
		err := pull(ctx, messages, bytes, p.take)
		if errors.Is(err, errTooLarge) {
			err = pulls.pull(ctx, 1, 0, p.take)
		}
		if err == nil {
			p.lanes.begin()
			pull = pulls.pull
		}
		switch {
		case errors.Is(err, errSilent):
			watch.Detached(err)
			if err := still(ctx, cons); err != nil {
				return err
			}
		case err != nil:
			return fmt.Errorf("fetch from %s: %w", opts.Stream, err)
		}
	}
}

// largestMessage returns the size of the largest message that the server takes now, its subjects included.
func largestMessage(nc *nats.Conn) int { return int(nc.MaxPayload()) + 8<<10 }

// still finds out whether a silent consumer is still there: a server that lost it answers
// no pulls for ever.
func still(ctx context.Context, cons jetstream.Consumer) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, err := cons.Info(ctx); errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("the consumer is gone: %w", err)
	}
	return nil // it is there, or nobody can tell: the pulls go on by themselves
}

// flush waits until the server has the last acks.
func flush(nc *nats.Conn) error {
	if !nc.IsConnected() {
		return nil // they are lost, and their messages come again
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	if err := nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("the last acks may be lost, and their messages come again: %w", err)
	}
	return nil
}

const (
	requestTimeout = 5 * time.Second
	drainWait      = 5 * time.Second // for the server to confirm that nothing more comes
	drainTicks     = 5
)
