package main

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"

	"bintubridge/bridge/bridgetest"
	"bintubridge/bridge/rulestore"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

// rig is what a script can ask of NATS and a bridge.
type rig struct {
	t      *testing.T
	server *bridgetest.NATS
	bridge *bridgetest.Bridge
}

// startAll starts a server with all streams and buckets.
func startAll(t *testing.T) *bridgetest.NATS {
	t.Helper()
	server := bridgetest.StartNATS(t)
	if _, err := provision.Ensure(t.Context(), server.JetStream(), provision.Options{Mode: provision.Auto}); err != nil {
		t.Fatal(err)
	}
	return server
}

// bridgeStarts runs a bridge to the end of the scripts. $ADDRESS is where it
// listens, $HOOK its webhook without a secret.
func (r *rig) bridgeStarts(ts *testscript.TestScript, _ bool, environ []string) {
	r.bridge = bridgetest.StartBridge(r.t, r.server, environ...)
	ts.Setenv("ADDRESS", r.bridge.HookAddr())
	ts.Setenv("HOOK", "http://"+r.bridge.HookAddr()+"/hook")
}

// hook posts a webhook and wants a status: hook 200 BODY.
func (r *rig) hook(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := r.bridge.Post(args[1]); got != want {
		ts.Fatalf("status %d, want %d", got, want)
	}
}

func (r *rig) bucket(ts *testscript.TestScript, name string) jetstream.KeyValue {
	kv, err := r.server.JetStream().KeyValue(context.Background(), name)
	ts.Check(err)
	return kv
}

// kvPut stores a file as somebody else's tool would: kvput BUCKET KEY FILE.
func (r *rig) kvPut(ts *testscript.TestScript, _ bool, args []string) {
	_, err := r.bucket(ts, args[0]).Put(context.Background(), args[1], []byte(ts.ReadFile(args[2])))
	ts.Check(err)
}

// kvCreate makes a bucket of rules by somebody else's settings, which only says what
// TTLs it takes: kvcreate BUCKET MARKERS [MAX-AGE]; markers of 0s are none, and no TTLs.
func (r *rig) kvCreate(ts *testscript.TestScript, _ bool, args []string) {
	markers, err := time.ParseDuration(args[1])
	ts.Check(err)
	cfg := jetstream.KeyValueConfig{Bucket: args[0], History: 5, LimitMarkerTTL: markers}
	if len(args) > 2 {
		cfg.TTL, err = time.ParseDuration(args[2])
		ts.Check(err)
	}
	_, err = r.server.JetStream().CreateKeyValue(context.Background(), cfg)
	ts.Check(err)
}

// snapshot writes the file that a bridge would keep its rules in: snapshot FILE.
func (r *rig) snapshot(ts *testscript.TestScript, _ bool, args []string) {
	store, err := rulestore.Open(rulestore.Options{SnapshotPath: ts.MkAbs(args[0])})
	ts.Check(err)
	ts.Check(store.Start(r.server.JetStream(), nil))
	bridgetest.Eventually(r.t, "the rules are loaded", func() bool { return store.Status().Source == rulestore.SourceKV })
	ts.Check(store.Close())
}

// kvDelete deletes a bucket.
func (r *rig) kvDelete(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(r.server.JetStream().DeleteKeyValue(context.Background(), args[0]))
}

// event stores a file as an event: event SUBJECT ID FILE.
func (r *rig) event(ts *testscript.TestScript, _ bool, args []string) {
	_, err := r.server.JetStream().PublishMsg(context.Background(), &nats.Msg{
		Subject: args[0], Data: []byte(ts.ReadFile(args[2])), Header: nats.Header{subjects.HeaderMsgID: {args[1]}},
	})
	ts.Check(err)
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
