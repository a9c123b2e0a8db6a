package sessions_test

import (
	"context"
	"maps"
	"strings"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
	"bintubridge/consumers/sessions"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

// While there is no room for what sessions writes, it is not ready and the log says why; once there is, all is
// told once, and KV live is right.
func TestNoRoom(t *testing.T) {
	for _, bucket := range []string{subjects.BucketLive, subjects.BucketSessionsState} {
		t.Run(bucket, func(t *testing.T) {
			t.Parallel()
			kit := consumerstest.StartFor(t, provision.SessionsPermissions())
			kit.ForgetIDs(subjects.StreamSessions)
			var log consumerstest.Log
			monitor, js := consumers.NewMonitor(), kit.JetStream()
			kit.Go(func(ctx context.Context) error { return sessions.Run(ctx, js, patient, monitor, log.Logger()) })
			kit.Publish(event("publish", "a", "1"), event("publish", "b", "2"))
			bridgetest.Eventually(t, "it works", func() bool { return len(live(t, kit)) == 2 && monitor.Checks()[0].OK })
			makeRoom := kit.Fill("KV_" + bucket)
			kit.Publish(event("publish_done", "a", "1"), event("publish", "c", "3"), event("play", "c", "4"))
			bridgetest.Eventually(t, "it is not ready, and says why", func() bool {
				c := monitor.Checks()
				return len(c) == 1 && !c[0].OK && strings.Contains(c[0].Detail, "maximum bytes exceeded") && strings.Contains(log.String(), "maximum bytes exceeded")
			})
			makeRoom()
			want := map[string]int{"kit-1-started": 1, "kit-2-started": 1, "kit-1-ended": 1, "kit-4-started": 1, "kit-5-started": 1}
			bridgetest.Eventually(t, "all is told", func() bool { return len(told(t, kit)) == len(want) })
			bridgetest.Eventually(t, "KV live is right", func() bool {
				l := live(t, kit)
				b, c := l[sessions.LiveKey("b", "192.0.2.2", "2")], l[sessions.LiveKey("c", "192.0.2.3", "3")]
				return len(l) == 2 && b.Session == "kit-2" && c.Session == "kit-4" && c.Viewers == 1 && monitor.Checks()[0].OK
			})
			if got := told(t, kit); !maps.Equal(got, want) {
				t.Errorf("told %v", got)
			}
		})
	}
}
