package rulestore

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func TestTTLOf(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "never": 0, "2s": 2 * time.Second, "1h0m0s": time.Hour, "90": 90 * time.Second, "x": 0,
	} {
		if got := ttlOf(nats.Header{"Nats-TTL": {text}}); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
	if ttlOf(nil) != 0 {
		t.Error("no header has a TTL")
	}
}

// A watch that could not be made holds nobody up, whatever comes for it.
func TestRefusedReceiver(t *testing.T) {
	r := newReceiver("rules", 1)
	msg := &nats.Msg{Subject: "$KV.rules.acme", Sub: &nats.Subscription{}, Reply: "$JS.ACK.KV_rules.c.1.1.1.1700000000000000000.0"}
	if _, err := msg.Metadata(); err != nil {
		t.Fatal(err)
	}
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		for range 2 * cap(r.updates) {
			r.receive(msg)
		}
	}()
	r.refuse()
	select {
	case <-passed:
	case <-time.After(time.Minute):
		t.Error("a message waits for ever")
	}
}
