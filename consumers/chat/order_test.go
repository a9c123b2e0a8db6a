package chat_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers/chat"
	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

// A room whose server does not answer, and one that asks for patience, hold up no other, and a room is told
// in the order in which things happened.
func TestSlowRoomAndOrder(t *testing.T) {
	t.Parallel()
	k := stage{consumerstest.StartFor(t, provision.ChatPermissions()), t}
	s := startServer(t)
	asked := make(chan struct{}, 1000)
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // of no interest
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	t.Cleanup(silent.CloseClientConnections) // first: its requests end
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	t.Cleanup(busy.Close)
	k.Put(subjects.BucketChatRooms, "silent", chat.Document{Names: []string{"*"}, URL: "generic+" + silent.URL + "/?disabletls=yes"})
	k.Put(subjects.BucketChatRooms, "busy", chat.Document{Names: []string{"*"}, URL: "generic+" + busy.URL + "/?disabletls=yes"})
	k.room("red", s, chat.Document{Names: []string{"*"}})
	_, monitor, stop := k.watched("silent", "busy", "red")
	var want []string
	for i := range 30 {
		name := fmt.Sprint("n", i)
		k.live(name, name+"-1", 0)
		k.session("publish", name, name+"-1", "started")
		want = append(want, "/red "+name+" is live")
	}
	k.expect(s, want...)
	<-asked
	for _, room := range []string{"silent", "busy"} {
		bridgetest.Eventually(t, room+" is told nothing", func() bool {
			return consumerstest.Metric(t, monitor, `consumer_processed_total{consumer="chat-`+room+`"}`) == "0"
		})
	}
	silent.CloseClientConnections()
	stop()
}
