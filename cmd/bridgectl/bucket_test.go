package main

import (
	"testing"
	"time"
)

// Other tools write a TTL in whole seconds.
func TestParseTTL(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"3600": time.Hour, "1h": time.Hour, "1h0m0s": time.Hour, "90s": 90 * time.Second, "never": 0,
	} {
		if got := parseTTL(text); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}
