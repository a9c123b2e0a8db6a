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
