package sessions_test

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers/consumerstest"
	"bintubridge/consumers/sessions"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

// What cannot be read is set aside, told and counted; an event of a megabyte is a session as any other,
// with its fields, and one that leaves no room for what a session has besides is told without them.
func TestBadEvents(t *testing.T) {
	kit := consumerstest.StartFor(t, provision.SessionsPermissions())
	monitor, _ := run(kit, patient)
	bad := kit.PublishBad("stream.publish")
	big := event("publish", "big", "1")
	big.Custom.Add("x", consumerstest.Large)
	kit.Publish(big)
	big.ID, big.Name, big.ClientID = "huge", "huge", "3"
	big.Custom.Add("y", strings.Repeat("y", 1<<20-len(big.AppendJSON(nil))-len(`,"y":""`)))
	kit.PublishRaw("stream.publish", nil, big.AppendJSON(nil))
	kit.Publish(event("publish", "n", "2"))
	bridgetest.Eventually(t, "all are told", func() bool {
		all := told(t, kit)
		return all["kit-1-started"] == 1 && all["huge-started"] == 1 && all["kit-2-started"] == 1
	})
	sizes := map[bool]int{} // by whether the fields are there
	for _, m := range kit.Stored(subjects.StreamSessions, "session.started") {
		sizes[strings.Contains(string(m.Data), consumerstest.Large)]++
	}
	if sizes[true] != 1 || sizes[false] != 2 {
		t.Errorf("%d sessions have the large fields, %d not", sizes[true], sizes[false])
	}
	if dead := kit.Dead(sessions.Name); len(dead) != bad {
		t.Errorf("%d letters of %d", len(dead), bad)
	}
	// An instance that lost its lease, as on a machine that stood still, goes through them again.
	n, err := strconv.Atoi(consumerstest.Metric(t, monitor, `consumer_dead_total{consumer="sessions"}`))
	if err != nil || n == 0 || n%bad != 0 {
		t.Errorf("%d of %d are counted, %v", n, bad, err)
	}
}

// What no sender sends would make a session that SESSIONS never takes, in the header or as a whole: it is set
// aside, once, and those around it are sessions from their begin to their end.
func TestTextsWithoutBound(t *testing.T) {
	kit := consumerstest.StartFor(t, provision.SessionsPermissions())
	monitor, _ := run(kit, patient)
	kit.Publish(event("publish", "before", "1"))
	bad := 0
	put := func(call string, change func(e *subjects.Event)) {
		bad++
		e := event(call, "bad", "9")
		e.ID = fmt.Sprint("bad-", bad)
		change(&e)
		kit.PublishRaw("stream."+call, nil, e.AppendJSON(nil))
	}
	put("publish", func(e *subjects.Event) { e.Name = strings.Repeat("\u00e9", 10890) })
	put("publish", func(e *subjects.Event) { e.Name = strings.Repeat("\x01", 64_000) })
	put("play", func(e *subjects.Event) { e.Name = strings.Repeat("n", 1_000_000) })
	put("play_done", func(e *subjects.Event) { e.Name = strings.Repeat("n", 1_000_000) })
	put("publish", func(e *subjects.Event) { e.ID = strings.Repeat("i", 64<<10) })
	long := strings.Repeat("x", 6142)
	put("publish", func(e *subjects.Event) { e.App = long })
	put("publish", func(e *subjects.Event) { e.Addr = long })
	put("publish", func(e *subjects.Event) { e.ClientID = long })
	put("publish", func(e *subjects.Event) { e.Bridge = long })
	put("publish", func(e *subjects.Event) { e.Decision.Rule = long })
	// A name as long as any can be, and all of it broken.
	longest := event("publish", strings.Repeat("\xff", 2047), "3")
	longest.ID, longest.App, longest.Addr, longest.ClientID = "longest", longest.Name, longest.Name, longest.Name
	kit.PublishRaw("stream.publish", nil, longest.AppendJSON(nil))
	kit.Publish(event("publish", "behind", "2"), event("publish_done", "before", "1"), event("publish_done", "behind", "2"))
	want := map[string]int{"kit-1-started": 1, "kit-1-ended": 1, "kit-2-started": 1, "kit-2-ended": 1, "longest-started": 1}
	bridgetest.Eventually(t, "the others begin and end", func() bool { return maps.Equal(told(t, kit), want) })
	bridgetest.Eventually(t, "the longest is live", func() bool { return len(live(t, kit)) == 1 })
	for _, m := range kit.Stored(subjects.StreamSessions, "session.started") {
		if about := m.Header.Get(subjects.HeaderSubject); (about == "") != (m.Header.Get(subjects.HeaderID) == "longest-started") {
			t.Errorf("a header of %d bytes about %s", len(about), m.Header.Get(subjects.HeaderID))
		}
	}
	dead := kit.Dead(sessions.Name)
	if len(dead) != bad {
		t.Errorf("%d letters of %d", len(dead), bad)
	}
	for _, letter := range dead {
		if reason := letter.Header.Get(subjects.HeaderDeadReason); !strings.HasPrefix(reason, "malformed: ") || !strings.HasSuffix(reason, " bytes, want 6141 at most") {
			t.Errorf("a letter's reason is %q", reason)
		}
	}
	bridgetest.Eventually(t, "it is ready", func() bool { c := monitor.Checks(); return len(c) == 1 && c[0].OK })
}

// A stream that takes only small messages, as an operator may set it, is told of sessions without what
// their clients added.
func TestSmallMessagesOnly(t *testing.T) {
	kit := consumerstest.StartFor(t, provision.SessionsPermissions())
	s, err := kit.JS.Stream(t.Context(), subjects.StreamSessions)
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	cfg.MaxMsgSize = 16 << 10
	if _, err := kit.JS.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	run(kit, patient)
	e := event("publish", "n", "1")
	e.Custom.Add("x", strings.Repeat("x", 32<<10))
	kit.Publish(e, event("publish", "m", "2"))
	bridgetest.Eventually(t, "both are told", func() bool { return len(told(t, kit)) == 2 })
}
