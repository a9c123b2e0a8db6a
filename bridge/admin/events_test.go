package admin

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
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

// The server's time limits are for replies that end: here they are over long before the first
// event.
func TestEventsOutliveTheTimeLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFeed()
		s, err := New(Config{Loopback: true, Feed: f})
		if err != nil {
			t.Fatal(err)
		}
		ln := &pipe{ends: make(chan net.Conn, 1), closed: make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- s.Serve(ln) }()
		near, far := net.Pipe()
		ln.ends <- far
		if _, err := io.WriteString(near, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(near)
		for lines.Scan() && lines.Text() != "retry: 2000" {
		}
		begun := time.Now()
		limits := max(s.http.ReadTimeout, s.http.WriteTimeout, s.http.IdleTimeout, eventsTimeout)
		later := time.AfterFunc(4*limits, func() { publish(f, 1, `{}`) })
		defer later.Stop()
		for lines.Scan() && !strings.HasPrefix(lines.Text(), "data: ") {
		}
		if after := time.Since(begun); !strings.HasPrefix(lines.Text(), `data: {"left_out":0,"events":[{`) {
			t.Errorf("the stream ended after %v: %q, %v", after, lines.Text(), lines.Err())
		}
		_ = near.Close()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// pipe is a listener whose connections are in memory: the time limits of a server on it go by fake time.
type pipe struct {
	ends   chan net.Conn
	closed chan struct{}
	close  sync.Once
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.ends:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error   { p.close.Do(func() { close(p.closed) }); return nil }
func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }
