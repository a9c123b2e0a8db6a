package bridge

import (
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/bridge/embed"
)

// eventually waits until ok, which is asked again and again.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(40 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func testMirror(t *testing.T, idle time.Duration) (*mirror, *embed.Server) {
	t.Helper()
	server, err := embed.Start(embed.Options{Listen: "127.0.0.1:0", StoreDir: t.TempDir(), MaxStore: 1 << 30, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return mirrorBy(t, testConfig(t), server, idle), server
}

// mirrorBy is a mirror that connects to the server, or without one by cfg.
func mirrorBy(t *testing.T, cfg Config, server *embed.Server, idle time.Duration) *mirror {
	t.Helper()
	l, err := connect(cfg, server, "test", slog.New(slog.DiscardHandler), func() {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.conn.Close)
	js, err := jetstream.New(l.conn)
	if err != nil {
		t.Fatal(err)
	}
	m := &mirror{bucket: "live", link: l, js: js, idle: idle, most: mirrorMost, log: slog.New(slog.DiscardHandler)}
	t.Cleanup(m.close)
	return m
}

// shownValues is what a look shows, in order.
func (m *mirror) shownValues() (string, contents) {
	var all []string
	c := m.look(func(value []byte) { all = append(all, string(value)) })
	slices.Sort(all)
	return strings.Join(all, " "), c
}

func TestMirror(t *testing.T) {
	m, _ := testMirror(t, time.Hour)
	if values, c := m.shownValues(); values != "" || c.Known || c.Trouble == "" {
		t.Errorf("at once: %q %+v", values, c)
	}
	eventually(t, "a missing bucket is told of", func() bool {
		_, c := m.shownValues()
		return !c.Known && strings.Contains(c.Trouble, "bucket live")
	})
	kv, err := m.js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "live", Storage: jetstream.MemoryStorage})
	if err != nil {
		t.Fatal(err)
	}
	do := func(_ uint64, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(kv.PutString(t.Context(), "a", "1"))
	do(kv.PutString(t.Context(), "b", "2"))
	current := func(want string) func() bool {
		return func() bool {
			values, c := m.shownValues()
			return values == want && c == contents{Known: true}
		}
	}
	eventually(t, "both keys are there", current("1 2"))
	do(kv.PutString(t.Context(), "a", "3"))
	do(0, kv.Delete(t.Context(), "b"))
	eventually(t, "changes are there", current("3"))
	m.close()
	if _, c := m.shownValues(); c.Known {
		t.Error("known after close")
	}
}

// Of a bucket with more keys than there is room for it tells that these are not all.
func TestMirrorWithoutRoom(t *testing.T) {
	m, _ := testMirror(t, time.Hour)
	m.most = 2
	kv, err := m.js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "live", Storage: jetstream.MemoryStorage})
	for i, key := range []string{"a", "b", "a", "c"} {
		if err == nil {
			_, err = kv.PutString(t.Context(), key, strconv.Itoa(i))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	// Of the bucket as it is now come b, a and c.
	eventually(t, "two are there", func() bool {
		values, c := m.shownValues()
		return values == "1 2" && c == contents{Known: true, Partial: true}
	})
}

// A mirror that nobody looks at ends its watch and forgets, and begins anew when asked.
func TestMirrorThatNobodyLooksAt(t *testing.T) {
	m, _ := testMirror(t, 10*time.Millisecond)
	kv, err := m.js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "live", Storage: jetstream.MemoryStorage})
	if err == nil {
		_, err = kv.PutString(t.Context(), "a", "1")
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		eventually(t, "it is read", func() bool { values, _ := m.shownValues(); return values == "1" })
		eventually(t, "it is forgotten", func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.cancel == nil && m.values == nil
		})
		stream, err := m.js.Stream(t.Context(), "KV_live")
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the watch is gone", func() bool {
			info, err := stream.Info(t.Context())
			return err == nil && info.State.Consumers == 0
		})
	}
}

// With NATS gone a look answers at once, with what was known.
func TestMirrorWithNATSGone(t *testing.T) {
	m, server := testMirror(t, time.Hour)
	kv, err := m.js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "live", Storage: jetstream.MemoryStorage})
	if err == nil {
		_, err = kv.PutString(t.Context(), "a", "1")
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is read", func() bool { values, _ := m.shownValues(); return values == "1" })
	server.Close()
	eventually(t, "it is told of", func() bool {
		values, c := m.shownValues()
		return values == "1" && strings.HasPrefix(c.Trouble, "NATS is ")
	})
}
