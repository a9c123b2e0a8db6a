package rulestore

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest/freeport"
	"bintubridge/bridge/decide"
	"bintubridge/subjects"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// patience is how long a test waits for what has to happen before it fails.
const patience = time.Minute

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// natsServer is a server of its own for one test, which may be restarted on the
// same port and store.
type natsServer struct {
	t    *testing.T
	opts server.Options
	*server.Server
}

func startNATS(t *testing.T) *natsServer {
	t.Helper()
	n := &natsServer{t: t, opts: server.Options{
		Host: "127.0.0.1", Port: freeport.Get(t), JetStream: true, StoreDir: t.TempDir(),
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 30, NoSigs: true, NoLog: true,
	}}
	n.start()
	t.Cleanup(n.stop)
	return n
}

func (n *natsServer) start() {
	n.t.Helper()
	opts := n.opts
	s, err := server.NewServer(&opts)
	if err != nil {
		n.t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		n.t.Fatal("nats-server is not ready")
	}
	n.Server = s
}

func (n *natsServer) stop() {
	n.Shutdown()
	n.WaitForShutdown()
}

func (n *natsServer) connect(opts ...nats.Option) (*nats.Conn, jetstream.JetStream) {
	n.t.Helper()
	opts = append(opts, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0), nats.Timeout(patience))
	nc, err := nats.Connect(fmt.Sprintf("nats://127.0.0.1:%d", n.opts.Port), opts...)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(patience/4))
	if err != nil {
		n.t.Fatal(err)
	}
	return nc, js
}

// fixture is a store that follows a bucket.
type fixture struct {
	t     *testing.T
	nats  *natsServer
	js    jetstream.JetStream
	kv    jetstream.KeyValue
	store *Store
	log   *logBuffer
	ctx   context.Context

	reconnected chan struct{} // to the store
}

// quick returns options under which a test need not wait for the usual times.
func quick(t *testing.T) Options {
	return Options{
		SnapshotPath: filepath.Join(t.TempDir(), "rules", "rules.snapshot"),
		CheckEvery:   50 * time.Millisecond, SnapshotEvery: time.Millisecond,
		RetryMin: 10 * time.Millisecond, RetryMax: 50 * time.Millisecond,
	}
}

func defaultBucket() jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{Bucket: "rules", History: 5, LimitMarkerTTL: time.Hour}
}

func newFixture(t *testing.T, opts Options, bucket jetstream.KeyValueConfig) *fixture {
	t.Helper()
	f := &fixture{t: t, nats: startNATS(t), log: &logBuffer{}, ctx: t.Context()}
	_, f.js = f.nats.connect()
	f.create(bucket)
	f.open(opts)
	f.follow()
	return f
}

func (f *fixture) create(bucket jetstream.KeyValueConfig) {
	f.t.Helper()
	// The server may still be removing the files of a bucket of this name.
	eventually(f.t, "a bucket", func() bool {
		kv, err := f.js.CreateKeyValue(f.ctx, bucket)
		f.kv = kv
		return err == nil
	})
}

// open opens the store, without a connection.
func (f *fixture) open(opts Options) {
	f.t.Helper()
	opts.Log = slog.New(slog.NewTextHandler(f.log, nil))
	store, err := Open(opts)
	if err != nil {
		f.t.Fatal(err)
	}
	f.store = store
	f.t.Cleanup(func() {
		if err := store.Close(); err != nil {
			f.t.Errorf("close: %v", err)
		}
	})
}

// follow connects the store and waits for its first load.
func (f *fixture) follow() {
	f.t.Helper()
	reconnected := make(chan struct{}, 1)
	f.reconnected = reconnected // another one each time; the connection keeps to its own
	_, js := f.nats.connect(nats.ReconnectHandler(func(*nats.Conn) {
		select {
		case reconnected <- struct{}{}:
		default:
		}
	}))
	if err := f.store.Start(js, reconnected); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = f.store.Close() }) // before its connection
	eventually(f.t, "first load", func() bool { return f.store.Status().Source == SourceKV })
}

func (f *fixture) put(key, text string) uint64 {
	f.t.Helper()
	revision, err := f.kv.Put(f.ctx, key, []byte(text))
	if err != nil {
		f.t.Fatal(err)
	}
	return revision
}

// allow is a document with one rule r that allows a name.
func allow(name string) string {
	return `{"rules":[{"id":"r","effect":"allow","name":["` + name + `"]}]}`
}

func ask(s *Store, name string) decide.Decision {
	d, _, _ := s.Decide(&decide.Input{Call: subjects.Publish, Name: name}, time.Now())
	return d
}

func allowed(s *Store, name string) bool { return ask(s, name).Effect == decide.Allow }

// wait waits until the store allows, or no longer allows, a name.
func (f *fixture) wait(name string, want bool) {
	f.t.Helper()
	eventually(f.t, fmt.Sprintf("allow %s: %v", name, want), func() bool { return allowed(f.store, name) == want })
}

// putFor stores a version that ends after the TTL, and waits until it allows the name. On a machine
// that stands still it may end unseen: then another one is stored.
func (f *fixture) putFor(key, name string, ttl time.Duration) {
	f.t.Helper()
	var ends time.Time
	eventually(f.t, key+" is seen before it ends", func() bool {
		if time.Now().After(ends) {
			if _, err := f.js.Publish(f.ctx, "$KV.rules."+key, []byte(allow(name)), jetstream.WithMsgTTL(ttl)); err != nil {
				f.t.Fatal(err)
			}
			ends = time.Now().Add(ttl)
		}
		return allowed(f.store, name)
	})
}

// logBuffer is what was logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), part)
}
