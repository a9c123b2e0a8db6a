package forward

import (
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// A message built in the memory of another one has nothing left of it.
func TestMessageBuiltAnew(t *testing.T) {
	record := func(name string) []byte {
		env := Envelope{
			Subject: []byte("stream." + name), Type: []byte("bintu." + name), Time: []byte("time " + name),
			Source: []byte("/bridge/" + name), About: []byte(name),
		}
		if strings.HasPrefix(name, "play") {
			env.TraceParent, env.TraceState = []byte("00-"+name), []byte("a="+name)
		}
		return append(env.AppendRecord(nil), `{"id":"","call":"`+name+`"}`...)
	}
	var reused message
	for i, name := range []string{"publish", "", "play", "play_done", "play_done", "publish"} {
		rec, id := record(name), "spool-"+strconv.Itoa(i)
		if err := reused.build(rec, id); err != nil {
			t.Fatal(err)
		}
		clear(rec) // it is only lent
		fresh, err := newMessage(record(name), id)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(&reused.Msg, fresh) {
			t.Errorf("%d: %v\nwant %v", i, reused.Msg, fresh)
		}
		reused.Reply = "_INBOX.of.a.batch" // as its publisher does
	}
}

// What nats.go counts of a message is never more than what makes an event large.
func TestHeaderRoom(t *testing.T) {
	env := Envelope{
		Subject: []byte("s"), Type: []byte("t"), Time: []byte("2"), Source: []byte("/"), About: []byte("a"),
		TraceParent: []byte("p"), TraceState: []byte("s"),
	}
	rec, id := append(env.AppendRecord(nil), `{"id":"","call":"x"}`...), strings.Repeat("i", 100)
	msg, err := newMessage(rec, id)
	if err != nil {
		t.Fatal(err)
	}
	wire := &nats.Msg{Subject: msg.Subject, Header: msg.Header, Data: msg.Data}
	if room := messageBound(rec, id); wire.Size() > room || wire.Size() < room-2*headerRoom {
		t.Errorf("%d bytes, %d bounded", wire.Size(), room)
	}
}
