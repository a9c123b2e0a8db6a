// Package bridgetest starts what tests of the bridge and of its consumers need:
// a NATS server with JetStream, and a bridge beside it. Everything listens on
// 127.0.0.1 on free ports, keeps its files in the test's folder and ends with it.
package bridgetest

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"bintubridge/bridge/bridgetest/freeport"
)

// Timeout bounds every wait of this package. It only ends what hangs: a cluster on a busy machine
// may need several elections.
const Timeout = time.Minute

// NATS is a server that can be stopped and started again with its data, on the
// same port.
type NATS struct {
	client
	opts server.Options
	ns   *server.Server
	log  *violations // nil: nobody asks
}

// StartNATS returns a running server.
func StartNATS(t testing.TB) *NATS {
	t.Helper()
	n := newNATS(t)
	n.Start()
	t.Cleanup(n.Stop)
	return n
}

func newNATS(t testing.TB) *NATS {
	t.Helper()
	n := &NATS{opts: server.Options{
		Host: "127.0.0.1", Port: freeport.Get(t),
		JetStream: true, StoreDir: t.TempDir(), JetStreamMaxStore: 64 << 30,
		NoSigs: true, NoLog: true,
	}}
	n.client = client{t: t, url: n.URL}
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
	if n.log != nil {
		ns.SetLoggerV2(n.log, false, false, false)
	}
	go ns.Start()
	if !ns.ReadyForConnections(Timeout) {
		n.t.Fatal("the NATS server did not start")
	}
}

// Stop stops the server and keeps its data.
func (n *NATS) Stop() {
	n.ns.Shutdown()
	n.ns.WaitForShutdown()
}

// URL is where clients connect.
func (n *NATS) URL() string { return n.ns.ClientURL() }
