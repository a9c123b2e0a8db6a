package rulestore

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"bintubridge/bridge/decide"
	"bintubridge/subjects"

	"github.com/nats-io/nats.go/jetstream"
)

func TestServerRestart(t *testing.T) {
	opts := quick(t)
	opts.CheckEvery = time.Hour // the reconnect notice alone has to do
	f := newFixture(t, opts, defaultBucket())
	f.put("acme", allow("before"))
	f.put("gone", allow("gone"))
	f.wait("before", true)
	f.wait("gone", true)
	f.nats.stop()
	if !allowed(f.store, "before") {
		t.Error("no decisions without the server")
	}
	f.nats.start()
	eventually(t, "a push after the restart", func() bool {
		// A request made while the server starts may never be answered.
		ctx, cancel := context.WithTimeout(f.ctx, 200*time.Millisecond)
		defer cancel()
		_, err := f.kv.Put(ctx, "acme", []byte(allow("after")))
		return err == nil
	})
	if err := f.kv.Delete(f.ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	f.wait("after", true)
	f.wait("gone", false)
}

// A delete that left no marker while the connection was away must not be missed.
func TestDeleteMissedWhileAway(t *testing.T) {
	opts := quick(t)
	opts.CheckEvery = time.Hour
	f := newFixture(t, opts, defaultBucket())
	f.put("acme", allow("cam"))
	f.put("other", allow("stays"))
	f.wait("stays", true)

	stream, err := f.js.Stream(f.ctx, "KV_rules")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(f.ctx, jetstream.WithPurgeSubject("$KV.rules.acme")); err != nil {
		t.Fatal(err)
	}
	f.reconnected <- struct{}{}
	f.wait("cam", false)
	f.wait("stays", true)
}

func TestBucketRecreated(t *testing.T) {
	f := newFixture(t, quick(t), defaultBucket())
	for i := range 20 {
		f.put("acme", allow(fmt.Sprintf("cam-%d", i)))
	}
	f.put("gone", allow("gone"))
	f.wait("gone", true)
	if err := f.js.DeleteKeyValue(f.ctx, "rules"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "missing bucket told", func() bool { return strings.Contains(f.store.Status().Trouble, "bucket") })
	if !allowed(f.store, "cam-19") {
		t.Error("the rules went with the bucket")
	}
	f.create(defaultBucket())
	revision := f.put("acme", allow("new")) // lower than any revision before
	f.wait("new", true)
	f.wait("gone", false)
	f.wait("cam-19", false)
	if got := f.store.Status().Revision; got != revision {
		t.Errorf("revision %d, want %d", got, revision)
	}
	stream, err := f.js.Stream(f.ctx, "KV_rules")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.store.Status().Created, stream.CachedInfo().Created; !got.Equal(want) {
		t.Errorf("bucket made at %v, want %v", got, want)
	}
	f.put("acme", allow("newer"))
	f.wait("newer", true)
}

// Recreated at once, with the watch's consumer still looking healthy.
func TestBucketReplacedUnderTheWatch(t *testing.T) {
	f := newFixture(t, quick(t), defaultBucket())
	for i := range 20 {
		f.put("acme", allow(fmt.Sprintf("cam-%d", i)))
	}
	f.wait("cam-19", true)
	if err := f.js.DeleteKeyValue(f.ctx, "rules"); err != nil {
		t.Fatal(err)
	}
	f.create(defaultBucket())
	f.put("acme", allow("new"))
	f.wait("new", true)
	f.wait("cam-19", false)
}

func TestBucketComesLate(t *testing.T) {
	f := &fixture{t: t, nats: startNATS(t), log: &logBuffer{}, ctx: t.Context()}
	_, f.js = f.nats.connect()
	opts := quick(t)
	opts.Defaults = decide.Defaults{Play: decide.Allow}
	f.open(opts)
	if err := f.store.Start(f.js, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "missing bucket told", func() bool { return strings.Contains(f.store.Status().Trouble, "not found") })
	if d, _, _ := f.store.Decide(&decide.Input{Call: subjects.Play, Name: "x"}, time.Now()); d != (decide.Decision{Effect: decide.Allow, Reason: decide.ReasonDefault}) {
		t.Errorf("without rules: %+v", d)
	}
	if f.store.Status().Loaded {
		t.Error("loaded without a bucket")
	}
	f.create(defaultBucket())
	f.put("acme", allow("cam"))
	f.wait("cam", true)
	eventually(t, "no more trouble", func() bool { return f.store.Status().Trouble == "" })
}

// A reconnect ends the wait after a failure.
func TestReconnectEndsBackOff(t *testing.T) {
	f := &fixture{t: t, nats: startNATS(t), log: &logBuffer{}, ctx: t.Context()}
	_, f.js = f.nats.connect()
	opts := quick(t)
	opts.RetryMin, opts.RetryMax = time.Hour, time.Hour
	f.open(opts)
	reconnected := make(chan struct{}, 1)
	if err := f.store.Start(f.js, reconnected); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the failure is told", func() bool { return f.store.Status().Trouble != "" })
	f.create(defaultBucket())
	f.put("acme", allow("cam"))
	eventually(t, "allow cam", func() bool {
		select {
		case reconnected <- struct{}{}: // again, should the machine be too slow for the next try
		default:
		}
		return allowed(f.store, "cam")
	})
	if err := f.store.Close(); err != nil { // before its connection
		t.Error(err)
	}
}
