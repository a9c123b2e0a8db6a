package bridgetest

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// client is what a test does with a server, whatever kind of server it is.
type client struct {
	t   testing.TB
	url func() string
}

// Conn returns a client that reconnects quickly. nats.Connect has a time limit of seconds, which
// a busy machine may need: it is tried again.
func (n *client) Conn(opts ...nats.Option) *nats.Conn {
	n.t.Helper()
	opts = append([]nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond), nats.ReconnectBufSize(-1),
	}, opts...)
	nc, err := nats.Connect(n.url(), opts...)
	for end := time.Now().Add(Timeout); err != nil && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
		nc, err = nats.Connect(n.url(), opts...)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(nc.Close)
	return nc
}

// JetStream returns a JetStream client. Its requests may take longer than is usual; one that was
// lost with its server still fails long before Timeout.
func (n *client) JetStream() jetstream.JetStream {
	n.t.Helper()
	js, err := jetstream.New(n.Conn(), jetstream.WithDefaultTimeout(Timeout/4))
	if err != nil {
		n.t.Fatal(err)
	}
	return js
}

// Messages returns the first count messages of a stream in order, and fails
// the test when the next one does not come in time, or there are more.
func (n *client) Messages(stream string, count int) []jetstream.Msg {
	n.t.Helper()
	js := n.JetStream()
	var cons jetstream.Consumer
	n.again("consumer on "+stream, func(ctx context.Context) (err error) {
		cons, err = js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{})
		return err
	})
	it, err := cons.Messages()
	if err != nil {
		n.t.Fatal(err)
	}
	defer it.Stop()
	msgs := make([]jetstream.Msg, 0, count)
	for len(msgs) < count {
		msg, err := it.Next(jetstream.NextMaxWait(Timeout))
		if err != nil {
			n.t.Fatalf("%d of %d messages came to %s: %v", len(msgs), count, stream, err)
		}
		msgs = append(msgs, msg)
	}
	var s jetstream.Stream
	n.again("stream "+stream, func(ctx context.Context) (err error) {
		s, err = js.Stream(ctx, stream)
		return err
	})
	if info := s.CachedInfo(); info.State.Msgs != uint64(count) {
		n.t.Fatalf("%s has %d messages, want %d", stream, info.State.Msgs, count)
	}
	return msgs
}

// again makes a request until it succeeds: servers that choose a leader lose some.
func (n *client) again(what string, request func(context.Context) error) {
	n.t.Helper()
	for end := time.Now().Add(Timeout); ; {
		ctx, cancel := context.WithTimeout(context.Background(), Timeout/10)
		err := request(ctx)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			n.t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Eventually waits until ok, which is asked again and again, and fails the test
// when that takes too long.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(Timeout)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		}
	}
}
