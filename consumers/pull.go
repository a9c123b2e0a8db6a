package consumers

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// puller asks a durable consumer for messages: one pull after the other, each for what there is
// room for, and none is ended before the server ended it. (The iterators of package jetstream ask again by
// themselves, and those that were ended leave messages on their way to the ack wait, and so out of order.)
type puller struct {
	nc      *nats.Conn
	subject string // where it asks
	inbox   string
	sub     *nats.Subscription // of all that is answered
	answers chan *nats.Msg
	heard   func()
	closed  chan struct{}    // when no answer can come any more
	status  chan nats.Status // of the connection: what was asked before it was lost is not answered
	asked   uint64           // pulls so far; the current one's answers come to inbox.<asked>
}

// Errors of a pull that another one mends.
var (
	errSilent   = errors.New("the server is silent")
	errTooLarge = errors.New("the next message is larger than the pull may bring")
)

// Of a pull, as the server is asked for it.
const (
	pullExpires = 30 * time.Second
	pullBeat    = 5 * time.Second // the server says that often that it is there
	pullFirst   = 5 * time.Second // how long the first one may take, see catchUp
)

// pullRequest is what the server is asked for.
type pullRequest struct {
	Messages int           `json:"batch"`
	Bytes    int           `json:"max_bytes,omitempty"` // together; 0 is any
	Expires  time.Duration `json:"expires"`
	Beat     time.Duration `json:"idle_heartbeat,omitempty"`
	NoWait   bool          `json:"no_wait,omitempty"` // end as soon as something has come and nothing more is there
}

// startPuller subscribes to the answers of pulls of this many messages at most. heard is told of
// every answer.
func startPuller(js jetstream.JetStream, stream, consumer string, most int, heard func()) (*puller, error) {
	nc := js.Conn()
	p := &puller{
		nc: nc, subject: apiPrefix(js.Options()) + "CONSUMER.MSG.NEXT." + stream + "." + consumer, inbox: nc.NewInbox(),
		answers: make(chan *nats.Msg, 2*most+64), // twice: one that was silent may answer late
		closed:  make(chan struct{}), heard: heard,
	}
	var err error
	if p.sub, err = nc.ChanSubscribe(p.inbox+".*", p.answers); err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	gone := sync.OnceFunc(func() { close(p.closed) })
	p.sub.SetClosedHandler(func(string) { gone() })
	p.status = nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	return p, nil
}

func apiPrefix(o jetstream.JetStreamOptions) string {
	if o.Domain != "" {
		return "$JS." + o.Domain + ".API."
	}
	return strings.TrimSuffix(cmp.Or(o.APIPrefix, jetstream.DefaultAPIPrefix), ".") + "."
}

// pull asks for messages and gives them to take until the server ends the pull or ctx ends. It waits
// for a connection.
func (p *puller) pull(ctx context.Context, messages, bytes int, take func(jetstream.Msg)) error {
	return p.run(ctx, pullRequest{Messages: messages, Bytes: bytes, Expires: pullExpires, Beat: pullBeat}, take)
}

// catchUp is a pull of what is there: what others gave back is among it, and the server
// has that in the order it was given back.
func (p *puller) catchUp(ctx context.Context, messages, bytes int, take func(jetstream.Msg)) error {
	return p.run(ctx, pullRequest{Messages: messages, Bytes: bytes, Expires: pullFirst, NoWait: true}, take)
}

func (p *puller) run(ctx context.Context, r pullRequest, take func(jetstream.Msg)) error {
	if err := p.ask(r); err != nil {
		return err
	}
	silence := time.NewTimer(2 * pullBeat)
	defer silence.Stop()
	for came := 0; came < r.Messages; {
		select {
		case msg := <-p.answers:
			silence.Reset(2 * pullBeat)
			p.heard()
			if !isStatus(msg) {
				came++
				take(pulled{p.nc, msg})
				continue
			}
			if msg.Subject != p.reply() {
				continue // of a pull before this one
			}
			if ended, err := p.judge(msg, came); ended || err != nil {
				return err
			}
		case status := <-p.status:
			if status == nats.CLOSED {
				return nats.ErrConnectionClosed
			}
			return nil // connected again: ask again
		case <-silence.C:
			if p.nc.IsConnected() {
				return errSilent
			}
			silence.Reset(2 * pullBeat)
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// ask sends a pull. While there is no connection it sends none: run waits for one.
func (p *puller) ask(r pullRequest) error {
	for len(p.status) > 0 {
		if <-p.status == nats.CLOSED {
			return nats.ErrConnectionClosed
		}
	}
	p.asked++
	request, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("ask for messages: %w", err)
	}
	err = p.nc.PublishRequest(p.subject, p.reply(), request)
	if err != nil && (p.nc.IsConnected() || p.nc.IsClosed()) {
		return fmt.Errorf("ask for messages: %w", err)
	}
	return nil
}

func (p *puller) reply() string { return p.inbox + "." + strconv.FormatUint(p.asked, 10) }

// isStatus tells what the server says of a pull from a message, which is to be acked.
func isStatus(msg *nats.Msg) bool { return msg.Reply == "" }

// judge says whether a status ends a pull that has brought so many messages, and whether another one
// is no use.
func (p *puller) judge(msg *nats.Msg, came int) (ended bool, err error) {
	code, text := msg.Header.Get("Status"), msg.Header.Get("Description")
	says := func(what string) bool { return strings.Contains(strings.ToLower(text), what) }
	switch {
	case code == "100": // it is there
		return false, nil
	case code == "404", code == "408", code == "409" && says("batch completed"):
		return true, nil
	case code == "409" && says("maxbytes"):
		if came == 0 {
			return true, errTooLarge
		}
		return true, nil
	case code == "409" && (says("leadership change") || says("server shutdown")):
		return true, errSilent // another server is asked soon
	case code == "503":
		return true, nats.ErrNoResponders
	}
	return true, fmt.Errorf("the server answers %s %s", code, oneLine(shorten(text, maxTermReason)))
}

// close ends the pull that goes on, and gives take what has arrived by then.
func (p *puller) close(take func(jetstream.Msg)) {
	defer p.nc.RemoveStatusListener(p.status)
	if !p.nc.IsConnected() || p.sub.Drain() != nil {
		_ = p.sub.Unsubscribe() // there is nothing that could come
		return
	}
	tick := time.NewTicker(drainWait / drainTicks)
	defer tick.Stop()
	for ticks := 0; ticks < drainTicks; { // a machine that stands still loses one of them
		select {
		case msg := <-p.answers:
			p.late(msg, take)
		case <-p.closed:
			for len(p.answers) > 0 {
				p.late(<-p.answers, take)
			}
			return
		case <-tick.C:
			ticks++
		}
	} // the connection is going
}

func (p *puller) late(msg *nats.Msg, take func(jetstream.Msg)) {
	if !isStatus(msg) {
		take(pulled{p.nc, msg})
	}
}
