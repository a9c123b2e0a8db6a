package bridge

import (
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// wire carries connections to an address, until it is cut.
type wire struct {
	net.Listener
	to    string
	group sync.WaitGroup

	mu   sync.Mutex
	cut  bool // new connections are closed at once
	ends []net.Conn
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: ln, to: to}
	w.group.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return // the test ends
			}
			w.join(near)
		}
	})
	t.Cleanup(func() {
		w.set(true)
		_ = ln.Close()
		w.group.Wait()
	})
	return w
}

func (w *wire) join(near net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	far, err := net.Dial("tcp", w.to)
	if err != nil || w.cut {
		_ = near.Close()
		if err == nil {
			_ = far.Close()
		}
		return
	}
	w.ends = append(w.ends, near, far)
	for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
		w.group.Go(func() {
			_, _ = io.Copy(pair[0], pair[1]) // it ends with the connection
			_ = pair[0].Close()
		})
	}
}

// set cuts all connections and takes no more, or takes some again.
func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if cut {
		for _, end := range w.ends {
			_ = end.Close()
		}
		w.ends = nil
	}
}

// A mirror that lost its server for a while reads the bucket anew, and what it had there before goes
// by itself.
func TestMirrorLeavesNothingBehind(t *testing.T) {
	near, server := testMirror(t, time.Hour)
	w := newWire(t, strings.TrimPrefix(server.ClientURL(), "nats://"))
	cfg := testConfig(t)
	cfg.NATSURL = "nats://" + w.Addr().String()
	m := mirrorBy(t, cfg, nil, time.Hour)
	if _, err := near.js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "live", Storage: jetstream.MemoryStorage}); err != nil {
		t.Fatal(err)
	}
	current := func() bool { _, c := m.shownValues(); return c == contents{Known: true} }
	var seen []string // names of watches
	expect := func() {
		t.Helper()
		eventually(t, "it has a new watch, and no other", func() bool {
			var names []string
			if stream, err := near.js.Stream(t.Context(), "KV_live"); err == nil {
				for name := range stream.ConsumerNames(t.Context()).Name() {
					names = append(names, name)
				}
			}
			if !current() || len(names) != 1 || slices.Contains(seen, names[0]) {
				return false
			}
			seen = append(seen, names[0])
			return true
		})
	}
	expect()
	for range 2 {
		w.set(true)
		eventually(t, "it is told of", func() bool { return !current() })
		w.set(false)
		expect()
	}
}
