package consumers

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// pool is the workers and what they have in hand.
type pool struct {
	ctx     context.Context // Run's: when it ends, what was not begun is given back
	opts    Options
	settle  *settler
	handle  BatchHandler
	seed    maphash.Seed
	queues  []chan delivery
	keeper  *keeper
	workers sync.WaitGroup

	handlers context.Context // ends Options.Drain after ctx
	cut      context.CancelFunc
}

// delivery is a message as the server and as the handler know it.
type delivery struct {
	msg jetstream.Msg
	*Message
}

func startPool(ctx context.Context, opts Options, s *settler, h BatchHandler) *pool {
	p := &pool{ctx: ctx, opts: opts, settle: s, handle: h, seed: maphash.MakeSeed(), keeper: startKeeper(opts)}
	p.handlers, p.cut = context.WithCancel(context.WithoutCancel(ctx))
	for range opts.Workers {
		// The server has no more than MaxAckPending on their way: a name that is
		// slow fills its own queue and holds up nobody at the door.
		queue := make(chan delivery, opts.MaxAckPending)
		p.queues = append(p.queues, queue)
		p.workers.Go(func() { p.work(queue) })
	}
	return p
}

// take gives the message to the worker of its name.
func (p *pool) take(msg jetstream.Msg) {
	m, err := Decode(msg)
	if m == nil {
		p.opts.Log.Error("not a message of JetStream", "error", err)
		return
	}
	d := delivery{msg, m}
	p.keeper.hold(d)
	if m.Delivered > 1 {
		p.settle.watch.Redelivered()
	}
	p.queues[maphash.String(p.seed, m.Name())%uint64(len(p.queues))] <- d
}

// drain lets the workers finish what they began. The context has ended, or nothing more comes.
func (p *pool) drain() {
	for _, queue := range p.queues {
		close(queue)
	}
	limit := time.AfterFunc(p.opts.Drain, p.cut)
	p.workers.Wait()
	limit.Stop()
	p.cut()
	p.keeper.stop()
}

func (p *pool) work(queue <-chan delivery) {
	for first := range queue {
		batch := p.collect(first, queue)
		if p.ctx.Err() != nil {
			for _, d := range batch {
				p.keeper.release(d)
				giveBack(d.msg, p.opts)
			}
			continue
		}
		p.do(p.sift(batch))
	}
}

// collect adds to first what comes soon.
func (p *pool) collect(first delivery, queue <-chan delivery) []delivery {
	batch := []delivery{first}
	if p.opts.Batch == 1 {
		return batch
	}
	soon := time.NewTimer(p.opts.BatchWait)
	defer soon.Stop()
	for len(batch) < p.opts.Batch {
		select {
		case d, ok := <-queue:
			if !ok {
				return batch
			}
			batch = append(batch, d)
		case <-soon.C:
			return batch
		case <-p.ctx.Done():
			return batch
		}
	}
	return batch
}

// sift settles what no handler is to see: what cannot be read, what was tried too often
// without an answer, and what was sent again for another consumer.
func (p *pool) sift(batch []delivery) []delivery {
	rest := batch[:0]
	for _, d := range batch {
		switch {
		case redriveOf(d.Header) != "" && redriveOf(d.Header) != p.opts.Name:
			p.settleAll([]delivery{d}, ErrSkip)
		case d.Err != nil && !p.opts.Raw:
			p.settleAll([]delivery{d}, Permanent(d.Err))
		case p.opts.MaxDeliver > 0 && d.Delivered > uint64(p.opts.MaxDeliver):
			p.settleAll([]delivery{d}, Permanent(errUnanswered))
		default:
			rest = append(rest, d)
		}
	}
	return rest
}

var errUnanswered = errors.New("delivered too often without an answer: its handler may end the process")

// do handles a batch, and finds the message that is at fault.
func (p *pool) do(batch []delivery) {
	if len(batch) == 0 {
		return
	}
	err := p.call(batch)
	if IsPermanent(err) && len(batch) > 1 {
		p.do(batch[:len(batch)/2])
		p.do(batch[len(batch)/2:])
		return
	}
	p.settleAll(batch, err)
}

func (p *pool) call(batch []delivery) (err error) {
	ctx, cancel := context.WithTimeout(p.handlers, p.opts.Timeout)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			err = panicked(r, p.opts.Log)
		}
	}()
	messages := make([]*Message, len(batch))
	for i, d := range batch {
		messages[i] = d.Message
	}
	return p.handle(ctx, messages)
}

func (p *pool) settleAll(batch []delivery, err error) {
	wait := p.settle.announce(batch, err)
	for _, d := range batch {
		p.settle.settle(p.handlers, d, err, wait)
		p.keeper.release(d)
	}
}
