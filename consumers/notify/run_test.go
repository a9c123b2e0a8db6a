package notify_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
	"bintubridge/consumers/notify"
	"bintubridge/consumers/outbound"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"

	"github.com/nats-io/nats.go/jetstream"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"
)

// courier goes to this machine, and to the public.
var courier = outbound.NewCourier(notify.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}.Guard())

func TestMain(m *testing.M) {
	http.DefaultTransport = courier
	consumerstest.ServeIfAsked(func(ctx context.Context, js jetstream.JetStream) error {
		return notify.Run(ctx, js, courier, consumers.NewMonitor(), slog.New(slog.DiscardHandler))
	})
	goleak.VerifyTestMain(m)
}

// receiver is an HTTP server that keeps what it got.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []request
	answer func(request) int // nil is 200
}

type request struct {
	at     time.Time
	header http.Header
	body   string
}

func startReceiver(t *testing.T, answer func(request) int) *receiver {
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		one := request{time.Now(), req.Header, string(body)}
		r.mu.Lock()
		r.got = append(r.got, one)
		r.mu.Unlock()
		if r.answer != nil {
			w.WriteHeader(r.answer(one))
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) all() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]request(nil), r.got...)
}

// ids counts the requests by webhook-id.
func (r *receiver) ids() map[string]int {
	ids := map[string]int{}
	for _, one := range r.all() {
		ids[one.header.Get("webhook-id")]++
	}
	return ids
}

// run runs notify and waits until it serves these subscriptions.
func run(t *testing.T, kit *consumerstest.Kit, keys ...string) (monitor *consumers.Monitor, l *consumerstest.Log, stop func()) {
	t.Helper()
	l, monitor = &consumerstest.Log{}, consumers.NewMonitor()
	js := kit.JetStream()
	stop = kit.Go(func(ctx context.Context) error {
		return notify.Run(ctx, js, courier, monitor, l.Logger())
	})
	ready(kit, keys...)
	return monitor, l, stop
}

// ready waits until the subscriptions of these keys are served.
func ready(kit *consumerstest.Kit, keys ...string) {
	kit.WaitConsumer(subjects.StreamEvents, "notify")
	kit.WaitConsumer(subjects.StreamSessions, "notify_sessions")
	for _, key := range keys {
		kit.WaitConsumer(subjects.StreamDeliveries, "notify-"+key)
	}
}

func verify(t *testing.T, secret string, one request) {
	t.Helper()
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := wh.Verify([]byte(one.body), one.header); err != nil {
		t.Errorf("%v: %v", one.header, err)
	}
}

// Each subscription gets what it wants, once, signed, and in the form of Standard Webhooks.
func TestWebhooks(t *testing.T) {
	kit := consumerstest.StartFor(t, provision.NotifyPermissions())
	red, all := startReceiver(t, nil), startReceiver(t, func(request) int { return 204 })
	secret, old := notify.NewSecret(), notify.NewSecret()
	kit.Put(subjects.BucketSubscriptions, "red", notify.Document{Who: "red", Subjects: []string{"stream.publish"}, Names: []string{"red-*"}, URL: red.URL + "/hook?token=s3cret", Secrets: []string{secret}})
	kit.Put(subjects.BucketSubscriptions, "all", notify.Document{Who: "all", Subjects: []string{"stream.>", "session.*"}, URL: all.URL, Secrets: []string{secret, old}})
	run(t, kit, "red", "all")
	e := consumerstest.Event("publish", "red-<1>")
	e.ReceivedAt = time.Date(2026, 11, 23, 9, 0, 0, 5000, time.UTC)
	kit.Publish(e, consumerstest.Event("play", "red-1"), consumerstest.Event("publish", "blue-1"))
	kit.PublishSession(subjects.Session{ID: "x-1-ended", Session: "x-1", Kind: "publish", Name: "red-1", StartedAt: e.ReceivedAt, EndedAt: e.ReceivedAt.Add(time.Hour)})
	kit.WaitAcked("EVENTS", "notify", 3)
	kit.WaitAcked("SESSIONS", "notify_sessions", 1)
	want := map[string]int{"kit-1_all": 1, "kit-2_all": 1, "kit-3_all": 1, "x-1-ended_all": 1}
	bridgetest.Eventually(t, "all is delivered", func() bool { return len(all.ids()) == 4 && len(red.ids()) == 1 })
	bridgetest.Eventually(t, "nothing waits", func() bool { return waiting(t, kit) == 0 })
	if got := all.ids(); !maps.Equal(got, want) {
		t.Errorf("all got %v", got)
	}
	if got := red.ids(); !maps.Equal(got, map[string]int{"kit-1_red": 1}) {
		t.Errorf("red got %v", got)
	}
	for _, one := range all.all() {
		verify(t, secret, one)
		verify(t, old, one)
	}
	one := red.all()[0]
	verify(t, secret, one)
	e.ID = "kit-1"
	wantBody := fmt.Sprintf(`{"type":"stream.publish","timestamp":"2026-11-23T09:00:00.000005Z","data":%s}`, e.AppendJSON(nil))
	if one.body != wantBody || one.header.Get("content-type") != "application/json" {
		t.Errorf("got  %s\nwant %s\nheaders %v", one.body, wantBody, one.header)
	}
}

// waiting returns how many deliveries are not done.
func waiting(t *testing.T, kit *consumerstest.Kit) uint64 {
	s, err := kit.JS.Stream(t.Context(), subjects.StreamDeliveries)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

// inAnOutage runs a test whose receiver is up again before the second try. On a machine that stands still it
// may not be, and the third try is minutes later: then the test says that it was late, and is run again.
func inAnOutage(t *testing.T, test func(t *testing.T) (late bool)) {
	t.Helper()
	const tries = 5
	for range tries {
		if !test(t) {
			return
		}
	}
	t.Fatal("the receiver was up too late, each time")
}

const secondTry = 5 * time.Second // after the event

// A receiver is down, the process is killed: what was tried comes again by the schedule, under
// its id.
func TestOutageAndKill(t *testing.T) { inAnOutage(t, outageAndKill) }

func outageAndKill(t *testing.T) (late bool) {
	t.Helper()
	kit := consumerstest.StartFor(t, provision.NotifyPermissions())
	up := make(chan struct{})
	r := startReceiver(t, func(request) int {
		select {
		case <-up:
			return 200
		default:
			return 500
		}
	})
	kit.Put(subjects.BucketSubscriptions, "a", notify.Document{Subjects: []string{">"}, URL: r.URL, Secrets: []string{notify.NewSecret()}})
	process := kit.StartProcess()
	ready(kit, "a")
	const events = 20
	want := map[string]bool{}
	began := time.Now()
	for i := range events {
		e := kit.Publish(consumerstest.Event("publish", fmt.Sprint("n", i)))[0]
		want[e.ID+"_a"] = true
	}
	bridgetest.Eventually(t, "some were tried", func() bool { return len(r.ids()) > events/2 })
	process.Kill()
	if time.Since(began) > secondTry {
		return true
	}
	tried := r.ids()
	close(up)
	run(t, kit, "a")
	bridgetest.Eventually(t, "all is delivered", func() bool { return len(r.ids()) == events && waiting(t, kit) == 0 })
	for id := range want {
		if n := r.ids()[id]; n <= tried[id] {
			t.Errorf("%s was tried %d times, %d of them in the outage", id, n, tried[id])
		}
	}
	return false
}

// 410 ends a subscription: nothing more is sent, and what waits stays.
func TestGone(t *testing.T) {
	kit := consumerstest.StartFor(t, provision.NotifyPermissions())
	r := startReceiver(t, func(request) int { return http.StatusGone })
	kit.Put(subjects.BucketSubscriptions, "a", notify.Document{Subjects: []string{"stream.>"}, URL: r.URL, Secrets: []string{notify.NewSecret()}})
	run(t, kit, "a")
	kit.Publish(consumerstest.Event("publish", "n"))
	kv, err := kit.JS.KeyValue(t.Context(), subjects.BucketSubscriptions)
	if err != nil {
		t.Fatal(err)
	}
	var d notify.Document
	bridgetest.Eventually(t, "it is disabled", func() bool {
		entry, err := kv.Get(t.Context(), "a")
		return err == nil && json.Unmarshal(entry.Value(), &d) == nil && d.Disabled != ""
	})
	if !strings.Contains(d.Disabled, "410") || d.URL != r.URL {
		t.Errorf("%+v", d)
	}
	bridgetest.Eventually(t, "it is set aside", func() bool { return len(kit.Dead("notify-a")) == 1 })
	bridgetest.Eventually(t, "nothing more is put into the stream", func() bool {
		before := waiting(t, kit)
		kit.Publish(consumerstest.Event("publish", "n"))
		kit.WaitAllAcked(subjects.StreamEvents, "notify")
		return waiting(t, kit) == before
	})
}

// A receiver that never answers, one that is private, and entries that are not understood: the
// others get theirs, and no secret is told.
func TestOthersAreUnharmed(t *testing.T) {
	kit := consumerstest.StartFor(t, provision.NotifyPermissions())
	release := make(chan struct{})
	slow := startReceiver(t, func(request) int { <-release; return 200 })
	defer close(release)
	fast := startReceiver(t, nil)
	private := startReceiver(t, nil)
	s := []string{notify.NewSecret()}
	kit.Put(subjects.BucketSubscriptions, "slow", notify.Document{Subjects: []string{"stream.>"}, URL: slow.URL, Secrets: s})
	kit.Put(subjects.BucketSubscriptions, "fast", notify.Document{Subjects: []string{"stream.>"}, URL: fast.URL, Secrets: s})
	kit.Put(subjects.BucketSubscriptions, "private", notify.Document{Subjects: []string{"stream.>"}, URL: strings.Replace(private.URL, "127.0.0.1", "[::1]", 1) + "/s3cret", Secrets: s})
	kit.Put(subjects.BucketSubscriptions, "text", notify.Document{Subjects: []string{"stream.publish"}, Names: []string{"*7"}, URL: "generic+" + fast.URL + "/text?key=s3cret&disabletls=yes"})
	for key, value := range map[string]string{
		"json": `{"who":`, "field": `{"who":"x","subject":["stream.>"]}`, "none": `{}`, "filter": `{"subjects":["stream..x"],"url":"https://s3cret.example","secrets":["whsec_x"]}`,
		"secret": `{"subjects":["stream.>"],"url":"https://example.org/s3cret","secrets":["s3cret"]}`, "service": `{"subjects":["stream.>"],"url":"nowhere://s3cret@x"}`,
		"slack": `{"subjects":["stream.>"],"url":"slack://s3cret"}`, "two": `{} {}`, "a.b": `{"subjects":["stream.>"]}`, "kind": `{"subjects":"s3cret"}`,
	} {
		kit.Put(subjects.BucketSubscriptions, key, []byte(value))
	}
	monitor, l, _ := run(t, kit, "slow", "fast", "private", "text")
	const events = 300
	for range events {
		kit.Publish(consumerstest.Event("publish", fmt.Sprint("n", 7)))
	}
	bridgetest.Eventually(t, "the fast one has them all", func() bool { return len(fast.all()) == 2*events })
	if len(private.all()) != 0 {
		t.Error("a private address was reached")
	}
	bridgetest.Eventually(t, "why the private one gets none is told", func() bool { return strings.Contains(l.String(), "private addresses") })
	for _, key := range []string{"json", "field", "none", "filter", "secret", "service", "slack", "two", "a.b", "kind"} {
		if !strings.Contains(l.String(), "key="+key+" ") {
			t.Errorf("%s is not told of", key)
		}
	}
	if strings.Contains(l.String(), "s3cret") || strings.Contains(l.String(), s[0]) {
		t.Errorf("a secret is in the log:\n%s", l)
	}
	bridgetest.Eventually(t, "readiness tells of them", func() bool {
		return slices.ContainsFunc(monitor.Checks(), func(c consumers.Check) bool {
			return strings.HasPrefix(c.Detail, "10 subscriptions are not understood")
		})
	})
}
