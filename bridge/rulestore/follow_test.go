package rulestore

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"bintubridge/bridge/decide"
	"bintubridge/subjects"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestPushIsSeen(t *testing.T) {
	f := newFixture(t, quick(t), defaultBucket())
	if ask(f.store, "cam") != (decide.Decision{Reason: decide.ReasonDefault}) {
		t.Error("an empty bucket does not deny")
	}
	revision := f.put("acme/eu=west", allow("cam"))
	f.wait("cam", true)
	d, got, age := f.store.Decide(&decide.Input{Call: subjects.Publish, Name: "cam"}, time.Now())
	if d.Rule != "acme/eu=west/r" || got != revision || age < 0 || age > patience.Milliseconds() {
		t.Errorf("got %+v of revision %d (want %d), age %d ms", d, got, revision, age)
	}
	// On a machine that stands still a check may be without an answer, until the next one.
	eventually(t, "no trouble", func() bool { return f.store.Status().Trouble == "" })
	if s := f.store.Status(); s.Documents != 1 || s.Rules != 1 || !s.Loaded || s.Revision != revision {
		t.Errorf("status %+v", s)
	}
	f.put("acme/eu=west", allow("other"))
	f.wait("cam", false)
	f.wait("other", true)
}

// Who may write one key can delete all others. That is told, and followed at once.
func TestOneMessageDeletesTheOthers(t *testing.T) {
	opts := quick(t)
	opts.CheckEvery = time.Hour
	f := newFixture(t, opts, defaultBucket())
	f.put("acme", allow("cam"))
	f.wait("cam", true)
	msg := nats.NewMsg("$KV.rules.other")
	msg.Header.Set(jetstream.MsgRollup, "ALL") // the server takes it as "all"
	msg.Data = []byte(allow("door"))
	if _, err := f.js.PublishMsg(f.ctx, msg); err != nil {
		t.Fatal(err)
	}
	f.wait("door", true)
	f.wait("cam", false)
	if n := f.log.count("has deleted all other documents"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// Of a bucket without a message nothing was seen that could be gone.
func TestReconnectToAnEmptyBucket(t *testing.T) {
	opts := quick(t)
	opts.CheckEvery = time.Hour // checks may find that a push has not come yet
	f := newFixture(t, opts, defaultBucket())
	f.reconnected <- struct{}{}
	eventually(t, "watched again", func() bool { return f.log.count("rules: loaded") > 1 })
	f.put("acme", allow("cam"))
	f.wait("cam", true)
	if f.log.count("loading the bucket again") > 0 {
		t.Error("an alarm for nothing")
	}
}

func TestInitialLoad(t *testing.T) {
	f := &fixture{t: t, nats: startNATS(t), log: &logBuffer{}, ctx: t.Context()}
	_, f.js = f.nats.connect()
	f.create(defaultBucket())
	const documents = 600 // more than the watch's channel holds
	for i := range documents {
		f.put(fmt.Sprintf("doc.%d", i), allow(fmt.Sprintf("cam-%d", i)))
	}
	if err := f.kv.Delete(f.ctx, "doc.0"); err != nil {
		t.Fatal(err)
	}
	f.open(quick(t))
	f.follow()
	if s := f.store.Status(); s.Documents != documents-1 || s.Revision != documents+1 {
		t.Errorf("loaded %d documents of revision %d", s.Documents, s.Revision)
	}
	if !allowed(f.store, "cam-599") || allowed(f.store, "cam-0") {
		t.Error("wrong rules in force")
	}
}

func TestInvalidKeepsLastGood(t *testing.T) {
	f := newFixture(t, quick(t), defaultBucket())
	good := f.put("acme", allow("cam"))
	f.wait("cam", true)
	bad := f.put("acme", "{\"rules\":[{\"effect\":\"allow\",\"na\\u202eme\":[\"\x1b\"]}]}")
	eventually(t, "document refused", func() bool { return f.store.Status().InvalidCount == 1 })
	s := f.store.Status()
	if !allowed(f.store, "cam") || s.Revision != bad || s.Documents != 1 {
		t.Errorf("the last good version is gone: %+v", s)
	}
	if len(s.Invalid) != 1 || s.Invalid[0].Key != "acme" || s.Invalid[0].Revision != bad || s.Invalid[0].InForce != good || !strings.Contains(s.Invalid[0].Err, "acme") {
		t.Errorf("invalid: %+v", s.Invalid)
	}
	if n, named := f.log.count("document refused"), f.log.count(" key=acme "); n != 1 || named != 1 {
		t.Errorf("logged %d times, %d times with its key", n, named)
	}
	if f.log.count("\x1b") != 0 || f.log.count("\u202e") != 0 {
		t.Error("text of the document reached the log as it is")
	}
	f.put("acme", allow("cam2"))
	f.wait("cam2", true)
	eventually(t, "nothing refused", func() bool { return f.store.Status().InvalidCount == 0 })
	if allowed(f.store, "cam") {
		t.Error("the old version is still in force")
	}
}

// A version refused after a delete has no last good one to go back to.
func TestInvalidAfterDelete(t *testing.T) {
	f := newFixture(t, quick(t), defaultBucket())
	f.put("acme", allow("cam"))
	f.wait("cam", true)
	if err := f.kv.Delete(f.ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	f.put("acme", "{}")
	eventually(t, "document refused", func() bool { return f.store.Status().InvalidCount == 1 })
	if s := f.store.Status(); allowed(f.store, "cam") || s.Documents != 0 || s.Invalid[0].InForce != 0 {
		t.Errorf("a deleted version is in force: %+v", s)
	}
}

func TestRemoval(t *testing.T) {
	tests := []struct {
		name   string
		put    func(f *fixture)
		remove func(f *fixture) error
	}{
		{"delete", nil, func(f *fixture) error { return f.kv.Delete(f.ctx, "acme") }},
		{"purge", nil, func(f *fixture) error { return f.kv.Purge(f.ctx, "acme") }},
		{"TTL", func(f *fixture) { f.putFor("acme", "cam", time.Second) }, func(*fixture) error { return nil }},
		{"purge of the subject, without a marker", nil, func(f *fixture) error {
			stream, err := f.js.Stream(f.ctx, "KV_rules")
			if err != nil {
				return err
			}
			return stream.Purge(f.ctx, jetstream.WithPurgeSubject("$KV.rules.acme"))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bucket := defaultBucket()
			if tt.name == "TTL" {
				// With a history the server lifts a shorter TTL to that of the markers.
				bucket.LimitMarkerTTL = time.Second
			}
			f := newFixture(t, quick(t), bucket)
			f.put("other", allow("stays"))
			if tt.put != nil {
				tt.put(f)
			} else {
				f.put("acme", allow("cam"))
				f.wait("cam", true)
			}
			if err := tt.remove(f); err != nil {
				t.Fatal(err)
			}
			f.wait("cam", false)
			eventually(t, "one document", func() bool { return f.store.Status().Documents == 1 })
			if !allowed(f.store, "stays") {
				t.Error("another document went too")
			}
		})
	}
}

// Keys that only a plain publish can store are refused and do no harm.
func TestStrangeKeys(t *testing.T) {
	f := newFixture(t, quick(t), defaultBucket())
	f.put("acme", allow("cam"))
	if _, err := f.js.Publish(f.ctx, "$KV.rules.a\u202e%", []byte(allow("evil"))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "key refused", func() bool { return f.store.Status().InvalidCount == 1 })
	f.wait("cam", true)
	if allowed(f.store, "evil") || f.log.count("\u202e") != 0 {
		t.Error("a strange key counts, or is logged as it is")
	}
}

func TestHistoryFallback(t *testing.T) {
	const bad, gone = `{"rules":[{"effect":"alow"}]}`, "gone"
	tests := []struct {
		name     string
		history  uint8
		versions []string // "" deletes, gone removes all traces, as a TTL does in the end
		snapshot bool     // the store saw the first version before
		want     bool     // cam is allowed
	}{
		{"newest good version", 5, []string{allow("old"), allow("cam"), bad, bad}, false, true},
		{"nothing good", 5, []string{bad, bad}, false, false},
		{"not beyond a delete", 5, []string{allow("cam"), "", bad}, false, false},
		{"no history", 1, []string{allow("cam"), bad}, false, false},
		{"no history but a snapshot", 1, []string{allow("cam"), bad}, true, true},
		{"history full of bad versions but a snapshot", 2, []string{allow("cam"), bad, bad, bad}, true, true},
		{"a delete ends what the snapshot had", 5, []string{allow("cam"), "", bad}, true, false},
		{"what has expired is not revived by a bad push", 5, []string{allow("cam"), gone, bad}, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fixture{t: t, nats: startNATS(t), log: &logBuffer{}, ctx: t.Context()}
			_, f.js = f.nats.connect()
			f.create(jetstream.KeyValueConfig{Bucket: "rules", History: tt.history})
			opts := quick(t)
			for i, text := range tt.versions {
				switch text {
				case "":
					if err := f.kv.Delete(f.ctx, "acme"); err != nil {
						t.Fatal(err)
					}
				case gone:
					stream, err := f.js.Stream(f.ctx, "KV_rules")
					if err != nil {
						t.Fatal(err)
					}
					if err := stream.Purge(f.ctx, jetstream.WithPurgeSubject("$KV.rules.acme")); err != nil {
						t.Fatal(err)
					}
				default:
					f.put("acme", text)
				}
				if i == 0 && tt.snapshot {
					f.open(opts)
					f.follow()
					if err := f.store.Close(); err != nil {
						t.Fatal(err)
					}
				}
			}
			f.open(opts)
			f.follow()
			if got := allowed(f.store, "cam"); got != tt.want {
				t.Errorf("cam allowed: %v, want %v", got, tt.want)
			}
			status := f.store.Status()
			if n := status.InvalidCount; n != 1 {
				t.Fatalf("%d documents invalid, want 1", n)
			}
			if in := status.Invalid[0].InForce; in != 0 != tt.want {
				t.Errorf("revision %d is said to be in force", in)
			}
		})
	}
}

// Decisions go on, and are never half of two rule sets, while pushes come.
func TestDecideWhilePushing(t *testing.T) {
	f := newFixture(t, quick(t), defaultBucket())
	both := func(i int) string {
		return fmt.Sprintf(`{"rules":[{"id":"v%d","effect":"allow","name":["a","b"]}]}`, i)
	}
	f.put("acme", both(0))
	f.wait("a", true)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			in := decide.Input{Call: subjects.Publish, Name: "a"}
			var last uint64
			for {
				select {
				case <-stop:
					return
				default:
				}
				d, revision, _ := f.store.Decide(&in, time.Now())
				if d.Effect != decide.Allow || revision < last || d.Rule != fmt.Sprintf("acme/v%d", revision-1) {
					t.Errorf("got %+v of revision %d after %d", d, revision, last)
					return
				}
				last = revision
				f.store.Status()
			}
		})
	}
	const pushes = 200
	for i := 1; i <= pushes; i++ {
		f.put("acme", both(i))
	}
	eventually(t, "the last push", func() bool { return f.store.Status().Revision == pushes+1 })
	close(stop)
	readers.Wait()
}

func TestStaleRules(t *testing.T) {
	for _, deny := range []bool{false, true} {
		t.Run(fmt.Sprintf("deny %v", deny), func(t *testing.T) {
			opts := quick(t)
			opts.StaleAfter, opts.StaleDeny = time.Hour, deny
			f := newFixture(t, opts, defaultBucket())
			f.put("acme", `{"rules":[{"id":"r","effect":"allow","calls":["publish","play","update_publish"]}]}`)
			f.wait("cam", true)
			later := time.Now().Add(time.Hour + time.Minute)
			for _, call := range []subjects.Call{subjects.Publish, subjects.Play, subjects.UpdatePublish, subjects.Connect} {
				got, _, age := f.store.Decide(&decide.Input{Call: call, Name: "cam"}, later)
				cut := deny && (call == subjects.Publish || call == subjects.Play)
				if cut != (got == decide.Decision{Reason: ReasonStale}) || !cut && got.Effect != decide.Allow {
					t.Errorf("%v: got %+v", call, got)
				}
				if age < time.Hour.Milliseconds() {
					t.Errorf("%v: age %d ms", call, age)
				}
			}
		})
	}
}

// A quiet bucket does not make rules old: checks are contact.
func TestChecksKeepRulesFresh(t *testing.T) {
	f := newFixture(t, quick(t), defaultBucket())
	f.put("acme", allow("cam"))
	f.wait("cam", true)
	before := f.store.contact.Load()
	eventually(t, "contact without a change", func() bool { return f.store.contact.Load() > before+int64(time.Millisecond) })
}

func TestStartTwiceAndAfterClose(t *testing.T) {
	f := newFixture(t, quick(t), defaultBucket())
	if err := f.store.Start(f.js, nil); err == nil {
		t.Error("started twice")
	}
	if err := f.store.Close(); err != nil {
		t.Error(err)
	}
	if err := f.store.Close(); err != nil {
		t.Error(err)
	}
	if err := f.store.Start(f.js, nil); err == nil {
		t.Error("started after Close")
	}
}

func TestCloseWithoutServer(t *testing.T) {
	f := newFixture(t, quick(t), defaultBucket())
	f.put("acme", allow("cam"))
	f.wait("cam", true)
	f.nats.stop()
	if err := f.store.Close(); err != nil {
		t.Error(err)
	}
	if !allowed(f.store, "cam") {
		t.Error("no decisions after Close")
	}
	f.nats.start() // for the cleanup
}

func TestDecideDoesNotAllocate(t *testing.T) {
	opts := quick(t)
	opts.StaleAfter, opts.StaleDeny = time.Hour, true
	f := newFixture(t, opts, defaultBucket())
	f.put("acme", allow("cam"))
	f.wait("cam", true)
	if err := f.store.Close(); err != nil { // its goroutines would be counted
		t.Fatal(err)
	}
	in, now := decide.Input{Call: subjects.Publish, Name: "cam"}, time.Now()
	if n := testing.AllocsPerRun(100, func() { f.store.Decide(&in, now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDecide(b *testing.B) {
	s, err := Open(Options{})
	if err != nil {
		b.Fatal(err)
	}
	in, now := decide.Input{Call: subjects.Publish, Name: "cam"}, time.Now()
	b.ReportAllocs()
	for b.Loop() {
		s.Decide(&in, now)
	}
}
