// Package consumerstest is what the test of a consumer needs: a NATS server with the
// streams and buckets, events to publish, and a consumer that runs until the
// test ends.
//
//	kit := consumerstest.Start(t)
//	kit.Run(consumers.Options{Name: "audit"}, handler)
//	kit.Publish(consumerstest.Event("publish", "lobby"))
//	kit.WaitAcked(subjects.StreamEvents, "audit", 1)
//
// A consumer that is there to be killed runs in a process of its own, see ServeIfAsked.
package consumerstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Kit is a running server.
type Kit struct {
	*bridgetest.NATS
	JS jetstream.JetStream
	t  testing.TB

	asUser    []nats.Option // of a consumer's connection
	published atomic.Uint64
}

// Start returns a server with the streams and buckets of the bridge. It ends with the test.
func Start(t testing.TB) *Kit {
	t.Helper()
	return start(t, bridgetest.StartNATS(t))
}

// StartFor is Start for a consumer that may do nothing but what p says. What the server refuses it
// fails the test.
func StartFor(t testing.TB, p provision.Permissions) *Kit {
	t.Helper()
	const user = "consumer"
	server := bridgetest.StartNATSFor(t, bridgetest.User{Name: user, Publish: p.Publish, Subscribe: p.Subscribe})
	t.Cleanup(func() {
		for _, line := range server.Violations() {
			t.Error(line)
		}
	})
	k := start(t, server)
	k.asUser = []nats.Option{nats.UserInfo(user, user), nats.CustomInboxPrefix(provision.InboxConsumer)}
	return k
}

func start(t testing.TB, server *bridgetest.NATS) *Kit {
	t.Helper()
	k := &Kit{NATS: server, JS: server.JetStream(), t: t}
	if _, err := provision.Ensure(t.Context(), k.JS, provision.Options{Mode: provision.Auto, Timeout: bridgetest.Timeout / 4}); err != nil {
		t.Fatal(err)
	}
	return k
}

// JetStream returns a connection of its own, as a consumer makes one.
func (k *Kit) JetStream() jetstream.JetStream {
	k.t.Helper()
	js, err := jetstream.New(k.Conn(k.asUser...))
	if err != nil {
		k.t.Fatal(err)
	}
	return js
}

// Event returns an event of this call and stream name: allowed where it asks, from 192.0.2.1,
// connection 1. Publish gives it an id and a time when it has none.
func Event(call, name string) subjects.Event {
	e := subjects.Event{Bridge: "test", Call: call, Name: name, App: "live", Addr: "192.0.2.1", ClientID: "1"}
	if subjects.ParseCall(call).Asks() {
		e.Decision = &subjects.Decision{Effect: subjects.EffectAllow, Rule: "test/all"}
	}
	return e
}

// Publish stores events as a bridge would, and returns them with their ids.
func (k *Kit) Publish(events ...subjects.Event) []subjects.Event {
	k.t.Helper()
	for i := range events {
		e := &events[i]
		if e.ID == "" {
			e.ID = string(subjects.AppendID(nil, "kit", k.published.Add(1)))
		}
		if e.ReceivedAt.IsZero() {
			e.ReceivedAt = time.Now().UTC().Truncate(time.Microsecond)
		}
		k.send(EventMessage(*e))
	}
	return events
}

// EventMessage returns the message that a bridge publishes for the event.
func EventMessage(e subjects.Event) *nats.Msg {
	outcome := subjects.Happened
	switch {
	case subjects.ParseCall(e.Call) == subjects.UnknownCall:
		outcome = subjects.Unknown
	case e.Decision != nil && e.Decision.Effect != subjects.EffectAllow:
		outcome = subjects.Denied
	}
	msg := nats.NewMsg(string(subjects.Template{}.Append(nil, outcome, e.Call, e.Name, e.App)))
	msg.Data = e.AppendJSON(nil)
	for name, value := range map[string]string{
		subjects.HeaderSpecVersion: subjects.SpecVersion, subjects.HeaderContentType: subjects.ContentType,
		subjects.HeaderID: e.ID, subjects.HeaderMsgID: e.ID,
		subjects.HeaderSource:  string(subjects.AppendSource(nil, e.Bridge)),
		subjects.HeaderType:    string(subjects.AppendType(nil, outcome, e.Call)),
		subjects.HeaderTime:    string(subjects.AppendTime(nil, e.ReceivedAt)),
		subjects.HeaderSubject: string(subjects.AppendPercent(nil, e.Name)),
	} {
		if value != "" {
			msg.Header[name] = []string{value}
		}
	}
	return msg
}

// PublishSession stores a session as consumers/sessions would. Its id says the subject, as in
// "x-1-started".
func (k *Kit) PublishSession(s subjects.Session) {
	k.t.Helper()
	data, err := s.AppendJSON(nil)
	if err != nil {
		k.t.Fatal(err)
	}
	msg := nats.NewMsg("session." + s.ID[strings.LastIndexByte(s.ID, '-')+1:])
	msg.Data = data
	msg.Header[subjects.HeaderID] = []string{s.ID}
	msg.Header.Set(subjects.HeaderMsgID, s.ID)
	k.send(msg)
}

// PublishRaw stores any bytes: what a broken or later bridge might send.
func (k *Kit) PublishRaw(subject string, header nats.Header, data []byte) {
	k.t.Helper()
	k.send(&nats.Msg{Subject: subject, Header: header, Data: data})
}

// Put writes a key of a KV bucket: bytes as they are, anything else as JSON.
func (k *Kit) Put(bucket, key string, value any) {
	k.t.Helper()
	data, ok := value.([]byte)
	if !ok {
		var err error
		if data, err = json.Marshal(value); err != nil {
			k.t.Fatal(err)
		}
	}
	kv, err := k.JS.KeyValue(k.t.Context(), bucket)
	if err != nil {
		k.t.Fatal(err)
	}
	if _, err := kv.Put(k.t.Context(), key, data); err != nil {
		k.t.Fatal(err)
	}
}

func (k *Kit) send(msg *nats.Msg) {
	k.t.Helper()
	if _, err := k.JS.PublishMsg(k.t.Context(), msg); err != nil {
		k.t.Fatal(err)
	}
}

// Run runs a consumer. The returned function ends it and waits; so does the end of the test.
// An error of Run fails the test.
func (k *Kit) Run(opts consumers.Options, h consumers.Handler) (stop func()) {
	js := k.JetStream()
	return k.Go(func(ctx context.Context) error { return consumers.Run(ctx, js, opts, h) })
}

// RunBatch is Run for a BatchHandler.
func (k *Kit) RunBatch(opts consumers.Options, h consumers.BatchHandler) (stop func()) {
	js := k.JetStream()
	return k.Go(func(ctx context.Context) error { return consumers.RunBatch(ctx, js, opts, h) })
}

// Go runs f until stop or the end of the test, and waits for it. Connections that f uses are
// made before Go, so that they are closed after f.
func (k *Kit) Go(f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := f(ctx); err != nil {
			k.t.Errorf("the consumer ended: %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	k.t.Cleanup(stop)
	return stop
}

// WaitAcked waits until the durable consumer has acked everything up to the stream's
// sequence, and nothing is on its way.
func (k *Kit) WaitAcked(stream, consumer string, sequence uint64) {
	k.t.Helper()
	bridgetest.Eventually(k.t, fmt.Sprintf("%s has acked %s up to %d", consumer, stream, sequence), func() bool {
		c, err := k.JS.Consumer(k.t.Context(), stream, consumer)
		if err != nil {
			return false
		}
		info := c.CachedInfo()
		return info.AckFloor.Stream >= sequence && info.NumAckPending == 0
	})
}

// WaitAllAcked is WaitAcked for everything that the stream has now.
func (k *Kit) WaitAllAcked(stream, consumer string) {
	k.t.Helper()
	s, err := k.JS.Stream(k.t.Context(), stream)
	if err != nil {
		k.t.Fatal(err)
	}
	k.WaitAcked(stream, consumer, s.CachedInfo().State.LastSeq)
}

// WaitConsumer waits until the durable consumer is there: what is published from then on reaches it.
func (k *Kit) WaitConsumer(stream, consumer string) {
	k.t.Helper()
	bridgetest.Eventually(k.t, fmt.Sprintf("%s has the consumer %s", stream, consumer), func() bool {
		_, err := k.JS.Consumer(k.t.Context(), stream, consumer)
		return err == nil
	})
}

// ForgetIDs takes from the stream what would hide that something is told twice: the memory of ids.
func (k *Kit) ForgetIDs(stream string) {
	k.t.Helper()
	s, err := k.JS.Stream(k.t.Context(), stream)
	if err != nil {
		k.t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	cfg.Duplicates = 100 * time.Millisecond // the shortest there is
	if _, err := k.JS.UpdateStream(k.t.Context(), cfg); err != nil {
		k.t.Fatal(err)
	}
}

// Fill leaves the stream no room for another message, as a full disk does, until makeRoom.
func (k *Kit) Fill(stream string) (makeRoom func()) {
	k.t.Helper()
	s, err := k.JS.Stream(k.t.Context(), stream)
	if err != nil {
		k.t.Fatal(err)
	}
	limit := func(bytes int64) {
		k.t.Helper()
		cfg := s.CachedInfo().Config
		cfg.MaxBytes = bytes
		if _, err := k.JS.UpdateStream(k.t.Context(), cfg); err != nil {
			k.t.Fatal(err)
		}
	}
	limit(max(1, int64(s.CachedInfo().State.Bytes)))
	return func() { limit(s.CachedInfo().Config.MaxBytes) }
}

// Dead returns the letters that the consumer set aside, in order.
func (k *Kit) Dead(consumer string) []*jetstream.RawStreamMsg {
	k.t.Helper()
	return k.Stored(subjects.StreamDead, "dead."+consumer+".>")
}

// Stored returns the messages of a stream that match the filter, in order.
func (k *Kit) Stored(stream, filter string) []*jetstream.RawStreamMsg {
	k.t.Helper()
	s, err := k.JS.Stream(k.t.Context(), stream)
	if err != nil {
		k.t.Fatal(err)
	}
	var stored []*jetstream.RawStreamMsg
	for sequence := uint64(1); ; sequence++ {
		msg, err := s.GetMsg(k.t.Context(), sequence, jetstream.WithGetMsgSubject(filter))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return stored
		}
		if err != nil {
			k.t.Fatal(err)
		}
		stored = append(stored, msg)
		sequence = msg.Sequence
	}
}
