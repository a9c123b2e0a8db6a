package main

import (
	"database/sql"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers/analytics"
	"bintubridge/consumers/chat"
	"bintubridge/consumers/consumerstest"
	"bintubridge/consumers/notify"
	"bintubridge/subjects"

	"github.com/nats-io/nats.go/jetstream"
)

// argsVariable makes this test binary the program, with these arguments.
const argsVariable = "CONSUMER_TEST_ARGS"

// mainIfAsked does not return when a test started this process as the program. It ends with the test.
func mainIfAsked() {
	args := os.Getenv(argsVariable)
	if args == "" {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	fmt.Println("runs") // StartProcess waits for it
	os.Args = append([]string{"consumer"}, strings.Fields(args)...)
	main()
	os.Exit(0)
}

// program starts cmd/consumer with these arguments.
func program(kit *consumerstest.Kit, args string, env ...string) *consumerstest.Process {
	return kit.StartProcess(append(env, argsVariable+"="+args, "NATS_URL="+kit.URL(), "CONSUMER_LOG_LEVEL=error")...)
}

// told is an HTTP server that counts what it is told. Once it was told enough it is deaf: a request is
// not heard and not answered.
type told struct {
	*httptest.Server
	unheard atomic.Int64
	mu      sync.Mutex
	got     map[string]int
	enough  int // 0: never
}

func startTold(t *testing.T, what func(*http.Request) string) *told {
	r := &told{got: map[string]int{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		text := what(req) // the body is read: only then the end of a client is noticed
		if !r.hear(text) {
			r.unheard.Add(1)
			<-req.Context().Done()
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *told) hear(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.enough > 0 && len(r.got) >= r.enough {
		return false
	}
	r.got[text]++
	return true
}

func (r *told) setEnough(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.enough = n
}

func (r *told) all() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.got)
}

const (
	rounds = 3
	each   = 300 // messages of a round
	some   = 6   // of them
)

// kill starts a program, and kills it while it waits for an answer. However late that is, there is work
// left: it is answered only some requests.
func (r *told) kill(t *testing.T, start func() *consumerstest.Process) {
	t.Helper()
	before := r.unheard.Load()
	r.setEnough(len(r.all()) + some)
	p := start()
	bridgetest.Eventually(t, "a request is on its way", func() bool { return r.unheard.Load() > before })
	p.Kill()
	r.setEnough(0)
}

// killed starts a program on the messages of one round after the other, kills it in the middle of each,
// and leaves the last one running.
func killed(t *testing.T, start func() *consumerstest.Process, load func(round int), kill func(*testing.T, func() *consumerstest.Process)) {
	t.Helper()
	start().Kill() // its durable consumers are there now
	for round := range rounds {
		load(round)
		kill(t, start)
	}
	start()
}

// Killed under load, again and again, notify has told every receiver of every event.
func TestNotifyIsKilled(t *testing.T) {
	t.Parallel()
	kit := consumerstest.Start(t)
	r := startTold(t, func(req *http.Request) string {
		_, _ = io.Copy(io.Discard, req.Body) // of no interest
		return req.Header.Get("webhook-id")
	})
	kit.Put(subjects.BucketSubscriptions, "a", notify.Document{Subjects: []string{"stream.>"}, URL: r.URL, Secrets: []string{notify.NewSecret()}})
	var want []string
	killed(t, func() *consumerstest.Process {
		p := program(kit, "notify", "CONSUMER_NOTIFY_ALLOW=127.0.0.0/8")
		kit.WaitConsumer(subjects.StreamEvents, notify.Name)
		kit.WaitConsumer(subjects.StreamDeliveries, notify.Name+"-a")
		return p
	}, func(int) {
		for i := range each {
			want = append(want, kit.Publish(consumerstest.Event("publish", fmt.Sprint("n", i)))[0].ID+"_a")
		}
	}, r.kill)
	bridgetest.Eventually(t, "all is delivered", func() bool { return len(r.all()) == len(want) })
	for _, id := range want {
		if r.all()[id] == 0 {
			t.Errorf("%s is lost", id)
		}
	}
}

// Killed under load, again and again, chat has told the room of every stream.
func TestChatIsKilled(t *testing.T) {
	t.Parallel()
	kit := consumerstest.Start(t)
	r := startTold(t, func(req *http.Request) string {
		body, _ := io.ReadAll(req.Body) // what is missing is not expected
		return string(body)
	})
	kit.Put(subjects.BucketChatRooms, "red", chat.Document{Names: []string{"*"}, URL: "generic+" + r.URL + "/?disabletls=yes"})
	killed(t, func() *consumerstest.Process {
		p := program(kit, "chat", "CONSUMER_CHAT_SETTLE=3s")
		kit.WaitConsumer(subjects.StreamSessions, chat.Name+"-red")
		return p
	}, func(round int) {
		for i := range each {
			name := fmt.Sprintf("n%d-%d", round, i)
			kit.Put(subjects.BucketLive, name+".x.1", map[string]any{"name": name, "session": name})
			kit.PublishSession(subjects.Session{ID: name + "-started", Session: name, Kind: subjects.KindPublish, Name: name})
		}
	}, r.kill)
	bridgetest.Eventually(t, "all is told", func() bool { return len(r.all()) == rounds*each })
	for round := range rounds {
		for i := range each {
			if text := fmt.Sprintf("n%d-%d is live", round, i); r.all()[text] == 0 {
				t.Errorf("%q is lost", text)
			}
		}
	}
}

// Killed under load, again and again, analytics has every event once.
func TestAnalyticsIsKilled(t *testing.T) {
	t.Parallel()
	kit := consumerstest.Start(t)
	for stream, name := range map[string]string{subjects.StreamEvents: analytics.Name, subjects.StreamSessions: analytics.SessionsName} {
		// As the runner makes it, with a shorter wait for the next process.
		_, err := kit.JS.CreateConsumer(t.Context(), stream, jetstream.ConsumerConfig{Durable: name, AckPolicy: jetstream.AckExplicitPolicy, AckWait: 2 * time.Second, MaxAckPending: 1000})
		if err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	read := func() (n, sum int) { // none while there is no table
		_ = db.QueryRowContext(t.Context(), "SELECT count(*), coalesce(sum(bytes_out), 0) FROM events").Scan(&n, &sum)
		return n, sum
	}
	total := 0
	killed(t, func() *consumerstest.Process {
		return program(kit, "analytics", "CONSUMER_ANALYTICS_DSN=sqlite://"+path, "CONSUMER_ANALYTICS_BATCH=10")
	}, func(round int) {
		for i := range each {
			e := consumerstest.Event("play_done", fmt.Sprint("n", i))
			e.BytesOut = subjects.Number(fmt.Sprint(round*each + i))
			total += round*each + i
			kit.Publish(e)
		}
	}, func(t *testing.T, start func() *consumerstest.Process) {
		before, _ := read()
		p := start()
		bridgetest.Eventually(t, "it works", func() bool { n, _ := read(); return n >= before+some })
		p.Kill()
	})
	bridgetest.Eventually(t, "all is there", func() bool { n, _ := read(); return n == rounds*each })
	kit.WaitAllAcked(subjects.StreamEvents, analytics.Name)
	if n, sum := read(); n != rounds*each || sum != total {
		t.Errorf("%d rows with %d bytes, want %d with %d", n, sum, rounds*each, total)
	}
}
