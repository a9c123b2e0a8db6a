package rulestore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/bridge/decide"
	"bintubridge/bridge/rulestore"
	"bintubridge/subjects"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	bridgetest.ServeIfAsked()
	goleak.VerifyTestMain(m)
}

// rig is a store that follows a bucket of a server in a process of its own.
type rig struct {
	t     testing.TB
	nats  *bridgetest.Process
	js    jetstream.JetStream
	kv    jetstream.KeyValue
	store *rulestore.Store

	allValid bool // of the documents of TestScale
}

func startRig(t testing.TB, bucket jetstream.KeyValueConfig) *rig {
	t.Helper()
	r := &rig{t: t, nats: bridgetest.StartProcess(t, "")}
	r.js = r.nats.JetStream()
	bucket.Bucket = "rules"
	kv, err := r.js.CreateKeyValue(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	r.kv = kv
	return r
}

// follow starts a store that checks so seldom that a check proves nothing here,
// and waits for its first load.
func (r *rig) follow(opts rulestore.Options) {
	r.t.Helper()
	if opts.CheckEvery == 0 {
		opts.CheckEvery = time.Hour
	}
	store, err := rulestore.Open(opts)
	if err != nil {
		r.t.Fatal(err)
	}
	reconnected := make(chan struct{}, 1)
	nc := r.nats.Conn(nats.ReconnectHandler(func(*nats.Conn) {
		select {
		case reconnected <- struct{}{}:
		default:
		}
	}))
	js, err := jetstream.New(nc)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := store.Start(js, reconnected); err != nil {
		r.t.Fatal(err)
	}
	r.store = store
	r.t.Cleanup(r.close) // before its connection
	r.eventually("first load", func() bool { return store.Status().Source == rulestore.SourceKV })
}

// close ends the store, and lets go of it.
func (r *rig) close() {
	if r.store == nil {
		return
	}
	if err := r.store.Close(); err != nil {
		r.t.Error(err)
	}
	r.store = nil
}

// put stores a document, also with a server that is only just starting.
func (r *rig) put(key, text string) {
	r.t.Helper()
	r.eventually("put "+key, func() bool {
		ctx, cancel := context.WithTimeout(r.t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := r.kv.PutString(ctx, key, text)
		return err == nil
	})
}

func (r *rig) eventually(what string, holds func() bool) {
	r.t.Helper()
	bridgetest.Eventually(r.t, what, holds)
}

func (r *rig) allows(name string) bool {
	d, _, _ := r.store.Decide(&decide.Input{Call: subjects.Publish, Name: name}, time.Now())
	return d.Effect == decide.Allow
}

func (r *rig) wait(name string, want bool) {
	r.t.Helper()
	r.eventually(fmt.Sprintf("allow %s: %v", name, want), func() bool { return r.allows(name) == want })
}

func allow(name string) string {
	return `{"rules":[{"id":"r","effect":"allow","name":["` + name + `"]}]}`
}

// What happened to the bucket while the bridge was away is in force after the
// reconnect, though no check comes.
func TestWhileAway(t *testing.T) {
	type step func(t *testing.T, r *rig)
	tests := []struct {
		name    string
		bucket  jetstream.KeyValueConfig
		before  step // all of it is seen
		away    step // the server is down
		after   step // the server is there again; the store may be
		allowed []string
		denied  []string
	}{
		{
			name:    "killed",
			before:  func(_ *testing.T, r *rig) { r.put("a", allow("before")) },
			after:   func(_ *testing.T, r *rig) { r.put("a", allow("after")) },
			allowed: []string{"after"}, denied: []string{"before"},
		},
		{
			name: "killed, and nothing new",
			before: func(t *testing.T, r *rig) {
				r.put("a", allow("before"))
				check(t, r.kv.Delete(t.Context(), "other"))
			},
			after:   func(*testing.T, *rig) {},
			allowed: []string{"before"},
		},
		{
			name: "back to an older state, and shorter",
			before: func(t *testing.T, r *rig) {
				r.put("a", allow("old"))
				keepCopy(t, r)
				r.put("a", allow("lost"))
				r.put("b", allow("lost too"))
			},
			away:    bringBack,
			after:   func(*testing.T, *rig) {},
			allowed: []string{"old"}, denied: []string{"lost", "lost too"},
		},
		{
			name: "back to an older state, and on beyond what was seen",
			before: func(t *testing.T, r *rig) {
				r.put("a", allow("old"))
				r.put("b", allow("b"))
				keepCopy(t, r)
				r.put("a", allow("lost"))
			},
			away: func(t *testing.T, r *rig) {
				bringBack(t, r)
				pushUnseen(t, r, "b", allow("new 1"), allow("new 2"), allow("new 3"))
			},
			after:   func(*testing.T, *rig) {},
			allowed: []string{"old", "new 3"}, denied: []string{"lost", "b"},
		},
		{
			name: "back to an older state, and on as far as what was seen",
			before: func(t *testing.T, r *rig) {
				r.put("a", allow("old"))
				r.put("b", allow("b"))
				keepCopy(t, r)
				r.put("a", allow("lost"))
			},
			away: func(t *testing.T, r *rig) {
				bringBack(t, r)
				pushUnseen(t, r, "b", allow("new"))
			},
			after:   func(*testing.T, *rig) {},
			allowed: []string{"old", "new"}, denied: []string{"lost", "b"},
		},
		{
			name:   "a TTL ran out",
			bucket: jetstream.KeyValueConfig{LimitMarkerTTL: time.Second},
			before: func(t *testing.T, r *rig) {
				r.put("a", allow("stays"))
				_, err := r.kv.Create(t.Context(), "short", []byte(allow("short")), jetstream.KeyTTL(time.Second))
				check(t, err)
				r.put("b", allow("b"))
			},
			away: func(t *testing.T, r *rig) {
				// Up again alone, until neither the key nor its marker is left.
				alone(t, r, func(kv jetstream.KeyValue, stream jetstream.Stream) {
					r.eventually("the marker expired", func() bool {
						info, err := stream.Info(t.Context())
						return err == nil && info.State.NumSubjects == 2 && info.State.LastSeq > 3
					})
				})
			},
			after:   func(*testing.T, *rig) {},
			allowed: []string{"stays", "b"}, denied: []string{"short"},
		},
		{
			name:   "history compacted over what was seen",
			bucket: jetstream.KeyValueConfig{History: 2},
			before: func(_ *testing.T, r *rig) { r.put("b", allow("b")); r.put("a", allow("first")) },
			away: func(t *testing.T, r *rig) {
				pushUnseen(t, r, "a", allow("2"), allow("3"), allow("4"), allow("5"))
			},
			after:   func(*testing.T, *rig) {},
			allowed: []string{"5", "b"}, denied: []string{"first", "2"},
		},
		{
			name: "stream purged",
			before: func(_ *testing.T, r *rig) {
				r.put("a", allow("gone"))
				r.put("b", allow("gone too"))
			},
			away: func(t *testing.T, r *rig) {
				alone(t, r, func(_ jetstream.KeyValue, stream jetstream.Stream) { check(t, stream.Purge(t.Context())) })
			},
			after:  func(*testing.T, *rig) {},
			denied: []string{"gone", "gone too"},
		},
		{
			name:   "bucket deleted and made again, longer than it was",
			before: func(_ *testing.T, r *rig) { r.put("a", allow("gone")) },
			away: func(t *testing.T, r *rig) {
				alone(t, r, func(jetstream.KeyValue, jetstream.Stream) {
					js := r.nats.JetStream()
					check(t, js.DeleteKeyValue(t.Context(), "rules"))
					var kv jetstream.KeyValue
					r.eventually("the bucket again", func() bool { // its files may still be on their way out
						var err error
						kv, err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "rules"})
						return err == nil
					})
					for _, key := range []string{"x", "y", "z"} {
						_, err := kv.PutString(t.Context(), key, allow(key))
						check(t, err)
					}
				})
			},
			after:   func(*testing.T, *rig) {},
			allowed: []string{"x", "y", "z"}, denied: []string{"gone"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.bucket.History == 0 {
				tt.bucket.History = 5
			}
			r := startRig(t, tt.bucket)
			r.follow(rulestore.Options{})
			tt.before(t, r)
			stream, err := r.js.Stream(t.Context(), "KV_rules")
			check(t, err)
			// More, where a TTL ran out meanwhile.
			r.eventually("all is seen", func() bool { return r.store.Status().Revision >= stream.CachedInfo().State.LastSeq })
			r.nats.Kill()
			if tt.away != nil {
				tt.away(t, r)
			}
			r.nats.Start()
			tt.after(t, r)
			for _, name := range tt.allowed {
				r.wait(name, true)
			}
			for _, name := range tt.denied {
				r.wait(name, false)
			}
		})
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// keepCopy stops the server, copies its files, and starts it again.
func keepCopy(t *testing.T, r *rig) {
	t.Helper()
	r.nats.Kill()
	check(t, os.CopyFS(r.nats.StoreDir()+".old", os.DirFS(r.nats.StoreDir())))
	r.nats.Start()
}

// bringBack puts the copy in the place of the files of a server that is down.
func bringBack(t *testing.T, r *rig) {
	t.Helper()
	check(t, errors.Join(os.RemoveAll(r.nats.StoreDir()), os.Rename(r.nats.StoreDir()+".old", r.nats.StoreDir())))
}

// alone runs the server for a while on a port that the store does not know.
func alone(t *testing.T, r *rig, do func(jetstream.KeyValue, jetstream.Stream)) {
	t.Helper()
	r.nats.StartElsewhere()
	defer r.nats.Stop()
	js := r.nats.JetStream()
	stream, err := js.Stream(t.Context(), "KV_rules")
	check(t, err)
	kv, err := js.KeyValue(t.Context(), "rules")
	check(t, err)
	do(kv, stream)
}

func pushUnseen(t *testing.T, r *rig, key string, texts ...string) {
	t.Helper()
	alone(t, r, func(kv jetstream.KeyValue, _ jetstream.Stream) {
		for _, text := range texts {
			_, err := kv.PutString(t.Context(), key, text)
			check(t, err)
		}
	})
}

// A server that is killed while pushes come loses none that it acked, and the
// store none either.
func TestKilledWhilePushing(t *testing.T) {
	r := startRig(t, jetstream.KeyValueConfig{History: 1})
	r.follow(rulestore.Options{SnapshotPath: filepath.Join(t.TempDir(), "rules.snapshot")})
	for round := range 5 {
		for i := range 50 {
			r.put(fmt.Sprintf("k%d", i), allow(fmt.Sprintf("cam-%d-%d", i, round)))
			if i == 25 {
				r.nats.Kill()
				r.nats.Start()
			}
		}
		for i := range 50 {
			r.wait(fmt.Sprintf("cam-%d-%d", i, round), true)
			if round > 0 {
				r.wait(fmt.Sprintf("cam-%d-%d", i, round-1), false)
			}
		}
	}
}

// expire has keys come and expire under the store, their markers too, and returns behind a check after
// that.
func (r *rig) expire(stream jetstream.Stream) {
	r.t.Helper()
	var ends time.Time
	r.eventually("they are seen before they end", func() bool {
		if time.Now().After(ends) {
			ends = time.Now().Add(time.Second)
			for i := range 5 {
				_, err := r.js.Publish(r.t.Context(), fmt.Sprintf("$KV.rules.short.%d", i), []byte(allow("short")), jetstream.WithMsgTTL(time.Second))
				check(r.t, err)
			}
		}
		return r.allows("short")
	})
	r.wait("short", false)
	r.eventually("the markers expired", func() bool {
		info, err := stream.Info(r.t.Context())
		return err == nil && info.State.NumSubjects == 2
	})
	confirmed := time.Now()
	r.eventually("a check", func() bool { return r.store.Status().Age < time.Since(confirmed) })
}

// Keys that expire under the store go with their markers, and cost no new load.
func TestExpiryWithoutReload(t *testing.T) {
	r := startRig(t, jetstream.KeyValueConfig{LimitMarkerTTL: time.Second})
	var log reloadLog
	r.follow(rulestore.Options{CheckEvery: 20 * time.Millisecond, Log: slog.New(&log)})
	r.put("stays", allow("stays"))
	check(t, r.kv.Delete(t.Context(), "deleted")) // a marker that does not expire
	stream, err := r.js.Stream(t.Context(), "KV_rules")
	check(t, err)
	const tries = 5 // on a machine that stands still a marker may expire before it comes: that does cost a load
	for try := 1; ; try++ {
		reloads := len(log.reloads())
		r.expire(stream)
		if again := log.reloads()[reloads:]; len(again) == 0 {
			break
		} else if try == tries {
			t.Fatalf("loaded again each time, now: %q", again)
		}
	}
	if !r.allows("stays") {
		t.Error("a document went with the others")
	}
	// A key that goes without a marker is still noticed.
	check(t, stream.Purge(t.Context(), jetstream.WithPurgeSubject("$KV.rules.stays")))
	r.wait("stays", false)
}
