package sessions_test

import (
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
