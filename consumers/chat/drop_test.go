package chat_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/chat"
	"bintubridge/consumers/consumerstest"
	"bintubridge/consumers/sessions"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

// air is a stage with sessions at work, and events that are seconds after each other.
type air struct {
	stage
	begin time.Time
}

func (a air) event(second int, call, client, effect string) {
	e := consumerstest.Event(call, "n")
	e.ClientID, e.ReceivedAt = client, a.begin.Add(time.Duration(second)*time.Second)
	if effect != "" {
		e.Decision = &subjects.Decision{Effect: effect}
	}
	a.Publish(e)
}

// reconnects waits until KV live says that the stream has come back that often, -1 for away.
func (a air) reconnects(want int) {
	a.t.Helper()
	bridgetest.Eventually(a.t, fmt.Sprint("it has come back so often: ", want), func() bool {
		kv, err := a.JS.KeyValue(a.t.Context(), subjects.BucketLive)
		if err != nil {
			return false
		}
		keys, err := kv.ListKeys(a.t.Context())
		if err != nil {
			return false
		}
		have := -1
		for key := range keys.Keys() {
			var l sessions.Live
			if entry, err := kv.Get(a.t.Context(), key); err == nil && json.Unmarshal(entry.Value(), &l) == nil {
				have = l.Reconnects
			}
		}
		return have == want
	})
}

// A stream as sessions tells it: a viewer comes, the encoder drops and is back within the grace period
// while chat is away, flaps, and ends.
func TestBackAfterADrop(t *testing.T) {
	t.Parallel()
	kit := consumerstest.StartFor(t, provision.ChatPermissions())
	a := air{stage{kit, t}, time.Now().UTC().Add(-2 * time.Minute).Truncate(time.Second)}
	js := kit.NATS.JetStream() // of an administrator
	kit.Go(func(ctx context.Context) error {
		cfg := sessions.Config{Timeout: time.Hour, Grace: time.Hour, Lease: time.Minute}
		return sessions.Run(ctx, js, cfg, consumers.NewMonitor(), slog.New(slog.DiscardHandler))
	})
	s := startServer(t)
	a.room("red", s, chat.Document{Names: []string{"*"}, Milestones: []int{1}})
	var log strings.Builder
	stop := a.run(&log, "red")
	a.event(0, "publish", "1", "allow")
	a.expect(s, "/red n is live")
	a.event(30, "play", "9", "allow")
	a.expect(s, "/red n is live", "/red n has 1 viewers")
	a.event(60, "publish_done", "1", "")
	a.reconnects(-1)
	stop()
	a.event(66, "publish", "2", "allow")
	a.reconnects(1)
	a.run(&log, "red")
	a.expect(s, "/red n is live", "/red n has 1 viewers", "/red n is back after a drop")
	for i := range 5 {
		a.event(70+2*i, "publish_done", fmt.Sprint(2+i), "")
		a.event(71+2*i, "publish", fmt.Sprint(3+i), "allow")
	}
	a.reconnects(6)
	a.event(100, "update_publish", "7", "deny") // it is cut: there is no grace
	a.event(120, "publish_done", "7", "")
	a.expect(s, "/red n is live", "/red n has 1 viewers", "/red n is back after a drop", "/red n ended after 2m0s, with up to 1 viewers")
}
