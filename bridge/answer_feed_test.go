package bridge

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"bintubridge/bridge/admin"
	"bintubridge/bridge/receive"
	"bintubridge/subjects"
)

// shownEvent is an event as /events shows it.
type shownEvent struct {
	Outcome string         `json:"outcome"`
	Seq     uint64         `json:"seq"`
	Cut     bool           `json:"cut"`
	Event   subjects.Event `json:"event"`
}

// messages opens /events of an answerer and gives its messages to each, on a goroutine
// of its own, until the function it returns is called.
func messages(t testing.TB, a *answerer, each func(data []byte)) (stop func()) {
	t.Helper()
	server, err := admin.New(admin.Config{Loopback: true, Feed: a.feed})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ln.Addr().String()+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req) //nolint:bodyclose // stop does
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 2<<20)
	lines.Scan() // the viewer is in
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				each([]byte(data))
			}
		}
	}()
	return func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-read
		_ = resp.Body.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

// watch reads /events until stop. shown is how many events came so far.
func watch(t testing.TB, a *answerer) (shown func() int64, stop func()) {
	var count atomic.Int64
	stop = messages(t, a, func(data []byte) {
		count.Add(int64(strings.Count(string(data), `"outcome"`)))
	})
	return count.Load, stop
}

// The page is shown what is in the spool, secrets as hashes; an event that is too large
// comes without what the client chose.
func TestEventsAreShown(t *testing.T) {
	a := realAnswerer(t)
	got := make(chan shownEvent, 100)
	stop := messages(t, a, func(data []byte) {
		var message struct{ Events []shownEvent }
		if err := json.Unmarshal(data, &message); err != nil {
			t.Errorf("%v: %.200s", err, data)
		}
		for _, e := range message.Events {
			got <- e
		}
	})
	large := strings.Repeat("<", admin.MaxShown)
	for i, test := range []struct {
		body, want string // want: outcome, cut, call, name, custom, effect
	}{
		{"streamkey=test&foo=bar&call=publish&name=CD6xx-1&addr=192.0.2.1", "happened false publish CD6xx-1 streamkey=sha256:9f86d081884c7d65 foo=bar allow"},
		{"call=play&name=other&addr=192.0.2.1", "denied false play other  deny"},
		{"call=publish_done&name=x", "happened false publish_done x  "},
		{"call=playlist&name=x", "unknown false playlist x  "},
		{"nothing", "invalid false    "},
		{"a=" + large + "&call=publish&name=n&addr=192.0.2.1", "denied true publish n  deny"},
		{"call=publish_done&name=" + large, "happened true publish_done " + large[:maxBrief] + "  "},
		{"call=play&name=last", "denied false play last  deny"},
	} {
		a.Handle([]byte(test.body), receive.Trace{})
		e := <-got
		var custom []string
		for _, f := range e.Event.Custom.List() {
			custom = append(custom, f.Key+"="+f.Value)
		}
		effect := ""
		if e.Event.Decision != nil {
			effect = e.Event.Decision.Effect
		}
		text := fmt.Sprint(e.Outcome, " ", e.Cut, " ", e.Event.Call, " ", e.Event.Name, " ", strings.Join(custom, " "), " ", effect)
		if text != test.want || e.Seq != uint64(i+1) {
			t.Errorf("%.80q is shown as %d %.300q, want %.300q", test.body, e.Seq, text, test.want)
		}
	}
	stop()
}

// BenchmarkHandleWatched is BenchmarkHandle with the operator's page open.
func BenchmarkHandleWatched(b *testing.B) {
	a := realAnswerer(b)
	shown, stop := watch(b, a)
	bodies := benchBodies()[:5]
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		a.Handle(bodies[i%len(bodies)], receive.Trace{})
	}
	b.StopTimer()
	stop()
	b.ReportMetric(float64(shown())/b.Elapsed().Seconds(), "shown/s")
}
