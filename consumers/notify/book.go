package notify

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"bintubridge/consumers/documents"
	"bintubridge/consumers/outbound"
	"bintubridge/subjects"

	"github.com/nats-io/nats.go/jetstream"
)

// Book is the bucket of subscriptions, for the operator.
type Book struct{ js jetstream.JetStream }

// NewBook returns it.
func NewBook(js jetstream.JetStream) *Book { return &Book{js} }

// Entry is a subscription as it may be shown.
type Entry struct {
	Key      string   `json:"key"`
	Who      string   `json:"who"`
	Subjects []string `json:"subjects"`
	Names    []string `json:"names,omitempty"`
	Target   string   `json:"target"`
	Secrets  int      `json:"secrets"` // how many sign
	Disabled string   `json:"disabled,omitempty"`
	Error    string   `json:"error,omitempty"` // why it is not understood
}

// List returns all subscriptions, without secrets.
func (b *Book) List(ctx context.Context) ([]Entry, error) {
	all, err := documents.Load(ctx, b.js, subjects.BucketSubscriptions)
	if err != nil {
		return nil, err
	}
	list := make([]Entry, len(all))
	for i, d := range all {
		list[i] = Entry{Key: d.Key}
		s, err := (&post{}).compile(d)
		if err != nil {
			list[i].Error = err.Error()
			continue
		}
		list[i] = Entry{d.Key, s.Who, s.Subjects, s.Names, s.Target(), len(s.Secrets), s.Disabled, ""}
	}
	return list, nil
}

// Subscribe stores the document under the key. What it leaves empty stays as it is. The secret is returned
// when a new one was made; rotate makes one for a subscription that is there.
func (b *Book) Subscribe(ctx context.Context, key string, d Document, rotate bool) (secret string, err error) {
	if err := documents.CheckKey(key); err != nil {
		return "", err
	}
	kv, err := b.js.KeyValue(ctx, subjects.BucketSubscriptions)
	if err != nil {
		return "", fmt.Errorf("KV %s: %w", subjects.BucketSubscriptions, err)
	}
	old, revision, err := b.get(ctx, kv, key)
	missing := errors.Is(err, jetstream.ErrKeyNotFound)
	switch {
	case missing && rotate:
		return "", fmt.Errorf("no such subscription: %s has no secret to rotate", key)
	case err != nil && !missing:
		return "", err
	}
	d = merged(old, d)
	switch {
	case !d.Webhook():
		d.Secrets = nil
	case rotate || len(d.Secrets) == 0:
		secret = NewSecret()
		d.Secrets = append([]string{secret}, d.Secrets[:min(1, len(d.Secrets))]...)
	}
	data, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("subscription %s: %w", key, err)
	}
	if _, err := (&post{}).compile(documents.Document{Key: key, Value: data}); err != nil {
		return "", fmt.Errorf("subscription %s: %w", key, err)
	}
	if revision == 0 {
		_, err = kv.Create(ctx, key, data)
	} else {
		_, err = kv.Update(ctx, key, data, revision)
	}
	if err != nil {
		return "", fmt.Errorf("store subscription %s: %w", key, err)
	}
	return secret, nil
}

// Began reports whether the consumer has run at all: it delivers nothing from before its first start.
func (b *Book) Began(ctx context.Context) (bool, error) {
	for stream, durable := range map[string]string{subjects.StreamEvents: Name, subjects.StreamSessions: SessionsName} {
		_, err := b.js.Consumer(ctx, stream, durable)
		switch {
		case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("durable consumer %s of %s: %w", durable, stream, err)
		}
	}
	return true, nil
}

// merged takes what d leaves empty from old. What was disabled is on again.
func merged(old, d Document) Document {
	if d.Who == "" {
		d.Who = old.Who
	}
	if len(d.Subjects) == 0 {
		d.Subjects = old.Subjects
	}
	if len(d.Names) == 0 {
		d.Names = old.Names
	}
	if d.URL == "" {
		d.URL = old.URL
	}
	d.Secrets = old.Secrets
	return d
}

func (b *Book) get(ctx context.Context, kv jetstream.KeyValue, key string) (Document, uint64, error) {
	var d Document
	entry, err := read(ctx, kv, key)
	if err != nil {
		return d, 0, err
	}
	_ = documents.Decode(entry.Value(), &d) // what is not understood is replaced
	return d, entry.Revision(), nil
}

// read returns a subscription as it is stored; ErrKeyNotFound when there is none.
func read(ctx context.Context, kv jetstream.KeyValue, key string) (jetstream.KeyValueEntry, error) {
	entry, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, fmt.Errorf("there is no subscription %s: %w", key, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read subscription %s: %w", key, err)
	}
	return entry, nil
}

// Remove deletes a subscription. The consumer drops what waits for it.
func (b *Book) Remove(ctx context.Context, key string) error {
	kv, err := b.js.KeyValue(ctx, subjects.BucketSubscriptions)
	if err != nil {
		return fmt.Errorf("KV %s: %w", subjects.BucketSubscriptions, err)
	}
	if _, err := read(ctx, kv, key); err != nil {
		return err
	}
	if err := kv.Delete(ctx, key); err != nil {
		return fmt.Errorf("delete subscription %s: %w", key, err)
	}
	return nil
}

// Waiting is a delivery that is not done.
type Waiting struct {
	Subscription string    `json:"subscription"`
	ID           string    `json:"id"` // of the event
	Type         string    `json:"type"`
	Since        time.Time `json:"since"`
	NextTry      time.Time `json:"next_try"` // or up to a tenth later; past for one that was not tried yet
}

// Deliveries returns what waits for the subscription, or for all when key is "", the oldest first.
func (b *Book) Deliveries(ctx context.Context, key string) ([]Waiting, error) {
	subject := subjects.AllDeliveries
	if key != "" {
		if err := documents.CheckKey(key); err != nil {
			return nil, err
		}
		subject = "delivery." + key
	}
	stream, err := b.js.Stream(ctx, subjects.StreamDeliveries)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", subjects.StreamDeliveries, err)
	}
	list := []Waiting{}
	last := stream.CachedInfo().State.LastSeq
	for sequence := uint64(1); sequence <= last; sequence++ {
		msg, err := stream.GetMsg(ctx, sequence, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", subjects.StreamDeliveries, err)
		}
		sequence = msg.Sequence
		w := Waiting{Subscription: msg.Subject[len("delivery."):], ID: msg.Header.Get(subjects.HeaderID), Type: msg.Header.Get(headerType), Since: msg.Time}
		now := time.Now()
		wait, _ := nextTry(now.Sub(msg.Time), 0)
		w.NextTry = now.Add(wait).UTC().Truncate(time.Second)
		list = append(list, w)
	}
	return list, nil
}

// Test sends one notification to the subscription, past the stream and the schedule.
func (b *Book) Test(ctx context.Context, key string, courier *outbound.Courier) error {
	kv, err := b.js.KeyValue(ctx, subjects.BucketSubscriptions)
	if err != nil {
		return fmt.Errorf("KV %s: %w", subjects.BucketSubscriptions, err)
	}
	entry, err := read(ctx, kv, key)
	if err != nil {
		return err
	}
	p, err := newPost(courier)
	if err != nil {
		return err
	}
	defer p.close()
	s, err := p.compile(documents.Document{Key: key, Value: entry.Value(), Revision: entry.Revision()})
	if err != nil {
		return fmt.Errorf("subscription %s: %w", key, err)
	}
	n := &notice{id: "test-" + rand.Text(), subject: "notify.test", at: time.Now().UTC(), data: []byte(`{}`)}
	if err := p.send(ctx, s, n); err != nil {
		return fmt.Errorf("subscription %s: %w", key, err)
	}
	return nil
}
