// Package bridgetest starts what tests of the bridge and of its consumers need:
// a NATS server with JetStream, and a bridge beside it. Everything listens on
// 127.0.0.1 on free ports, keeps its files in the test's folder and ends with it.
package bridgetest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Timeout bounds every wait of this package.
const Timeout = 20 * time.Second

// NATS is a server that can be stopped and started again with its data, on the
// same port.
type NATS struct {
	t    testing.TB
	opts server.Options
	ns   *server.Server
}

// StartNATS returns a running server.
func StartNATS(t testing.TB) *NATS {
	t.Helper()
	n := &NATS{t: t, opts: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: t.TempDir(), JetStreamMaxStore: 64 << 30,
		NoSigs: true, NoLog: true,
	}}
	n.Start()
	t.Cleanup(n.Stop)
	return n
}

// Start starts a stopped server.
func (n *NATS) Start() {
	n.t.Helper()
	opts := n.opts
	ns, err := server.NewServer(&opts)
	if err != nil {
		n.t.Fatal(err)
	}
	n.ns = ns
	go ns.Start()
	if !ns.ReadyForConnections(Timeout) {
		n.t.Fatal("the NATS server did not start")
	}
	n.opts.Port = ns.Addr().(*net.TCPAddr).Port
}

// Stop stops the server and keeps its data.
func (n *NATS) Stop() {
	n.ns.Shutdown()
	n.ns.WaitForShutdown()
}

// URL is where clients connect.
func (n *NATS) URL() string { return n.ns.ClientURL() }

// Conn returns a client that reconnects quickly.
func (n *NATS) Conn(opts ...nats.Option) *nats.Conn {
	n.t.Helper()
	nc, err := nats.Connect(n.URL(), append([]nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond), nats.ReconnectBufSize(-1),
	}, opts...)...)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(nc.Close)
	return nc
}

// JetStream returns a JetStream client.
func (n *NATS) JetStream() jetstream.JetStream {
	n.t.Helper()
	js, err := jetstream.New(n.Conn())
	if err != nil {
		n.t.Fatal(err)
	}
	return js
}

// Messages returns the first count messages of a stream in order, and fails
// the test when there are fewer in time, or more.
func (n *NATS) Messages(stream string, count int) []jetstream.Msg {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	js := n.JetStream()
	cons, err := js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		n.t.Fatalf("consumer on %s: %v", stream, err)
	}
	it, err := cons.Messages()
	if err != nil {
		n.t.Fatal(err)
	}
	defer it.Stop()
	msgs := make([]jetstream.Msg, 0, count)
	for len(msgs) < count {
		msg, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			n.t.Fatalf("%d of %d messages came to %s: %v", len(msgs), count, stream, err)
		}
		msgs = append(msgs, msg)
	}
	if s, err := js.Stream(ctx, stream); err != nil {
		n.t.Fatal(err)
	} else if info := s.CachedInfo(); info.State.Msgs != uint64(count) {
		n.t.Fatalf("%s has %d messages, want %d", stream, info.State.Msgs, count)
	}
	return msgs
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
