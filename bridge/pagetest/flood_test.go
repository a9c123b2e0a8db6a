package pagetest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bintubridge/bridge/admin"
)

// At 20,000 events a second the page shows a sample of a bounded number of rows, says so,
// and answers. The events come straight from the feed, which is what a bridge gives it.
func TestFlood(t *testing.T) {
	const perSecond = 20_000
	p := newTab(t)
	r := newRig(t)
	_, status := r.Admin("/status")
	_, history := r.Admin("/history")
	feed := admin.NewFeed()
	server, err := admin.New(admin.Config{
		Loopback: true, Feed: feed, Status: func() any { return json.RawMessage(status) },
		Queries: map[string]admin.Query{"/history": func(context.Context, url.Values) (any, error) { return json.RawMessage(history), nil }},
	})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	stop, stopped := make(chan struct{}), make(chan struct{})
	defer func() { close(stop); <-stopped }()
	var offered atomic.Int64
	go func() {
		defer close(stopped)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case <-stop:
				return
			case now := <-tick.C:
				for range int(now.Sub(last).Seconds() * perSecond) {
					if n := offered.Add(1); feed.Wants() {
						feed.Offer(admin.Shown{Outcome: "happened"}, fmt.Appendf(nil, `{"id":"","received_at":"2026-11-23T09:00:00Z","call":"play","name":"stream-%d","addr":"192.0.2.1","custom":{"foo":"bar"}}`, n))
					}
				}
				last = now
			}
		}
	}()

	p.open("http://" + ln.Addr().String() + "/")
	p.until(`/^A sample/.test(document.querySelector('#feed .note').innerText)`)
	sample := regexp.MustCompile(`^A sample: ([\d,]+) of ([\d,]+) events`)
	number := func(text string) int {
		n, err := strconv.Atoi(strings.ReplaceAll(text, ",", ""))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	eval[bool](p, `(window.frames_ = [], (function frame(at) { frames_.push(at); requestAnimationFrame(frame); })(performance.now()), true)`)
	most, all := 0, 0
	for seconds := 0; seconds < 6; { // more or less
		note := p.text("#feed .note")
		if m := sample.FindStringSubmatch(note); m != nil { // else nothing came for a second: the machine stood still
			seconds++
			most, all = max(most, number(m[1])), max(all, number(m[2]))
		}
		if rows := eval[int](p, rowCount); rows > 100 {
			t.Errorf("%d rows", rows)
		}
		if kept := eval[int](p, `document.querySelectorAll('*').length`); kept > 2000 {
			t.Errorf("%d elements", kept)
		}
		// A frame is drawn between two questions, or this never ends.
		p.frame()
		p.until(`document.querySelector('#feed .note').innerText !== ` + strconv.Quote(note))
	}
	took := eval[[]float64](p, `frames_.slice(1).map((at, i) => at - frames_[i]).sort((a, b) => a - b)`)
	if len(took) == 0 {
		t.Fatal("no frames")
	}
	t.Logf("%d frames; from one to the next: median %.0f ms, p99 %.0f ms, longest %.0f ms", len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	t.Logf("%d events were offered; a second had up to %d, of which up to %d were shown", offered.Load(), all, most)
	if all < 10*most {
		t.Errorf("%d of %d events a second are shown", most, all)
	}
	p.fill("#feed [name=text]", "no such stream")
	p.until(rowCount + ` === 0`)
	p.fill("#feed [name=text]", "")
	p.until(rowCount + ` > 50`)
	p.click(`#feed [name=pause]`)
	p.until(`/^Paused/.test(document.querySelector('#feed .note').innerText)`)
}
