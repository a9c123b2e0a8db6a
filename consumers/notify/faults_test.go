package notify_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
	"bintubridge/consumers/notify"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Two instances share the work: where nothing fails each event is delivered once.
func TestTwoInstances(t *testing.T) {
	t.Parallel()
	kit := consumerstest.StartFor(t, provision.NotifyPermissions())
	r := startReceiver(t, nil)
	secret := []string{notify.NewSecret()}
	keys := []string{"a", "b"}
	for _, key := range keys {
		kit.Put(subjects.BucketSubscriptions, key, notify.Document{Subjects: []string{"stream.>", "session.>"}, URL: r.URL, Secrets: secret})
	}
	for range 2 {
		monitor, _, _ := run(t, kit, keys...)
		bridgetest.Eventually(t, "it gets events", func() bool {
			return slices.ContainsFunc(monitor.Checks(), func(c consumers.Check) bool { return c.Name == notify.Name && c.OK })
		})
	}
	want := map[string]int{}
	const events = 300
	for i := range events {
		id := kit.Publish(consumerstest.Event("publish", fmt.Sprint("n", i)))[0].ID
		want[id+"_a"], want[id+"_b"] = 1, 1
	}
	for _, what := range []string{"started", "ended"} {
		kit.PublishSession(subjects.Session{ID: "x-1-" + what, Session: "x-1", Kind: "publish", Name: "n"})
		want["x-1-"+what+"_a"], want["x-1-"+what+"_b"] = 1, 1
	}
	bridgetest.Eventually(t, "all is delivered", func() bool { return len(r.ids()) == len(want) && waiting(t, kit) == 0 })
	if got := r.ids(); !maps.Equal(got, want) {
		for id, n := range got {
			if n != 1 {
				t.Errorf("%s was delivered %d times", id, n)
			}
		}
	}
}

// The secret is rotated while the receiver is down: what waited is signed by both, so that it is good for
// one that has the new secret and for one that still has the old one, at the time of the try.
func TestRotationInAnOutage(t *testing.T) {
	t.Parallel()
	inAnOutage(t, rotationInAnOutage)
}

func rotationInAnOutage(t *testing.T) (late bool) {
	t.Helper()
	kit := consumerstest.StartFor(t, provision.NotifyPermissions())
	up := make(chan struct{})
	r := startReceiver(t, func(request) int {
		select {
		case <-up:
			return http.StatusNoContent
		default:
			return http.StatusBadGateway
		}
	})
	book := notify.NewBook(kit.JS)
	old, err := book.Subscribe(t.Context(), "a", notify.Document{Subjects: []string{"stream.>"}, URL: r.URL}, false)
	if err != nil {
		t.Fatal(err)
	}
	run(t, kit, "a")
	began := time.Now()
	kit.Publish(consumerstest.Event("publish", "n"))
	bridgetest.Eventually(t, "it is tried", func() bool { return len(r.all()) > 0 })
	verify(t, old, r.all()[0])
	young, err := book.Subscribe(t.Context(), "a", notify.Document{}, true)
	if err != nil || young == "" || young == old {
		t.Fatalf("%q, %v", young, err)
	}
	close(up)
	if time.Since(began) > secondTry {
		return true
	}
	bridgetest.Eventually(t, "it is delivered", func() bool { return len(r.all()) > 1 && waiting(t, kit) == 0 })
	one, two := r.all()[0], r.all()[len(r.all())-1]
	verify(t, old, two)
	verify(t, young, two)
	if one.header.Get("webhook-id") != two.header.Get("webhook-id") || one.body != two.body {
		t.Errorf("the second try is another: %v %s", two.header, two.body)
	}
	return false
}

// A receiver that answers without end, or that sends elsewhere, is bounded: its deliveries are
// done or fail, and those of others go on.
func TestHostileReceivers(t *testing.T) {
	t.Parallel()
	kit := consumerstest.StartFor(t, provision.NotifyPermissions())
	good, elsewhere := startReceiver(t, nil), startReceiver(t, nil)
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := io.WriteString(w, strings.Repeat("x", 64<<10)); err != nil {
				return // the sender has enough
			}
		}
	}))
	defer endless.Close()
	headers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
	}))
	defer headers.Close()
	redirect := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer redirect.Close()
	secret := []string{notify.NewSecret()}
	for key, url := range map[string]string{"good": good.URL, "endless": endless.URL, "headers": headers.URL, "redirect": redirect.URL} {
		kit.Put(subjects.BucketSubscriptions, key, notify.Document{Subjects: []string{"stream.>"}, URL: url, Secrets: secret})
	}
	monitor, log, _ := run(t, kit, "good", "endless", "headers", "redirect")
	const events = 20
	for range events {
		kit.Publish(consumerstest.Event("publish", "n"))
	}
	processed := func(key string) string {
		return consumerstest.Metric(t, monitor, `consumer_processed_total{consumer="notify-`+key+`"}`)
	}
	bridgetest.Eventually(t, "the good one has all", func() bool { return len(good.ids()) == events })
	bridgetest.Eventually(t, "so has the endless one", func() bool { return processed("endless") == fmt.Sprint(events) })
	bridgetest.Eventually(t, "the others failed", func() bool {
		return strings.Contains(log.String(), "consumer=notify-redirect") && strings.Contains(log.String(), "consumer=notify-headers")
	})
	if n := len(elsewhere.all()); n > 0 || processed("redirect") != "0" || processed("headers") != "0" {
		t.Errorf("%d followed, %s and %s done", n, processed("redirect"), processed("headers"))
	}
}

// Over restarts a delivery keeps its place in the schedule: the try that is due comes, and none before.
func TestRestartInTheSchedule(t *testing.T) {
	t.Parallel()
	kit := consumerstest.StartFor(t, provision.NotifyPermissions())
	r := startReceiver(t, func(request) int { return http.StatusServiceUnavailable })
	kit.Put(subjects.BucketSubscriptions, "a", notify.Document{Subjects: []string{"stream.>"}, URL: r.URL, Secrets: []string{notify.NewSecret()}})
	_, _, stop := run(t, kit, "a")
	kit.Publish(consumerstest.Event("publish", "n"))
	bridgetest.Eventually(t, "the first try has failed", func() bool { return len(r.all()) == 1 })
	stop()
	stored := kit.Stored(subjects.StreamDeliveries, "delivery.a")[0].Time
	_, _, stop = run(t, kit, "a")
	bridgetest.Eventually(t, "the second try has failed", func() bool { return len(r.all()) == 2 })
	if after := r.all()[1].at.Sub(stored); after < 5*time.Second {
		t.Errorf("the second try came after %v, want 5 s", after)
	}
	stop()
	run(t, kit, "a")
	kit.Publish(consumerstest.Event("publish", "m")) // its try says that the consumer works
	bridgetest.Eventually(t, "the other one is tried", func() bool { return r.ids()["kit-2_a"] > 0 })
	if n := r.ids()["kit-1_a"]; n != 2 {
		t.Errorf("%d tries after the restart, want 2 for five minutes", n)
	}
	list, err := notify.NewBook(kit.JS).Deliveries(t.Context(), "a")
	if err != nil || len(list) != 2 || list[0].ID != "kit-1" || !list[0].Since.Equal(stored) {
		t.Fatalf("%+v, %v", list, err)
	}
	if in, want := list[0].NextTry.Sub(stored), 5*time.Minute+5*time.Second; in > want || in <= want-time.Second {
		t.Errorf("the third try is listed for %v after the begin, want %v", in, want)
	}
}

// A subscription is removed while its receiver hangs, and another one is made: the instance that waits for
// the receiver serves it as the other one does, and nothing of it is deleted.
func TestRemovedWhileItsReceiverHangs(t *testing.T) {
	t.Parallel()
	kit := consumerstest.StartFor(t, provision.NotifyPermissions())
	release := make(chan struct{})
	hanging := startReceiver(t, func(request) int { <-release; return http.StatusOK })
	defer close(release)
	young := startReceiver(t, func(one request) int {
		if one.header.Get("webhook-id") == "early_young" {
			return http.StatusServiceUnavailable // it waits for its next try
		}
		return http.StatusOK
	})
	kit.Put(subjects.BucketSubscriptions, "old", notify.Document{Subjects: []string{"stream.>"}, URL: hanging.URL, Secrets: []string{notify.NewSecret()}})
	one, _, _ := run(t, kit, "old")
	two, _, _ := run(t, kit, "old")
	serves := func(m *consumers.Monitor, key string) bool {
		return slices.ContainsFunc(m.Checks(), func(c consumers.Check) bool { return c.Name == "notify-"+key && c.OK })
	}
	bridgetest.Eventually(t, "both serve it", func() bool { return serves(one, "old") && serves(two, "old") })
	kit.Publish(consumerstest.Event("publish", "n"))
	bridgetest.Eventually(t, "the receiver hangs", func() bool { return len(hanging.all()) > 0 })
	book := notify.NewBook(kit.JS)
	if err := book.Remove(t.Context(), "old"); err != nil {
		t.Fatal(err)
	}
	bridgetest.Eventually(t, "its consumer is deleted", func() bool {
		_, err := kit.JS.Consumer(t.Context(), subjects.StreamDeliveries, "notify-old")
		return errors.Is(err, jetstream.ErrConsumerNotFound)
	})
	if _, err := book.Subscribe(t.Context(), "young", notify.Document{Subjects: []string{"stream.>"}, URL: young.URL}, false); err != nil {
		t.Fatal(err)
	}
	kit.WaitConsumer(subjects.StreamDeliveries, "notify-young")
	kit.PublishRaw("delivery.young", nats.Header{
		subjects.HeaderID: {"early"}, "delivery-type": {"stream.publish"}, "delivery-time": {time.Now().Format(time.RFC3339Nano)},
	}, []byte(`{}`))
	bridgetest.Eventually(t, "it is tried", func() bool { return len(young.ids()) > 0 })
	bridgetest.Eventually(t, "both serve the young one", func() bool { return serves(one, "young") && serves(two, "young") })
	want := map[string]bool{}
	for range 20 {
		want[kit.Publish(consumerstest.Event("publish", "n"))[0].ID+"_young"] = true
	}
	bridgetest.Eventually(t, "all is delivered, and one waits", func() bool { return len(young.ids()) == 1+len(want) && waiting(t, kit) == 1 })
	for id := range want {
		if young.ids()[id] != 1 {
			t.Errorf("%s is not delivered once: %v", id, young.ids())
		}
	}
}
