package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bintubridge/consumers"
	"bintubridge/consumers/documents"
	"bintubridge/consumers/outbound"
	"bintubridge/subjects"

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
	log     *slog.Logger                      // of its own
	base    *slog.Logger                      // that the runner marks by itself
	dead    map[string]*consumers.DeadLetters // by stream

	table  atomic.Pointer[map[string]*subscription]
	loaded chan struct{} // closed when there is a table

	senders map[string]*sender // by key; only of the goroutine that follows the bucket
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
		dead: map[string]*consumers.DeadLetters{
			subjects.StreamEvents: consumers.NewDeadLetters(js, Name), subjects.StreamSessions: consumers.NewDeadLetters(js, SessionsName),
		},
		loaded: make(chan struct{}), senders: map[string]*sender{},
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
	watch := n.monitor.Watch(tableName)
	defer watch.Leave()
	documents.Follow(ctx, n.js, subjects.BucketSubscriptions, n.log, func(all []documents.Document) {
		table, broken := n.compileAll(all)
		n.table.Store(&table)
		select {
		case <-n.loaded:
		default:
			close(n.loaded)
		}
		keep := maps.Clone(broken)
		n.startAndStop(ctx, table, keep)
		n.tidy(ctx, table, keep)
		detail := ""
		if len(broken) > 0 {
			watch.Failed()
			detail = fmt.Sprintf("%d subscriptions are not understood: %s", len(broken), strings.Join(slices.Sorted(maps.Keys(broken)), ", "))
		}
		watch.Attached(detail)
	})
	for _, s := range n.senders {
		s.stop()
	}
}

// compileAll returns the subscriptions by key, and the keys of those that are not understood. One
// that has not changed stays the same.
func (n *notifier) compileAll(all []documents.Document) (map[string]*subscription, map[string]bool) {
	var old map[string]*subscription
	if p := n.table.Load(); p != nil {
		old = *p
	}
	table, broken := map[string]*subscription{}, map[string]bool{}
	for _, d := range all {
		if s := old[d.Key]; s != nil && s.revision == d.Revision {
			table[d.Key] = s
			continue
		}
		s, err := n.compile(d)
		if err != nil {
			broken[d.Key] = true
			n.log.Error("a subscription is not understood; nothing is delivered for it", "key", d.Key, "revision", d.Revision, "error", err)
			continue
		}
		table[d.Key] = s
	}
	return table, broken
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

// put stores one delivery. When too many of the subscription wait already the event is set
// aside: other subscriptions are not to wait for its receiver.
func (n *notifier) put(ctx context.Context, s *subscription, m *consumers.Message) error {
	_, err := n.js.PublishMsg(ctx, delivery(m, s.key))
	if isFull(err) {
		n.log.Error("too many deliveries wait for a subscription; an event is set aside in DEAD", "subscription", s.key, "id", m.ID)
		return n.dead[m.Stream].Put(ctx, m, fmt.Sprintf("too many deliveries wait for subscription %s", s.key))
	}
	if err != nil {
		return fmt.Errorf("publish to %s: %w", subjects.StreamDeliveries, err)
	}
	return nil
}

// isFull tells the limit of a subscription from that of the stream, which is waited for.
func isFull(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && strings.Contains(api.Description, "maximum messages per subject")
}

const (
	requestTimeout = 5 * time.Second
	ackWait        = 10 * time.Second // after a kill, what was in work comes again
)
