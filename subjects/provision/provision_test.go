package provision_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"bintubridge/subjects"
	"bintubridge/subjects/provision"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startServer runs a nats-server with JetStream, changed by the given options.
func startServer(t *testing.T, change ...func(*server.Options)) *server.Server {
	t.Helper()
	opts := &server.Options{
		Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: t.TempDir(), JetStreamMaxStore: 64 << 30, JetStreamMaxMemory: 64 << 20,
	}
	for _, c := range change {
		c(opts)
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("the server does not start")
	}
	return srv
}

func connect(t *testing.T, srv *server.Server, opts ...nats.Option) jetstream.JetStream {
	t.Helper()
	// Permission errors are looked up by Ensure; nobody has to print them.
	opts = append(opts, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), nats.Timeout(time.Minute))
	closed := make(chan struct{})
	nc, err := nats.Connect(srv.ClientURL(), append(opts, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		<-closed
	})
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(time.Minute/4))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

var allObjects = []string{
	"stream EVENTS", "stream SESSIONS", "stream DEAD", "KV bucket rules", "KV bucket live", "KV bucket bridges",
	"stream DELIVERIES", "KV bucket subscriptions", "KV bucket chat_rooms",
	"KV bucket sessions_state", "KV bucket chat_state",
}

func ensure(t *testing.T, js jetstream.JetStream, opts provision.Options) provision.Report {
	t.Helper()
	if opts.Timeout == 0 {
		opts.Timeout = long
	}
	report, err := provision.Ensure(t.Context(), js, opts)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func wantReport(t *testing.T, got, want provision.Report) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("report is %+v, want %+v", got, want)
	}
}

// configs are the definitions of all streams as the server has them.
func configs(t *testing.T, js jetstream.JetStream) map[string]jetstream.StreamConfig {
	t.Helper()
	all := map[string]jetstream.StreamConfig{}
	list := js.ListStreams(t.Context())
	for info := range list.Info() {
		all[info.Config.Name] = info.Config
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestEnsureCreatesOnce(t *testing.T) {
	js := connect(t, startServer(t))
	auto := provision.Options{Mode: provision.Auto}
	wantReport(t, ensure(t, js, provision.Options{}), provision.Report{Missing: allObjects})
	wantReport(t, ensure(t, js, auto), provision.Report{Created: allObjects})
	before := configs(t, js)
	wantReport(t, ensure(t, js, auto), provision.Report{})
	wantReport(t, ensure(t, js, provision.Options{Mode: provision.Check}), provision.Report{})
	if after := configs(t, js); !reflect.DeepEqual(before, after) {
		t.Errorf("a second run changed\n%+v to\n%+v", before, after)
	}
}

// The settings an operator and the other parts rely on, spelled out again.
func TestDefinitions(t *testing.T) {
	js := connect(t, startServer(t))
	ensure(t, js, provision.Options{Mode: provision.Auto})
	const day = 24 * time.Hour
	type setting struct {
		subject              string
		discard              jetstream.DiscardPolicy
		maxAge               time.Duration
		maxBytes, perSubject int64
		duplicates, marker   time.Duration
		batch, rollup, ttl   bool
	}
	want := map[string]setting{
		"EVENTS":            {"stream.>", jetstream.DiscardNew, 7 * day, 10 << 30, -1, 10 * time.Minute, 0, true, false, false},
		"SESSIONS":          {"session.>", jetstream.DiscardOld, 30 * day, 1 << 30, -1, 10 * time.Minute, 0, false, false, false},
		"DEAD":              {"dead.>", jetstream.DiscardOld, 30 * day, 1 << 30, -1, 10 * time.Minute, 0, false, false, false},
		"KV_rules":          {"$KV.rules.>", jetstream.DiscardNew, 0, 1 << 30, 8, 2 * time.Minute, time.Second, false, true, true},
		"KV_live":           {"$KV.live.>", jetstream.DiscardNew, 0, 256 << 20, 1, 2 * time.Minute, time.Hour, false, true, true},
		"DELIVERIES":        {"delivery.>", jetstream.DiscardNew, 7 * day, 1 << 30, 10_000, 10 * time.Minute, 0, false, false, false},
		"KV_subscriptions":  {"$KV.subscriptions.>", jetstream.DiscardNew, 0, 16 << 20, 8, 2 * time.Minute, time.Second, false, true, true},
		"KV_chat_rooms":     {"$KV.chat_rooms.>", jetstream.DiscardNew, 0, 16 << 20, 8, 2 * time.Minute, time.Second, false, true, true},
		"KV_sessions_state": {"$KV.sessions_state.>", jetstream.DiscardNew, 0, 256 << 20, 1, 2 * time.Minute, time.Hour, false, true, true},
		"KV_chat_state":     {"$KV.chat_state.>", jetstream.DiscardNew, 30 * day, 64 << 20, 1, 2 * time.Minute, time.Hour, false, true, true},
		"KV_bridges":        {"$KV.bridges.>", jetstream.DiscardNew, 30 * time.Second, 16 << 20, 1, 30 * time.Second, time.Hour, false, true, true},
	}
	got := configs(t, js)
	if len(got) != len(want) {
		t.Errorf("%d streams, want %d", len(got), len(want))
	}
	for name, w := range want {
		c := got[name]
		g := setting{strings.Join(c.Subjects, " "), c.Discard, c.MaxAge, c.MaxBytes, c.MaxMsgsPerSubject,
			c.Duplicates, c.SubjectDeleteMarkerTTL, c.AllowBatchPublish, c.AllowRollup, c.AllowMsgTTL}
		if g != w {
			t.Errorf("%s is %+v, want %+v", name, g, w)
		}
		if c.Storage != jetstream.FileStorage || (c.Retention == jetstream.WorkQueuePolicy) != (name == "DELIVERIES") || c.DiscardNewPerSubject != (name == "DELIVERIES") || !c.AllowDirect ||
			c.PersistMode != jetstream.DefaultPersistMode || c.Replicas != 1 {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// A bucket is what nats.go would have made of the same wishes.
func TestBucketsAreThoseOfTheClient(t *testing.T) {
	for _, b := range []jetstream.KeyValueConfig{
		{Bucket: "rules", History: 8, LimitMarkerTTL: time.Second, MaxBytes: provision.RulesBytes},
		{Bucket: "live", History: 1, LimitMarkerTTL: time.Hour, MaxBytes: provision.LiveBytes},
		{Bucket: "bridges", History: 1, LimitMarkerTTL: time.Hour, MaxBytes: provision.BridgesBytes, TTL: 30 * time.Second},
	} {
		t.Run(b.Bucket, func(t *testing.T) {
			ours := connect(t, startServer(t))
			ensure(t, ours, provision.Options{Mode: provision.Auto})
			theirs := connect(t, startServer(t))
			if _, err := theirs.CreateKeyValue(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			got, want := configs(t, ours)["KV_"+b.Bucket], configs(t, theirs)["KV_"+b.Bucket]
			got.Description = "" // the one difference meant
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// A rule with a TTL ends when its TTL does: the server would raise one that is
// shorter than the bucket's markers'.
func TestShortTTLsAreKept(t *testing.T) {
	js := connect(t, startServer(t))
	ensure(t, js, provision.Options{Mode: provision.Auto})
	for _, bucket := range []string{subjects.BucketRules, subjects.BucketLive} {
		kv, err := js.KeyValue(t.Context(), bucket)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.Create(t.Context(), "k", nil, jetstream.KeyTTL(30*time.Second)); err != nil {
			t.Fatal(err)
		}
		s, err := js.Stream(t.Context(), "KV_"+bucket)
		if err != nil {
			t.Fatal(err)
		}
		msg, err := s.GetLastMsgForSubject(t.Context(), "$KV."+bucket+".k")
		if err != nil {
			t.Fatal(err)
		}
		if got := msg.Header.Get(jetstream.MsgTTLHeader); got != "30s" {
			t.Errorf("bucket %s: a TTL of 30 s is kept as %q", bucket, got)
		}
	}
}

// An empty rules bucket would end the rules that are in force: while there are
// any, it is reported missing, and everything else is created.
func TestKeepRules(t *testing.T) {
	js := connect(t, startServer(t))
	opts := provision.Options{Mode: provision.Auto, KeepRules: true, RulesBucket: "mine"}
	report := ensure(t, js, opts)
	if !slices.Equal(report.Missing, []string{"KV bucket mine"}) || len(report.Created) != len(allObjects)-1 {
		t.Errorf("missing %v, created %v", report.Missing, report.Created)
	}
	opts.KeepRules = false
	if report = ensure(t, js, opts); !slices.Equal(report.Created, []string{"KV bucket mine"}) {
		t.Errorf("created %v", report.Created)
	}
}

func TestOptions(t *testing.T) {
	js := connect(t, startServer(t))
	opts := provision.Options{
		Mode: provision.Auto, RulesBucket: "acme_rules", EventsBytes: 1 << 20, SessionsBytes: 2 << 20,
		DeadBytes: 3 << 20, RulesBytes: 4 << 20, LiveBytes: 5 << 20, BridgesBytes: 6 << 20,
		DeliveriesBytes: 7 << 20, SubscriptionsBytes: 8 << 20, ChatRoomsBytes: 9 << 20,
		SessionsStateBytes: 10 << 20, ChatStateBytes: 11 << 20,
	}
	report := ensure(t, js, opts)
	if !slices.Contains(report.Created, "KV bucket acme_rules") {
		t.Errorf("created are %v", report.Created)
	}
	all := configs(t, js)
	for name, mib := range map[string]int64{
		"EVENTS": 1, "SESSIONS": 2, "DEAD": 3, "KV_acme_rules": 4, "KV_live": 5, "KV_bridges": 6,
		"DELIVERIES": 7, "KV_subscriptions": 8, "KV_chat_rooms": 9, "KV_sessions_state": 10, "KV_chat_state": 11,
	} {
		if all[name].MaxBytes != mib<<20 {
			t.Errorf("%s has %d bytes, want %d MiB", name, all[name].MaxBytes, mib)
		}
	}
	if got := opts.Storage(); got != 66<<20 {
		t.Errorf("Storage is %d, want 66 MiB", got)
	}
	if got := (provision.Options{}).Storage(); got != provision.DefaultStorage {
		t.Errorf("Storage of the defaults is %d, want %d", got, int64(provision.DefaultStorage))
	}
}

func TestRulesBucketNames(t *testing.T) {
	for _, name := range []string{"live", "bridges", "subscriptions", "chat_rooms", "sessions_state", "chat_state", "a.b", "a b", "*", "a/b"} {
		// The name is refused before anything is asked, so no server is needed.
		_, err := provision.Ensure(t.Context(), nil, provision.Options{RulesBucket: name})
		if !errors.Is(err, provision.ErrBucket) || !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) {
			t.Errorf("%q: error is %v", name, err)
		}
	}
}

func TestOffAsksNothing(t *testing.T) {
	report, err := provision.Ensure(t.Context(), nil, provision.Options{Mode: provision.Off})
	if err != nil || !reflect.DeepEqual(report, provision.Report{}) {
		t.Errorf("got %+v, %v", report, err)
	}
}

// A consumer opens the bucket of its state: it is made in mode Auto only, and never altered.
func TestOpenBucket(t *testing.T) {
	js := connect(t, startServer(t))
	open := func(mode provision.Mode) ([]provision.Drift, error) {
		kv, drift, err := provision.OpenBucket(t.Context(), js, subjects.BucketChatState, mode)
		if err == nil && kv.Bucket() != subjects.BucketChatState {
			t.Errorf("it is %s", kv.Bucket())
		}
		return drift, err
	}
	for _, mode := range []provision.Mode{provision.Check, provision.Off} {
		if _, err := open(mode); !errors.Is(err, jetstream.ErrBucketNotFound) {
			t.Errorf("%v: %v", mode, err)
		}
	}
	if drift, err := open(provision.Auto); err != nil || len(drift) > 0 {
		t.Errorf("%v, %v", drift, err)
	}
	all := configs(t, js)
	if len(all) != 1 {
		t.Errorf("it made %d streams", len(all))
	}
	changed := all["KV_chat_state"]
	changed.MaxBytes = -1
	if _, err := js.UpdateStream(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[provision.Mode]int{provision.Auto: 1, provision.Check: 1, provision.Off: 0} {
		if drift, err := open(mode); err != nil || len(drift) != want {
			t.Errorf("%v: %v, %v", mode, drift, err)
		}
	}
	if after := configs(t, js); after["KV_chat_state"].MaxBytes != -1 {
		t.Error("it was altered")
	}
}

func TestModes(t *testing.T) {
	for text, want := range map[string]provision.Mode{"auto": provision.Auto, "check": provision.Check, "off": provision.Off} {
		if got, err := provision.ParseMode(text); err != nil || got != want || got.String() != text {
			t.Errorf("%q reads as %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "Auto", "on", "auto "} {
		if got, err := provision.ParseMode(text); err == nil || got != provision.Check || !strings.Contains(err.Error(), "auto, check and off") {
			t.Errorf("%q reads as %v, %v", text, got, err)
		}
	}
	var zero provision.Mode
	if zero == provision.Auto {
		t.Error("a mode nobody set creates streams")
	}
}

// racingJetStream says once that a stream is missing, as if another bridge
// created it between the look and the create.
type racingJetStream struct {
	jetstream.JetStream
	asked map[string]bool
}

func (r *racingJetStream) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	if !r.asked[name] {
		r.asked[name] = true
		return nil, jetstream.ErrStreamNotFound
	}
	return r.JetStream.Stream(ctx, name)
}

func TestAnotherBridgeIsFaster(t *testing.T) {
	js := connect(t, startServer(t))
	ensure(t, js, provision.Options{Mode: provision.Auto, EventsBytes: 1 << 20})
	before := configs(t, js)
	racing := &racingJetStream{JetStream: js, asked: map[string]bool{}}
	report := ensure(t, racing, provision.Options{Mode: provision.Auto})
	// EVENTS differs from ours and is left alone; the others are equal, which
	// the server takes for created.
	wantReport(t, report, provision.Report{Created: allObjects[1:]})
	if after := configs(t, js); !reflect.DeepEqual(before, after) {
		t.Errorf("the slower bridge changed\n%+v to\n%+v", before, after)
	}
}
