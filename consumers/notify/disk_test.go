package notify_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
	"bintubridge/consumers/notify"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

// While DELIVERIES is full events wait in their own stream, and readiness and log say why; once there is room
// each is delivered, and none is set aside.
func TestNoRoomForDeliveries(t *testing.T) {
	t.Parallel()
	kit := consumerstest.StartFor(t, provision.NotifyPermissions())
	r := startReceiver(t, nil)
	kit.Put(subjects.BucketSubscriptions, "a", notify.Document{Subjects: []string{"stream.>"}, URL: r.URL, Secrets: []string{notify.NewSecret()}})
	monitor, log, _ := run(t, kit, "a")
	makeRoom := kit.Fill(subjects.StreamDeliveries)
	want := map[string]int{}
	for i := range 20 {
		want[kit.Publish(consumerstest.Event("publish", fmt.Sprint("n", i)))[0].ID+"_a"] = 1
	}
	bridgetest.Eventually(t, "it is degraded, and says why", func() bool {
		return strings.Contains(log.String(), "maximum bytes exceeded") && slices.ContainsFunc(monitor.Checks(), func(c consumers.Check) bool {
			return c.Name == notify.Name && c.Degraded && strings.Contains(c.Detail, "maximum bytes exceeded")
		})
	})
	makeRoom()
	bridgetest.Eventually(t, "all is delivered", func() bool { return len(r.ids()) == len(want) && waiting(t, kit) == 0 })
	if got := r.ids(); !maps.Equal(got, want) || len(kit.Dead(notify.Name)) > 0 {
		t.Errorf("delivered %v, %d set aside", got, len(kit.Dead(notify.Name)))
	}
}
