package chat_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/chat"
	"bintubridge/consumers/consumerstest"
	"bintubridge/consumers/outbound"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"

	"go.uber.org/goleak"
)

// courier goes anywhere: the rooms of these tests are on this machine.
var courier = outbound.NewCourier(outbound.Anywhere())

func TestMain(m *testing.M) {
	http.DefaultTransport = courier
	goleak.VerifyTestMain(m)
}

var config = chat.Config{Settle: 3 * time.Second, Quiet: time.Hour}

// server is a chat server with rooms by path.
type server struct {
	*httptest.Server
	mu   sync.Mutex
	got  []string
	busy int // first requests that are refused

	tried atomic.Int64 // requests to a room that is down
	down  atomic.Bool  // the room /down is
}

func startServer(t *testing.T) *server {
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // what is missing is not expected
		if r.URL.Path == "/down" && s.down.Load() {
			s.tried.Add(1)
			http.Error(w, "down", http.StatusInternalServerError)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.URL.Path == "/broken" {
			http.Error(w, r.URL.String(), http.StatusInternalServerError)
			return
		}
		if s.busy > 0 {
			s.busy--
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		s.got = append(s.got, r.URL.Path+" "+string(body))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

type stage struct {
	*consumerstest.Kit
	t *testing.T
}

func (k stage) room(key string, s *server, d chat.Document) {
	d.URL = "generic+" + s.URL + "/" + key + "?token=s3cret&disabletls=yes"
	k.Put(subjects.BucketChatRooms, key, d)
}

// run waits until the rooms are served.
func (k stage) run(l *strings.Builder, rooms ...string) (stop func()) {
	js := k.JetStream()
	stop = k.Go(func(ctx context.Context) error {
		return chat.Run(ctx, js, config, courier, consumers.NewMonitor(), slog.New(slog.NewTextHandler(l, nil)))
	})
	for _, room := range rooms {
		k.WaitConsumer(subjects.StreamSessions, "chat-"+room)
	}
	return stop
}

func (k stage) live(name, session string, viewers int) {
	k.Put(subjects.BucketLive, string(subjects.AppendToken(nil, name))+".x.1", map[string]any{"name": name, "session": session, "viewers": viewers})
}

func (k stage) gone(name string) {
	kv, err := k.JS.KeyValue(k.t.Context(), subjects.BucketLive)
	if err != nil {
		k.t.Fatal(err)
	}
	if err := kv.Delete(k.t.Context(), string(subjects.AppendToken(nil, name))+".x.1"); err != nil {
		k.t.Fatal(err)
	}
}

func (k stage) session(kind, name, session, what string) {
	s := subjects.Session{ID: session + "-" + what, Session: session, Kind: kind, Name: name}
	if what != "started" {
		s.DurationMS, s.PeakViewers, s.HowEnded = 3_723_400, 42, "done"
		s.EndedAt = time.Now()
	}
	k.PublishSession(s)
}

// short is a session that came and went before it settled.
func (k stage) short(name, session string) {
	k.session("publish", name, session, "started")
	k.PublishSession(subjects.Session{
		ID: session + "-ended", Session: session, Kind: "publish", Name: name, EndedAt: time.Now(), DurationMS: config.Settle.Milliseconds() - 1,
	})
}

func (k stage) expect(s *server, want ...string) {
	k.t.Helper()
	bridgetest.Eventually(k.t, strings.Join(want, ", "), func() bool { return len(s.all()) >= len(want) })
	if got := s.all(); !slices.Equal(got, want) {
		k.t.Fatalf("got  %q\nwant %q", got, want)
	}
}

// A stream's life in its room, word for word, over a restart and a 429; other rooms are not told.
func TestLife(t *testing.T) {
	t.Parallel()
	k := stage{consumerstest.StartFor(t, provision.ChatPermissions()), t}
	s := startServer(t)
	s.busy = 1
	k.room("red", s, chat.Document{Names: []string{"red-*"}, Milestones: []int{2, 5}})
	k.room("blue", s, chat.Document{Names: []string{"blue"}})
	var l strings.Builder
	stop := k.run(&l, "red", "blue")
	k.live("red-<@1>", "a-1", 0)
	k.session("publish", "red-<@1>", "a-1", "started")
	const name = "red-<\u200b@\u200b1>"
	k.expect(s, "/red "+name+" is live")
	stop()
	k.live("red-<@1>", "a-1", 3)
	k.run(&l, "red", "blue")
	k.session("play", "red-<@1>", "a-2", "started")
	k.session("play", "red-<@1>", "a-3", "started")
	k.expect(s, "/red "+name+" is live", "/red "+name+" has 2 viewers")
	k.gone("red-<@1>")
	k.session("publish", "red-<@1>", "a-1", "ended")
	k.expect(s, "/red "+name+" is live", "/red "+name+" has 2 viewers", "/red "+name+" ended after 1h2m3s, with up to 42 viewers")
}

// An encoder that flaps is told of once, and a session that did not last not at all. A room that is broken,
// and those that are not understood, harm no other.
func TestFlapping(t *testing.T) {
	t.Parallel()
	k := stage{consumerstest.StartFor(t, provision.ChatPermissions()), t}
	s := startServer(t)
	k.room("red", s, chat.Document{Names: []string{"*"}, Templates: chat.Templates{Ended: "bye {{.Name}}"}})
	k.room("broken", s, chat.Document{Names: []string{"*"}})
	for key, text := range map[string]string{
		"json": `{`, "field": `{"names":["*"],"url":"generic://s3cret","template":1}`, "url": `{"names":["*"],"url":"slack://s3cret"}`,
		"syntax": `{"names":["*"],"url":"generic://s3cret","templates":{"live":"{{"}}`, "value": `{"names":["*"],"url":"generic://s3cret","templates":{"live":"{{.Nope}}"}}`,
	} {
		k.Put(subjects.BucketChatRooms, key, []byte(text))
	}
	var l strings.Builder
	stop := k.run(&l, "red", "broken")
	k.live("n", "a-0", 0)
	k.session("publish", "n", "a-0", "started")
	k.expect(s, "/red n is live")
	for i := range 20 {
		if i == 19 {
			k.live("n", "a-"+string(rune('a'+i)), 0)
		}
		k.session("publish", "n", "a-"+string(rune('a'+i)), "started")
		last := "a-0"
		if i > 0 {
			last = "a-" + string(rune('a'+i-1))
		}
		k.session("publish", "n", last, "ended")
	}
	k.short("short", "b-1")
	k.expect(s, "/red n is live", "/red n is back after a drop")
	k.gone("n")
	k.session("publish", "n", "a-t", "ended")
	k.expect(s, "/red n is live", "/red n is back after a drop", "/red bye n")
	stop()
	for _, key := range []string{"json", "field", "url", "syntax", "value"} {
		if !strings.Contains(l.String(), "key="+key+" ") {
			t.Errorf("%s is not told of", key)
		}
	}
	if strings.Contains(l.String(), "s3cret") || !strings.Contains(l.String(), "chat-broken") {
		t.Errorf("log:\n%s", l.String())
	}
}
