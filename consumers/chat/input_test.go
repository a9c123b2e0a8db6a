package chat_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/chat"
	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

// watched runs chat with a log and a monitor that the test looks at.
func (k stage) watched(rooms ...string) (log *consumerstest.Log, monitor *consumers.Monitor, stop func()) {
	log, monitor = &consumerstest.Log{}, consumers.NewMonitor()
	js := k.JetStream()
	stop = k.Go(func(ctx context.Context) error {
		return chat.Run(ctx, js, config, courier, monitor, log.Logger())
	})
	for _, room := range rooms {
		k.WaitConsumer(subjects.StreamSessions, "chat-"+room)
	}
	return log, monitor, stop
}

// A room whose document breaks is served as before, over a restart too; that shows, and ends when it is
// mended.
func TestRoomThatBreaks(t *testing.T) {
	t.Parallel()
	k := stage{consumerstest.StartFor(t, provision.ChatPermissions()), t}
	s := startServer(t)
	k.room("red", s, chat.Document{Names: []string{"*"}})
	log, monitor, stop := k.watched("red")
	begin := func(name string) {
		t.Helper()
		k.live(name, name+"-1", 0)
		k.session("publish", name, name+"-1", "started")
	}
	shown := func(want string, m *consumers.Monitor) func() bool {
		return func() bool {
			for _, c := range m.Checks() {
				if c.Name == "chat" {
					return c.OK && c.Degraded == (want != "") && strings.HasPrefix(c.Detail, want) &&
						consumerstest.Metric(t, m, `consumer_refused_documents{consumer="chat"}`) == fmt.Sprint(len(want)/len("1 chat rooms are not understood: red"))
				}
			}
			return false
		}
	}
	begin("a")
	k.expect(s, "/red a is live")
	k.Put(subjects.BucketChatRooms, "red", []byte(`{"names":["*"],"url":"generic+http://s3cret/","templates":{"live":"{{.Nope}}"}}`))
	bridgetest.Eventually(t, "it shows", shown("1 chat rooms are not understood: red", monitor))
	begin("b")
	k.expect(s, "/red a is live", "/red b is live")
	stop()
	if !strings.Contains(log.String(), `key=red revision=2 in_force=1`) || strings.Contains(log.String(), "s3cret") {
		t.Errorf("log:\n%s", log)
	}
	_, monitor, _ = k.watched("red")
	bridgetest.Eventually(t, "it shows again", shown("1 chat rooms are not understood: red", monitor))
	begin("c")
	k.expect(s, "/red a is live", "/red b is live", "/red c is live")
	k.room("red", s, chat.Document{Names: []string{"*"}, Templates: chat.Templates{Live: "hello {{.Name}}"}})
	bridgetest.Eventually(t, "it is mended", shown("", monitor))
	begin("d")
	k.expect(s, "/red a is live", "/red b is live", "/red c is live", "/red hello d")
}

// What cannot be read is set aside, for each room, and told; what is large is not.
func TestBadSessions(t *testing.T) {
	t.Parallel()
	k := stage{consumerstest.StartFor(t, provision.ChatPermissions()), t}
	s := startServer(t)
	k.room("red", s, chat.Document{Names: []string{"*"}})
	k.live("big", "b-1", 0)
	k.live("n", "n-1", 0)
	log, monitor, _ := k.watched("red")
	bad := k.PublishBad("session.started")
	big := subjects.Session{ID: "b-1-started", Session: "b-1", Kind: "publish", Name: "big"}
	big.Custom.Add("x", consumerstest.Large)
	k.PublishSession(big)
	k.session("publish", "n", "n-1", "started")
	k.expect(s, "/red big is live", "/red n is live")
	if dead := k.Dead("chat-red"); len(dead) != bad {
		t.Errorf("%d letters of %d", len(dead), bad)
	}
	if n := consumerstest.Metric(t, monitor, `consumer_dead_total{consumer="chat-red"}`); n != fmt.Sprint(bad) {
		t.Errorf("%s are counted", n)
	}
	if n := strings.Count(log.String(), "a message is dead"); n != bad {
		t.Errorf("%d are told of:\n%s", n, log)
	}
}
