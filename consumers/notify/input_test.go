package notify_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
	"bintubridge/consumers/notify"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

// refused waits until readiness and metrics show what is not understood, "" for nothing.
func refused(t *testing.T, m *consumers.Monitor, want string, n int) {
	t.Helper()
	bridgetest.Eventually(t, fmt.Sprintf("it shows %q", want), func() bool {
		for _, c := range m.Checks() {
			if c.Name == "notify_subscriptions" {
				return c.OK && c.Degraded == (n > 0) && c.Detail == want &&
					consumerstest.Metric(t, m, `consumer_refused_documents{consumer="notify_subscriptions"}`) == fmt.Sprint(n)
			}
		}
		return false
	})
}

// A subscription whose document breaks is served as before, over a restart too; that shows, and ends when
// it is mended.
func TestSubscriptionThatBreaks(t *testing.T) {
	t.Parallel()
	kit := consumerstest.StartFor(t, provision.NotifyPermissions())
	r := startReceiver(t, nil)
	good := notify.Document{Subjects: []string{"stream.>"}, URL: r.URL, Secrets: []string{notify.NewSecret()}}
	kit.Put(subjects.BucketSubscriptions, "a", good)
	monitor, log, stop := run(t, kit, "a")
	refused(t, monitor, "", 0)
	want := map[string]int{}
	deliver := func() {
		t.Helper()
		want[kit.Publish(consumerstest.Event("publish", "n"))[0].ID+"_a"] = 1
		bridgetest.Eventually(t, "it is delivered", func() bool { return maps.Equal(r.ids(), want) })
	}
	deliver()
	kit.Put(subjects.BucketSubscriptions, "a", []byte(`{"subjects":["stream.>"],"url":"https://example.org/","secrets":["s3cret"]}`))
	refused(t, monitor, "1 subscriptions are not understood: a", 1)
	deliver()
	stop()
	if !strings.Contains(log.String(), "key=a revision=2 in_force=1") || strings.Contains(log.String(), "s3cret") {
		t.Errorf("log:\n%s", log)
	}
	monitor, _, _ = run(t, kit, "a")
	refused(t, monitor, "1 subscriptions are not understood: a", 1)
	deliver()
	kit.Put(subjects.BucketSubscriptions, "a", good)
	refused(t, monitor, "", 0)
	deliver()
}

// What cannot be read is set aside and told; an event of a megabyte is delivered, and one that leaves no
// room for the headers of a delivery, or for those of its dead letter, is set aside at once.
func TestBadEvents(t *testing.T) {
	t.Parallel()
	kit := consumerstest.StartFor(t, provision.NotifyPermissions())
	r := startReceiver(t, nil)
	kit.Put(subjects.BucketSubscriptions, "a", notify.Document{Subjects: []string{"stream.>"}, URL: r.URL, Secrets: []string{notify.NewSecret()}})
	monitor, log, _ := run(t, kit, "a")
	bad := kit.PublishBad("stream.publish")
	big := consumerstest.Event("publish", "big")
	big.Custom.Add("x", consumerstest.Large)
	kit.Publish(big)
	for _, huge := range []struct {
		id   string
		room int // that it leaves
	}{{"huge", 20}, {"large", 1000}} {
		e := big
		e.ID = huge.id
		missing := 1<<20 - huge.room - len(e.AppendJSON(nil))
		e.Custom = subjects.Fields{}
		e.Custom.Add("x", consumerstest.Large)
		e.Custom.Add("y", strings.Repeat("y", missing-len(`,"y":""`)))
		kit.PublishRaw("stream.publish", nil, e.AppendJSON(nil))
	}
	kit.Publish(consumerstest.Event("publish", "n"))
	kit.WaitAllAcked(subjects.StreamEvents, "notify")
	bridgetest.Eventually(t, "both are delivered", func() bool { return len(r.ids()) == 2 && waiting(t, kit) == 0 })
	if body := r.all()[0].body; !strings.Contains(body+r.all()[1].body, consumerstest.Large) {
		t.Errorf("%d bytes are delivered", len(body))
	}
	dead := kit.Dead("notify")
	reasons := map[bool]int{} // by whether it is the one of the large ones, which may overtake the others
	for _, letter := range dead {
		reasons[letter.Header.Get(subjects.HeaderDeadReason) == "too large to be delivered to subscription a"]++
	}
	if reasons[true] != 2 || reasons[false] != bad {
		t.Errorf("%d are set aside as too large, %d as bad", reasons[true], reasons[false])
	}
	if n := consumerstest.Metric(t, monitor, `consumer_dead_total{consumer="notify"}`); len(dead) != bad+2 || n != fmt.Sprint(bad+2) {
		t.Errorf("%d letters, %s are counted", len(dead), n)
	}
	if n := strings.Count(log.String(), "a message is dead"); n != bad || !strings.Contains(log.String(), "id=huge") || !strings.Contains(log.String(), "id=large") {
		t.Errorf("%d are told of:\n%s", n, log)
	}
}

// An event whose id no header holds is set aside at once: no receiver could be sent it.
func TestOddIDs(t *testing.T) {
	t.Parallel()
	kit := consumerstest.StartFor(t, provision.NotifyPermissions())
	r := startReceiver(t, nil)
	kit.Put(subjects.BucketSubscriptions, "a", notify.Document{Subjects: []string{"stream.>"}, URL: r.URL, Secrets: []string{notify.NewSecret()}})
	run(t, kit, "a")
	odd := []string{strings.Repeat("x", 70_000), "a\r\nX: y", " a", "a\x00", "ä"}
	for _, id := range odd {
		e := consumerstest.Event("publish", "n")
		e.ID = id
		kit.PublishRaw("stream.publish", nil, e.AppendJSON(nil))
	}
	want := map[string]int{kit.Publish(consumerstest.Event("publish", "n"))[0].ID + "_a": 1}
	kit.WaitAllAcked(subjects.StreamEvents, "notify")
	bridgetest.Eventually(t, "the other one is delivered", func() bool { return maps.Equal(r.ids(), want) && waiting(t, kit) == 0 })
	dead := kit.Dead("notify")
	if len(dead) != len(odd) {
		t.Errorf("%d letters, want %d", len(dead), len(odd))
	}
	for _, letter := range dead {
		if got := letter.Header.Get(subjects.HeaderDeadReason); got != "its id cannot be that of a webhook" {
			t.Errorf("set aside: %s", got)
		}
	}
}
