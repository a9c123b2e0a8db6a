package chat_test

import (
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers/chat"
	"bintubridge/consumers/consumerstest"
)

// A room that is down for the whole life of a session is told its end, and nothing of what did not settle.
func TestRoomIsDown(t *testing.T) {
	t.Parallel()
	k := stage{consumerstest.Start(t), t}
	s := startServer(t)
	s.down.Store(true)
	k.room("down", s, chat.Document{Names: []string{"*"}})
	k.watched("down")
	k.live("n", "n-1", 0)
	k.session("publish", "n", "n-1", "started")
	bridgetest.Eventually(t, "it is tried", func() bool { return s.tried.Load() > 0 })
	k.gone("n")
	k.session("publish", "n", "n-1", "ended")
	k.short("short", "s-1")
	s.down.Store(false)
	k.live("m", "m-1", 0)
	k.session("publish", "m", "m-1", "started")
	k.expect(s, "/down n ended after 1h2m3s, with up to 42 viewers", "/down m is live")
}
