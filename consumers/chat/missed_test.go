package chat_test

import (
	"strings"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers/chat"
	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects/provision"
)

// A room that is down for the whole life of a session is told its end, and nothing of what did not settle.
func TestRoomIsDown(t *testing.T) {
	t.Parallel()
	k := stage{consumerstest.StartFor(t, provision.ChatPermissions()), t}
	s := startServer(t)
	s.down.Store(true)
	k.room("down", s, chat.Document{Names: []string{"*"}})
	log, monitor, _ := k.watched("down")
	k.live("n", "n-1", 0)
	k.session("publish", "n", "n-1", "started")
	bridgetest.Eventually(t, "it is tried again", func() bool { return s.tried.Load() > 1 })
	k.gone("n")
	k.session("publish", "n", "n-1", "ended")
	k.short("short", "s-1")
	bridgetest.Eventually(t, "what is gone is passed by", func() bool {
		return consumerstest.Metric(t, monitor, `consumer_processed_total{consumer="chat-down"}`) != "0"
	})
	if strings.Contains(log.String(), "it works again") {
		t.Errorf("nothing was sent:\n%s", log)
	}
	s.down.Store(false)
	k.live("m", "m-1", 0)
	k.session("publish", "m", "m-1", "started")
	k.expect(s, "/down n ended after 1h2m3s, with up to 42 viewers", "/down m is live")
}

// To wait until a session has settled is no failure.
func TestSettlingIsNoFailure(t *testing.T) {
	t.Parallel()
	k := stage{consumerstest.StartFor(t, provision.ChatPermissions()), t}
	s := startServer(t)
	k.room("red", s, chat.Document{Names: []string{"*"}})
	log, monitor, _ := k.watched("red")
	k.live("n", "n-1", 0)
	k.session("publish", "n", "n-1", "started")
	k.expect(s, "/red n is live")
	failed := consumerstest.Metric(t, monitor, `consumer_failed_total{consumer="chat-red"}`)
	if failed != "0" || strings.Contains(log.String(), "failed") {
		t.Errorf("%s failed:\n%s", failed, log)
	}
}
