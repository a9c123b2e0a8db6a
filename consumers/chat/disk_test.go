package chat_test

import (
	"strings"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers/chat"
	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

// While chat's memory is full a room hears each thing once, and that it cannot be noted is told; then it goes on.
func TestMemoryIsFull(t *testing.T) {
	t.Parallel()
	k := stage{consumerstest.StartFor(t, provision.ChatPermissions()), t}
	s := startServer(t)
	k.room("red", s, chat.Document{Names: []string{"*"}})
	log, monitor, _ := k.watched("red")
	makeRoom := k.Fill("KV_" + subjects.BucketChatState)
	k.live("n", "n-1", 0)
	k.session("publish", "n", "n-1", "started")
	k.expect(s, "/red n is live")
	bridgetest.Eventually(t, "it is tried again", func() bool {
		n := consumerstest.Metric(t, monitor, `consumer_failed_total{consumer="chat-red"}`)
		return n != "" && n != "0" && n != "1"
	})
	if !strings.Contains(log.String(), "maximum bytes exceeded") {
		t.Errorf("log:\n%s", log)
	}
	makeRoom()
	k.gone("n")
	k.session("publish", "n", "n-1", "ended")
	k.expect(s, "/red n is live", "/red n ended after 1h2m3s, with up to 42 viewers")
}
