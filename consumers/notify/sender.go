package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"bintubridge/consumers"
	"bintubridge/consumers/documents"
	"bintubridge/consumers/outbound"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"

	"github.com/nats-io/nats.go/jetstream"
)

// options are those of a subscription's consumer: of 10,000 that wait, two are tried at once.
func (n *notifier) options(key string) consumers.Options {
	return consumers.Options{
		Name: Name + "-" + key, Stream: subjects.StreamDeliveries, Subjects: []string{"delivery." + key},
		Workers: 2, MaxAckPending: provision.DeliveriesPerSubscription, MaxBytes: 4 << 20, AckWait: ackWait,
		Unordered: true, Raw: true, Monitor: n.monitor, Log: n.base,
	}
}

// senders runs the consumers of the subscriptions' deliveries.
func (n *notifier) senders() *documents.Supervisor {
	return &documents.Supervisor{
		Run: func(ctx context.Context, key string) error {
			return consumers.Run(ctx, n.js, n.options(key), func(ctx context.Context, m *consumers.Message) error {
				return n.deliver(ctx, key, m)
			})
		},
		Watch: func(key string) *consumers.Watch { return n.monitor.Watch(Name+"-"+key, n.js.Conn()) },
		Log:   n.log,
	}
}

// served are the subscriptions that have a sender. One that is disabled has none; its deliveries wait.
func served(table map[string]*subscription) map[string]bool {
	keys := make(map[string]bool, len(table))
	for key, s := range table {
		if s.Disabled == "" {
			keys[key] = true
		}
	}
	return keys
}

func (n *notifier) leftovers() *documents.Leftovers {
	return &documents.Leftovers{JS: n.js, Bucket: subjects.BucketSubscriptions, Stream: subjects.StreamDeliveries, Prefix: Name + "-"}
}

// tidy deletes what subscriptions that are gone have left: their consumers and deliveries. Those of one
// that has been made anew meanwhile stay.
func (n *notifier) tidy(ctx context.Context, leftovers *documents.Leftovers) {
	keys, sequence, err := leftovers.Look(ctx)
	if err != nil {
		n.log.Debug("what subscriptions have left is not known", "error", err) // the stream may not be there yet
		return
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for _, key := range keys {
		if err := n.drop(ctx, key, sequence); err != nil {
			n.log.Warn("the deliveries of a subscription that is gone cannot be deleted", "subscription", key, "error", err)
		}
	}
}

// drop deletes the consumer of a key, and its deliveries up to the sequence.
func (n *notifier) drop(ctx context.Context, key string, sequence uint64) error {
	stream, err := n.js.Stream(ctx, subjects.StreamDeliveries)
	if err != nil {
		return err
	}
	return errors.Join(
		stream.DeleteConsumer(ctx, Name+"-"+key),
		stream.Purge(ctx, jetstream.WithPurgeSubject("delivery."+key), jetstream.WithPurgeSequence(sequence+1)))
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
