package admin

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// follow opens /events until the test ends.
func follow(t *testing.T, addr string) (status int, header http.Header, lines *bufio.Scanner) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp.StatusCode, resp.Header, bufio.NewScanner(resp.Body)
}

func TestEvents(t *testing.T) {
	f := NewFeed()
	s, addr := started(t, Config{Loopback: true, Feed: f})
	status, header, lines := follow(t, addr)
	if status != 200 || header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d, header %v", status, header)
	}
	if !lines.Scan() || lines.Text() != "retry: 2000" {
		t.Fatalf("first line %q", lines.Text())
	}
	publish(f, 1, `{"name":"\u003cb\u003e"}`)
	lines.Scan()
	const want = `data: {"left_out":0,"events":[{"outcome":"happened","seq":7,"event":{"name":"\u003cb\u003e"}}]}`
	if !lines.Scan() || lines.Text() != want {
		t.Errorf("line %q, want %q", lines.Text(), want)
	}

	// The end of the server ends the stream, without waiting for time-outs.
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	for lines.Scan() {
	}
	if f.Wants() {
		t.Error("the viewer is still there")
	}
}

func TestEventsForTooManyViewers(t *testing.T) {
	f := NewFeed()
	_, addr := started(t, Config{Loopback: true, Feed: f})
	for range feedViewers {
		_, _, lines := follow(t, addr)
		lines.Scan() // the viewer is in
	}
	if got := ask(t, addr, "GET", "/events", nil); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("%d %v", got.status, got.header)
	}
}

// The server's time limits are for replies that end: here they are over before the first
// event.
func TestEventsOutliveTheTimeLimits(t *testing.T) {
	f := NewFeed()
	s, err := New(Config{Loopback: true, Feed: f})
	if err != nil {
		t.Fatal(err)
	}
	const limit = 50 * time.Millisecond
	server := httptest.NewUnstartedServer(s.http.Handler)
	server.Config.ReadTimeout, server.Config.WriteTimeout = limit, limit
	server.Start()
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	time.Sleep(4 * limit)
	publish(f, 1, `{}`)
	buf := make([]byte, 200)
	for got := 0; got < len("retry: 2000\n\ndata: {\"left_out\":0"); {
		n, err := resp.Body.Read(buf)
		if got += n; err != nil {
			t.Fatalf("after %d bytes: %v", got, err)
		}
	}
}
