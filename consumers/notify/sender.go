package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"bintubridge/consumers"
	"bintubridge/consumers/documents"
	"bintubridge/consumers/outbound"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"

	"github.com/nats-io/nats.go/jetstream"
)

// sender is the consumer of one subscription's deliveries.
type sender struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func (s *sender) stop() {
	s.cancel()
	<-s.done
}

// options are those of a subscription's consumer: of 10,000 that wait, two are tried at once.
func (n *notifier) options(key string) consumers.Options {
	return consumers.Options{
		Name: Name + "-" + key, Stream: subjects.StreamDeliveries, Subjects: []string{"delivery." + key},
		Workers: 2, MaxAckPending: provision.DeliveriesPerSubscription, AckWait: ackWait,
		Raw: true, Monitor: n.monitor, Log: n.base,
	}
}

// startAndStop makes the senders those of the table. One that is disabled has none; its deliveries
// wait.
func (n *notifier) startAndStop(ctx context.Context, table map[string]*subscription) {
	for key, s := range n.senders {
		if sub := table[key]; sub == nil || sub.Disabled != "" {
			delete(n.senders, key)
			s.stop()
		}
	}
	for key, sub := range table {
		if n.senders[key] != nil || sub.Disabled != "" {
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		s := &sender{cancel, make(chan struct{})}
		n.senders[key] = s
		go func() {
			defer close(s.done)
			err := consumers.Run(ctx, n.js, n.options(key), func(ctx context.Context, m *consumers.Message) error {
				return n.deliver(ctx, key, m)
			})
			if err != nil {
				n.log.Error("a subscription is not served", "subscription", key, "error", err)
			}
		}()
	}
}

// tidy deletes what subscriptions that are gone have left: their consumers and deliveries.
func (n *notifier) tidy(ctx context.Context, all []documents.Document) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := n.js.Stream(ctx, subjects.StreamDeliveries)
	if err != nil {
		return // it is not there yet
	}
	names := stream.ConsumerNames(ctx)
	var gone []string
	for name := range names.Name() {
		key, ok := strings.CutPrefix(name, Name+"-")
		if ok && !slices.ContainsFunc(all, func(d documents.Document) bool { return d.Key == key }) {
			gone = append(gone, key)
		}
	}
	for _, key := range gone {
		err := errors.Join(stream.DeleteConsumer(ctx, Name+"-"+key), stream.Purge(ctx, jetstream.WithPurgeSubject("delivery."+key)))
		if err != nil {
			n.log.Warn("the deliveries of a subscription that is gone cannot be deleted", "subscription", key, "error", err)
		}
	}
}

var errOff = errors.New("the subscription is off")

// deliver makes one try, and says when the next one is.
func (n *notifier) deliver(ctx context.Context, key string, m *consumers.Message) error {
	s := (*n.table.Load())[key]
	if s == nil || s.Disabled != "" {
		return consumers.RetryIn(errOff, time.Minute)
	}
	note, err := noticeOf(m)
	if err != nil {
		return consumers.Permanent(err)
	}
	err = n.send(ctx, s, note)
	if err == nil || consumers.IsPermanent(err) {
		return err
	}
	var status outbound.StatusError
	if errors.As(err, &status) && status.Code == http.StatusGone && s.Webhook() {
		return consumers.Permanent(errors.Join(err, n.disable(ctx, s)))
	}
	wait, more := after(err, time.Since(m.Time), m.Delivered)
	if !more {
		return consumers.Permanent(fmt.Errorf("given up after %d tries: %w", m.Delivered, err))
	}
	return consumers.RetryIn(err, wait)
}

// after returns when the next try is: by the schedule, and not before the receiver asked for it.
func after(err error, age time.Duration, tries uint64) (time.Duration, bool) {
	wait, more := nextTry(age, tries)
	var status outbound.StatusError
	_ = errors.As(err, &status) // one that did not answer asked for nothing
	return max(jittered(wait), status.RetryAfter), more
}

// disable ends a subscription whose receiver is gone for good, unless it has changed meanwhile.
func (n *notifier) disable(ctx context.Context, s *subscription) error {
	d := s.Document
	d.Disabled = "the receiver answered 410 Gone at " + time.Now().UTC().Format(time.RFC3339)
	data, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("disable the subscription: %w", err)
	}
	kv, err := n.js.KeyValue(ctx, subjects.BucketSubscriptions)
	if err != nil {
		return fmt.Errorf("disable the subscription: %w", err)
	}
	_, err = kv.Update(ctx, s.key, data, s.revision)
	if errors.Is(err, jetstream.ErrKeyExists) {
		return nil // the next 410 comes from what it is now
	}
	if err != nil {
		return fmt.Errorf("disable the subscription: %w", err)
	}
	n.log.Warn("a subscription is disabled: its receiver answered 410", "subscription", s.key)
	return nil
}
