package sessions_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
	"bintubridge/consumers/sessions"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	consumerstest.ServeIfAsked(func(ctx context.Context, js jetstream.JetStream) error {
		cfg := config
		if os.Getenv("SESSIONS_TEST_LASTING") != "" {
			cfg.Timeout, cfg.Grace = 0, time.Hour
		}
		if os.Getenv("SESSIONS_TEST_LENIENT") != "" {
			cfg = lenient
		}
		if os.Getenv("SESSIONS_TEST_LEASE") != "" {
			cfg.Lease = time.Minute
		}
		return sessions.Run(ctx, js, cfg, consumers.NewMonitor(), slog.New(slog.DiscardHandler))
	})
	goleak.VerifyTestMain(m)
}

var config = sessions.Config{Timeout: 2 * time.Second, Grace: time.Second, Lease: time.Second}

// lenient loses what is silent, and not what comes late because the machine stood still.
var lenient = sessions.Config{Timeout: 10 * time.Second, Grace: time.Second, Lease: time.Second}

// patient loses nothing that a test does not end.
var patient = sessions.Config{Timeout: time.Minute, Lease: time.Second}

func run(kit *consumerstest.Kit, cfg sessions.Config) (monitor *consumers.Monitor, stop func()) {
	monitor = consumers.NewMonitor()
	js := kit.JetStream()
	return monitor, kit.Go(func(ctx context.Context) error {
		return sessions.Run(ctx, js, cfg, monitor, slog.New(slog.DiscardHandler))
	})
}

// event is one of a connection: nobody comes back from the address of another.
func event(call, name, clientID string) subjects.Event {
	e := consumerstest.Event(call, name)
	e.Addr, e.ClientID = "192.0.2."+clientID, clientID
	return e
}

// told returns what SESSIONS holds, subject and session.
func told(t *testing.T, kit *consumerstest.Kit) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, msg := range kit.Stored(subjects.StreamSessions, "session.>") {
		session, err := subjects.DecodeSession(msg.Data)
		if err != nil || session.ID != msg.Header.Get(subjects.HeaderMsgID) || "session."+session.ID[strings.LastIndexByte(session.ID, '-')+1:] != msg.Subject {
			t.Errorf("%s: %+v, %v", msg.Subject, session, err)
		}
		all[session.ID]++
	}
	return all
}

func live(t *testing.T, kit *consumerstest.Kit) map[string]sessions.Live {
	t.Helper()
	kv, err := kit.JS.KeyValue(t.Context(), subjects.BucketLive)
	if err != nil {
		t.Fatal(err)
	}
	lister, err := kv.ListKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]sessions.Live{}
	for key := range lister.Keys() {
		entry, err := kv.Get(t.Context(), key)
		if err != nil {
			continue // deleted meanwhile
		}
		var value sessions.Live
		_ = json.Unmarshal(entry.Value(), &value) // the zero value is no entry that a test expects
		all[key] = value
	}
	return all
}

func TestSessionsAndLive(t *testing.T) {
	kit := consumerstest.StartFor(t, provision.SessionsPermissions())
	monitor, _ := run(kit, patient)
	kit.Publish(event("publish", "lobby/1", "1"), event("play", "lobby/1", "2"), event("play", "lobby/1", "3"), event("play_done", "lobby/1", "2"))
	const key = "lobby=2F1.192=2E0=2E2=2E1.1"
	bridgetest.Eventually(t, "it is live with a viewer", func() bool { return live(t, kit)[key].Viewers == 1 })
	if l := live(t, kit)[key]; l.Name != "lobby/1" || l.App != "live" || l.Addr != "192.0.2.1" || l.ClientID != "1" || l.Since.IsZero() ||
		l.LastSeen.IsZero() || l.Rule != "test/all" || l.Session != "kit-1" || sessions.LiveKey("lobby/1", "192.0.2.1", "1") != key {
		t.Errorf("live is %+v", l)
	}
	bridgetest.Eventually(t, "it is ready", func() bool { c := monitor.Checks(); return len(c) == 1 && c[0].OK })
	kit.Publish(event("publish_done", "lobby/1", "1"), event("play_done", "lobby/1", "3"))
	bridgetest.Eventually(t, "nobody is live", func() bool { return len(live(t, kit)) == 0 })
	want := map[string]int{"kit-1-started": 1, "kit-2-started": 1, "kit-2-ended": 1, "kit-3-started": 1, "kit-1-ended": 1, "kit-3-ended": 1}
	bridgetest.Eventually(t, "all is told", func() bool { return maps.Equal(told(t, kit), want) })
}

func TestMalformedEventIsDead(t *testing.T) {
	kit := consumerstest.StartFor(t, provision.SessionsPermissions())
	run(kit, patient)
	kit.PublishRaw("stream.publish", nil, []byte("{"))
	kit.Publish(event("publish", "lobby", "1"))
	bridgetest.Eventually(t, "the next one is told", func() bool { return told(t, kit)["kit-1-started"] == 1 })
	if dead := kit.Dead(sessions.Name); len(dead) != 1 || !strings.Contains(dead[0].Header.Get(subjects.HeaderDeadReason), "malformed") {
		t.Errorf("dead %v", dead)
	}
}

// A second instance stands by, and goes on where the first one ended: it knows who was live.
func TestStandby(t *testing.T) {
	kit := consumerstest.StartFor(t, provision.SessionsPermissions())
	first, stop := run(kit, patient)
	kit.Publish(event("publish", "lobby", "1"))
	bridgetest.Eventually(t, "the first is active", func() bool { return told(t, kit)["kit-1-started"] == 1 && first.Checks()[0].Detail == "" })
	second, _ := run(kit, patient)
	bridgetest.Eventually(t, "the second stands by", func() bool {
		c := second.Checks()
		return len(c) == 1 && c[0].OK && strings.Contains(c[0].Detail, "stands by")
	})
	stop()
	kit.Publish(event("publish_done", "lobby", "1"))
	bridgetest.Eventually(t, "the second has told the end", func() bool { return told(t, kit)["kit-1-ended"] == 1 })
	if got := told(t, kit); len(got) != 2 {
		t.Errorf("told %v", got)
	}
}

// Of two that both believe to be active, the stream lets one tell: what another told in between is
// not told again.
func TestFenced(t *testing.T) {
	kit := consumerstest.StartFor(t, provision.SessionsPermissions())
	run(kit, patient)
	kit.Publish(event("publish", "a", "1"))
	bridgetest.Eventually(t, "it is told", func() bool { return told(t, kit)["kit-1-started"] == 1 })
	kit.PublishSession(subjects.Session{ID: "kit-2-started", Session: "kit-2"}) // another's
	kit.Publish(event("publish", "b", "2"), event("publish", "c", "3"))
	bridgetest.Eventually(t, "the rest is told", func() bool { return told(t, kit)["kit-3-started"] == 1 })
	if got := told(t, kit); len(got) != 3 || got["kit-2-started"] != 1 {
		t.Errorf("told %v", got)
	}
}

// What lies in the bucket and is not live is swept away.
func TestStaleLiveIsSwept(t *testing.T) {
	kit := consumerstest.StartFor(t, provision.SessionsPermissions())
	for _, value := range []string{`{"name":"gone"}`, "{"} {
		kit.Put(subjects.BucketLive, fmt.Sprint("gone.x.", len(value)), []byte(value))
	}
	run(kit, patient)
	kit.Publish(event("publish", "lobby", "1"))
	bridgetest.Eventually(t, "only the live one is there", func() bool {
		l := live(t, kit)
		return len(l) == 1 && slices.Collect(maps.Values(l))[0].Name == "lobby"
	})
}

func TestSilenceIsLost(t *testing.T) {
	kit := consumerstest.StartFor(t, provision.SessionsPermissions())
	run(kit, config)
	kit.Publish(event("publish", "lobby", "1"), event("play", "lobby", "2"))
	want := map[string]int{"kit-1-started": 1, "kit-2-started": 1, "kit-1-lost": 1, "kit-2-lost": 1}
	bridgetest.Eventually(t, "both are lost", func() bool { return maps.Equal(told(t, kit), want) })
	bridgetest.Eventually(t, "nobody is live", func() bool { return len(live(t, kit)) == 0 })
}

// A process that stands still for longer than a session may be silent has not heard what waits for it.
func TestStandingStillLosesNothing(t *testing.T) {
	t.Parallel()
	kit := consumerstest.StartFor(t, provision.SessionsPermissions())
	process := kit.StartProcess("SESSIONS_TEST_LENIENT=yes", "SESSIONS_TEST_LEASE=long")
	kit.Publish(event("publish", "lobby", "1"))
	bridgetest.Eventually(t, "it is live", func() bool { return told(t, kit)["kit-1-started"] == 1 })
	process.Pause()
	for range 5 {
		time.Sleep(lenient.Timeout / 4)
		kit.Publish(event("update_publish", "lobby", "1"))
	}
	process.Resume()
	kit.Publish(event("publish_done", "lobby", "1"))
	bridgetest.Eventually(t, "it has ended", func() bool { return len(told(t, kit)) > 1 })
	if got := told(t, kit); got["kit-1-ended"] != 1 {
		t.Errorf("told %v", got)
	}
}

// A loss is no event. Who takes over knows of it all the same, and that it came before what was
// heard of the session later.
func TestLossIsRepeated(t *testing.T) {
	kit := consumerstest.StartFor(t, provision.SessionsPermissions())
	kit.ForgetIDs(subjects.StreamSessions)
	process := kit.StartProcess()
	kit.Publish(event("publish", "lobby", "1"))
	bridgetest.Eventually(t, "it is lost", func() bool { return told(t, kit)["kit-1-lost"] == 1 })
	process.Kill()
	kit.Publish(event("update_publish", "lobby", "1"), event("publish_done", "lobby", "1"))
	run(kit, config)
	bridgetest.Eventually(t, "what was alive after all has ended", func() bool { return told(t, kit)["kit-2-ended"] == 1 })
	want := map[string]int{"kit-1-started": 1, "kit-1-lost": 1, "kit-2-started": 1, "kit-2-ended": 1}
	if got := told(t, kit); !maps.Equal(got, want) {
		t.Errorf("told %v", got)
	}
}

// Instances are killed again and again while sessions come and go, end, and are lost: in the end
// each was told once, as if nothing had happened.
func TestKilled(t *testing.T) {
	kit := consumerstest.StartFor(t, provision.SessionsPermissions())
	kit.ForgetIDs(subjects.StreamSessions)
	const rounds, each = 4, 40
	want := map[string]int{}
	for round := range rounds {
		process := kit.StartProcess("SESSIONS_TEST_LENIENT=yes")
		var last string
		for i := range each {
			name, client := fmt.Sprint("n", i%7), fmt.Sprint(round*each+i)
			for _, e := range kit.Publish(event("publish", name, client)) {
				want[e.ID+"-started"] = 1
				last = e.ID
			}
			switch i % 3 {
			case 0:
				kit.Publish(event("publish_done", name, client))
				want[last+"-ended"] = 1
			default:
				want[last+"-lost"] = 1
			}
		}
		// Killed at some point: as soon as some, or all but the lost ones, are told.
		some := round * each / 2
		bridgetest.Eventually(t, "some are told", func() bool { return len(told(t, kit)) > some })
		process.Kill()
	}
	run(kit, lenient)
	bridgetest.Eventually(t, "all is told", func() bool { return len(told(t, kit)) >= len(want) })
	if got := told(t, kit); !maps.Equal(got, want) {
		for id := range want {
			if got[id] != 1 {
				t.Errorf("%s was told %d times", id, got[id])
			}
		}
		for id := range got {
			if want[id] == 0 {
				t.Errorf("%s was told", id)
			}
		}
	}
	bridgetest.Eventually(t, "nobody is live", func() bool { return len(live(t, kit)) == 0 })
}
