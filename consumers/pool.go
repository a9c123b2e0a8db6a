package consumers

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// pool is the workers and the lanes they take messages from.
type pool struct {
	ctx     context.Context // Run's: when it ends, what was not begun is given back
	opts    Options
	nc      *nats.Conn
	settle  *settler
	handle  BatchHandler
	hand    *hand
	lanes   *lanes
	workers sync.WaitGroup

	handlers context.Context // ends Options.Drain after ctx
	cut      context.CancelFunc
}

// delivery is a message as the server and as the handler know it.
type delivery struct {
	msg jetstream.Msg
	*Message
	size int // in bytes
	lane *lane

	seen  bool          // by the handler, in this process
	tries int           // of those that failed
	wait  time.Duration // until it is tried again
	doom  error         // why it is to be set aside, when that failed
}

// again makes it one that is tried again after so long. A handler may still have the message it got.
func (d *delivery) again(wait time.Duration) {
	next := *d.Message
	next.Delivered++
	d.Message, d.wait = &next, wait
}

func startPool(ctx context.Context, opts Options, nc *nats.Conn, s *settler, h BatchHandler) *pool {
	p := &pool{ctx: ctx, opts: opts, nc: nc, settle: s, handle: h, hand: startHand(opts), lanes: newLanes(opts)}
	s.release = p.hand.release
	p.handlers, p.cut = context.WithCancel(context.WithoutCancel(ctx))
	for range opts.Workers {
		p.workers.Go(p.work)
	}
	return p
}

// take puts the message behind those of its name.
func (p *pool) take(msg jetstream.Msg) {
	m, err := Decode(msg)
	if m == nil {
		p.opts.Log.Error("not a message of JetStream", "error", err)
		return
	}
	if m.Delivered > 1 {
		p.settle.watch.Redelivered()
	}
	d := &delivery{msg: msg, Message: m, size: sizeOf(msg)}
	if p.hand.hold(d) {
		p.lanes.add(d)
	}
}

func sizeOf(msg jetstream.Msg) int {
	size := len(msg.Subject()) + len(msg.Reply()) + len(msg.Data())
	for name, values := range msg.Headers() {
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	return size
}

// drain lets the workers finish what they began, and gives back the rest: of each name in the order of
// the stream, and so behind what is in work. Nothing more comes.
func (p *pool) drain() {
	p.giveBack(p.lanes.end())
	limit := time.AfterFunc(p.opts.Drain, p.cut)
	p.workers.Wait()
	limit.Stop()
	p.cut()
	p.giveBack(p.hand.all())
	p.hand.stop()
}

// giveBack returns when the server has done it: who asks next gets them all, and can put them in order.
func (p *pool) giveBack(list []*delivery) {
	var err error
	for i, d := range list {
		p.hand.release(d)
		if i < len(list)-1 {
			err = d.msg.Nak()
		} else {
			err = p.nakAndWait(d)
		}
		if err != nil {
			p.opts.Log.Warn("messages cannot be given back; they come again after the ack wait", "messages", len(list), "error", err)
			return
		}
	}
}

func (p *pool) nakAndWait(d *delivery) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), requestTimeout)
	defer cancel()
	_, err := p.nc.RequestWithContext(ctx, d.msg.Reply(), []byte("-NAK"))
	return err
}

func (p *pool) work() {
	for batch := p.lanes.next(p.ctx); batch != nil; batch = p.lanes.next(p.ctx) {
		rest, left := p.sift(batch)
		p.lanes.done(batch, append(left, p.do(rest)...))
	}
}

// sift settles what no handler is to see: what cannot be read, what was delivered too often
// without an answer, and what was sent again for another consumer. It returns the rest, and what could
// not be settled, with what is behind that.
func (p *pool) sift(batch []*delivery) (rest, left []*delivery) {
	for _, d := range batch {
		switch why := p.unfit(d); {
		case redriveOf(d.Header) != "" && redriveOf(d.Header) != p.opts.Name:
			left = append(left, p.settleAll([]*delivery{d}, ErrSkip)...)
		case why != nil:
			left = append(left, p.settleAll([]*delivery{d}, Permanent(why))...)
		default:
			rest = append(rest, d)
		}
	}
	rest, behind := apart(rest, left)
	return rest, append(left, behind...)
}

// unfit says why a message is to be set aside without a look at it by the handler. Of a lane that is one
// that came too often: those behind it were delivered as often, and only waited.
func (p *pool) unfit(d *delivery) error {
	switch {
	case d.doom != nil:
		return d.doom
	case d.Err != nil && !p.opts.Raw:
		return d.Err
	case !d.seen && !d.lane.spared && p.opts.MaxDeliver > 0 && d.Delivered > unanswered(p.opts.MaxDeliver):
		d.lane.spared = true
		return errUnanswered
	}
	return nil
}

// unanswered is how often a message may be delivered without an answer. It is many times more than it may
// be tried: messages that were in hand at the end of a process were delivered, and not tried.
func unanswered(maxDeliver int) uint64 { return 10 * (uint64(maxDeliver) + 1) }

var errUnanswered = errors.New("delivered too often without an answer: its handler may end the process")

// apart parts the messages that may be handled from those behind one that is left, of the same lane.
func apart(batch, left []*delivery) (free, behind []*delivery) {
	if len(left) == 0 {
		return batch, nil
	}
	stuck := map[*lane]bool{}
	for _, d := range left {
		stuck[d.lane] = true
	}
	for _, d := range batch {
		if stuck[d.lane] {
			behind = append(behind, d)
		} else {
			free = append(free, d)
		}
	}
	return free, behind
}

// do handles a batch, finds the message that is at fault, and returns what is to be tried again.
func (p *pool) do(batch []*delivery) (left []*delivery) {
	if len(batch) == 0 {
		return nil
	}
	err := p.call(batch)
	for _, d := range batch {
		d.seen = true
		if isFailure(err) {
			d.tries++
		}
	}
	if half := len(batch) / 2; half > 0 && (IsPermanent(err) || isFailure(err) && slices.ContainsFunc(batch, p.settle.triedOut)) {
		left = p.do(batch[:half])
		free, behind := apart(batch[half:], left)
		return slices.Concat(left, behind, p.do(free))
	}
	return p.settleAll(batch, err)
}

func (p *pool) call(batch []*delivery) (err error) {
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

// settleAll tells the server what became of messages, and returns those that stay in hand.
func (p *pool) settleAll(batch []*delivery, err error) (left []*delivery) {
	wait := p.settle.announce(batch, err)
	for _, d := range batch {
		if p.settle.settle(p.handlers, d, err, wait) {
			p.hand.release(d)
		} else {
			left = append(left, d)
		}
	}
	return left
}
