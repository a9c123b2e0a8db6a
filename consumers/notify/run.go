package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bintubridge/consumers"
	"bintubridge/consumers/documents"
	"bintubridge/consumers/outbound"
	"bintubridge/subjects"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The names of the durable consumers, in metrics, readiness and dead letters. A
// subscription's is Name, a hyphen and its key.
const (
	Name         = "notify"
	SessionsName = "notify_sessions"
	tableName    = "notify_subscriptions" // only in readiness
)

// Config is what the environment says.
type Config struct {
	Allow []netip.Prefix `env:"CONSUMER_NOTIFY_ALLOW" doc:"private networks that receivers may be in, comma-separated CIDRs; all that is public may be reached anyway"`
}

// notifier is a running consumer.
type notifier struct {
	*post
	js      jetstream.JetStream
	monitor *consumers.Monitor
	log     *slog.Logger // of its own
	base    *slog.Logger // that the runner marks by itself

	table  atomic.Pointer[map[string]*subscription]
	loaded chan struct{} // closed when there is a table
}

// Guard says where notifications may go.
func (c Config) Guard() outbound.Guard { return outbound.Guard{Allow: c.Allow} }

// Run notifies by the courier, which has to be http.DefaultTransport, until ctx ends, and then
// returns nil. Several instances may run; they share the work.
func Run(ctx context.Context, js jetstream.JetStream, courier *outbound.Courier, monitor *consumers.Monitor, log *slog.Logger) error {
	p, err := newPost(courier)
	if err != nil {
		return err
	}
	defer p.close()
	n := &notifier{
		post: p, js: js, monitor: monitor, log: log.With("consumer", Name), base: log,
		loaded: make(chan struct{}),
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, 2)
	var group sync.WaitGroup
	for i, opts := range []consumers.Options{
		{Name: Name, Stream: subjects.StreamEvents},
		{Name: SessionsName, Stream: subjects.StreamSessions},
	} {
		group.Go(func() {
			defer cancel()
			errs[i] = n.fanOut(ctx, opts)
		})
	}
	n.follow(ctx)
	group.Wait()
	return errors.Join(errs...)
}

// follow keeps the table and a sender for each subscription, until ctx ends.
func (n *notifier) follow(ctx context.Context) {
	watch := n.monitor.Watch(tableName, n.js.Conn())
	defer watch.Leave()
	compiled := documents.NewTable("subscription", n.compile, n.log)
	senders, leftovers := n.senders(), n.leftovers()
	documents.Follow(ctx, n.js, subjects.BucketSubscriptions, n.log, func(all []documents.Document) {
		table, refused := compiled.Apply(all)
		n.table.Store(&table)
		select {
		case <-n.loaded:
		default:
			close(n.loaded)
		}
		senders.Serve(ctx, served(table))
		leftovers.Applied(all)
		watch.Refused("subscriptions", refused)
	}, func(err error) {
		watch.Looked(err)
		n.tidy(ctx, leftovers)
	})
	senders.Close()
}

// fanOut puts a delivery into the stream for each subscription that wants the message.
func (n *notifier) fanOut(ctx context.Context, opts consumers.Options) error {
	select {
	case <-n.loaded:
	case <-ctx.Done():
		return nil
	}
	opts.AckWait = ackWait
	opts.Start, opts.Monitor, opts.Log = jetstream.DeliverNewPolicy, n.monitor, n.base
	return consumers.Run(ctx, n.js, opts, func(ctx context.Context, m *consumers.Message) error {
		for _, s := range *n.table.Load() {
			if !s.wants(m.Subject, m.Name()) {
				continue
			}
			if err := n.put(ctx, s, m); err != nil {
				return err
			}
		}
		return nil
	})
}

// errID says that an event's id can be in no header of a delivery or webhook.
var errID = errors.New("its id cannot be that of a webhook")

// put stores one delivery. One that there is no room for, because too many of the subscription
// wait or because it is too large, and one that no receiver could be sent, is set aside: other
// subscriptions are not to wait for it.
func (n *notifier) put(ctx context.Context, s *subscription, m *consumers.Message) error {
	var err error
	switch msg := delivery(m, s.key); {
	case !isWebhookID(m.ID):
		err = errID
	case int64(msg.Size()+letterHeaders) > n.js.Conn().MaxPayload():
		err = nats.ErrMaxPayload
	default:
		_, err = n.js.PublishMsg(ctx, msg)
	}
	var reason string
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errID):
		reason = err.Error()
	case isFull(err):
		reason = "too many deliveries wait for subscription " + s.key
	case errors.Is(err, nats.ErrMaxPayload):
		reason = "too large to be delivered to subscription " + s.key
	default:
		return fmt.Errorf("publish to %s: %w", subjects.StreamDeliveries, err)
	}
	name := Name
	if m.Stream == subjects.StreamSessions {
		name = SessionsName
	}
	if err := consumers.NewDeadLetters(n.js, name).Put(ctx, m, reason); err != nil {
		return err
	}
	n.monitor.Died(name)
	n.log.Error("an event is set aside in DEAD", "subscription", s.key, "id", fmt.Sprintf("%.*s", maxID, m.ID), "reason", reason)
	return nil
}

// maxID is how long an id may be, in bytes: many times longer than those of bridges.
const maxID = 1024

// isWebhookID reports whether an id is short and printable ASCII without blanks.
func isWebhookID(id string) bool {
	return len(id) <= maxID && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' })
}

// letterHeaders is more than what a dead letter has besides: of a delivery that ends as one, nothing else
// keeps the body.
const letterHeaders = 2 << 10

// isFull tells the limit of a subscription from that of the stream, which is waited for.
func isFull(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && strings.Contains(api.Description, "maximum messages per subject")
}

const (
	requestTimeout = 5 * time.Second
	ackWait        = 10 * time.Second // after a kill, what was in work comes again
)
