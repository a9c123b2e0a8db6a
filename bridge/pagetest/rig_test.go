package pagetest_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
)

// rig is a bridge with its NATS server, and rules.
type rig struct {
	*bridgetest.Bridge
	t      *testing.T
	server *bridgetest.NATS
	js     jetstream.JetStream
}

const rules = `{"rules":[
	{"id":"ingest","effect":"allow","calls":["publish"],"name":["CD6xx-*"],"addr":["17.31.0.0/16"],"custom":{"team":["red","blue"]}},
	{"id":"viewers","effect":"allow","calls":["play"]},
	{"id":"banned","effect":"deny","calls":["play","update_play"],"addr":["198.51.100.0/24"],"priority":5,"reason":"banned"},
	{"id":"trial","effect":"deny","shadow":true,"calls":["publish"]}]}`

func newRig(t *testing.T, environ ...string) *rig {
	t.Helper()
	server := bridgetest.StartNATS(t)
	r := &rig{t: t, server: server, Bridge: bridgetest.StartBridge(t, server, append([]string{"BRIDGE_NAME=edge-1"}, environ...)...), js: server.JetStream()}
	r.put(subjects.BucketRules, "acme", rules)
	bridgetest.Eventually(t, "the rules are in force", func() bool { return r.revision() == 1 })
	if code := r.Post("call=play&name=x&addr=192.0.2.1"); code != 200 {
		t.Fatalf("the rules answer %d", code)
	}
	return r
}

// revision is that of the rules which the bridge says it decides by, 0 before it says any.
func (r *rig) revision() uint64 {
	r.t.Helper()
	var status subjects.BridgeStatus
	kv, err := r.js.KeyValue(r.t.Context(), subjects.BucketBridges)
	if err != nil {
		return 0
	}
	entry, err := kv.Get(r.t.Context(), subjects.BridgeKey("edge-1"))
	if err != nil {
		return 0
	}
	if err := json.Unmarshal(entry.Value(), &status); err != nil {
		r.t.Fatal(err)
	}
	return status.Rules.Revision
}

// put writes a key, as soon as NATS takes it.
func (r *rig) put(bucket, key, value string) {
	r.t.Helper()
	bridgetest.Eventually(r.t, "NATS takes a key", func() bool {
		kv, err := r.js.KeyValue(r.t.Context(), bucket)
		if err == nil {
			_, err = kv.PutString(r.t.Context(), key, value)
		}
		return err == nil
	})
}

// live puts a live stream into KV live, as consumers/sessions does.
func (r *rig) live(name string, viewers int) {
	r.t.Helper()
	data, err := json.Marshal(map[string]any{
		"name": name, "app": "live", "addr": "17.31.43.214", "clientid": "7", "since": time.Now().Add(-90 * time.Minute),
		"viewers": viewers, "last_seen": time.Now(), "rule": "acme/ingest", "reconnects": 1,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.put(subjects.BucketLive, fmt.Sprintf("%s.17=2E31=2E43=2E214.7", subjects.AppendToken(nil, name)), string(data))
}

func (r *rig) url() string { return "http://" + r.AdminAddr() + "/" }
