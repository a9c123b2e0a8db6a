package main

import (
	"strings"
	"testing"
	"time"
)

// What is left of a TTL is never more than was granted.
func TestTTLLeft(t *testing.T) {
	at := time.Date(2026, 10, 17, 22, 3, 11, 0, time.UTC)
	for _, tt := range []struct {
		name      string
		ttl, gone time.Duration
		want      time.Duration
		err       string
	}{
		{"no TTL", 0, time.Hour, 0, ""},
		{"all of it", time.Hour, 0, time.Hour, ""},
		{"whole seconds", time.Hour, 30*time.Minute + time.Millisecond, 30*time.Minute - time.Second, ""},
		{"its last second", time.Minute, time.Minute - time.Millisecond, 0, "revision 7 of key acme ended at 2026-10-17T22:04:11Z; to bring it back"},
		{"over", time.Minute, time.Hour, 0, "--ttl 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &entry{key: "acme", revision: 7, at: at, ttl: tt.ttl}
			got, err := e.left(at.Add(tt.gone))
			if got != tt.want || err == nil != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, %v, want %v, %q", got, err, tt.want, tt.err)
			}
		})
	}
}
