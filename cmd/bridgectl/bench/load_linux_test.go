package bench

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestParseReply(t *testing.T) {
	for _, test := range []struct {
		name, reply string
		status      int
		bad         bool
	}{
		{"200", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, false},
		{"403 and HTTP/1.0", "HTTP/1.0 403 Forbidden\r\nServer: x\r\nContent-Length: 0\r\n\r\n", 403, false},
		{"not all there", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", 0, false},
		{"a body to come", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", 0, true},
		{"no number", "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n", 0, true},
		{"no HTTP", "\r\nContent-Length: 0\r\n\r\n", 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, err := parseReply([]byte(test.reply))
			if status != test.status || errors.Is(err, errReply) != test.bad {
				t.Errorf("got %d, %v", status, err)
			}
		})
	}
}

// serve answers each request with what reply returns, and ends with the test.
func serve(t *testing.T, reply func(n int64) string) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { // ends with its client
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					req, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					if _, err := io.Copy(io.Discard, req.Body); err != nil {
						return
					}
					if _, err := io.WriteString(conn, reply(n.Add(1))); err != nil || req.Close {
						return
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

const okReply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

// Every answer is counted once, in both loops and forms, with bodies that do not fit into a
// socket's buffer too.
func TestLoadCounts(t *testing.T) {
	addr := serve(t, func(n int64) string {
		if n%10 == 0 {
			return "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
		}
		return okReply
	})
	for _, test := range []struct {
		name string
		form form
		rate int
		body int
		n    uint64
	}{
		{"closed", keepAlive, 0, 0, 500},
		{"open", keepAlive, 5000, 0, 500},
		{"closed, HTTP/1.0", http10, 0, 0, 500},
		{"open, HTTP/1.0", http10, 5000, 0, 500},
		{"large bodies", keepAlive, 0, 16 << 20, 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := load{
				addr: addr, form: test.form, connections: 4, requests: newRequests(test.form, 10, test.body),
				schedule: schedule{rate: test.rate, total: test.n},
			}.run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.total() != test.n || got.refused != test.n/10 || got.latency[0].TotalCount() != int64(test.n) {
				t.Errorf("%d answers, %d refused, %d measured", got.total(), got.refused, got.latency[0].TotalCount())
			}
		})
	}
}

// A server that stands still once for half a second lets 500 events wait that were due
// meanwhile. Who counted from the moment they were sent would see one that is slow.
func TestLoadOmitsNothing(t *testing.T) {
	const stall, rate = 500 * time.Millisecond, 1000
	addr := serve(t, func(n int64) string {
		if n == 10 {
			time.Sleep(stall)
		}
		return okReply
	})
	got, err := load{
		addr: addr, form: keepAlive, connections: 1, requests: newRequests(keepAlive, 10, 0),
		schedule: schedule{rate: rate, total: rate},
	}.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	late := int64(0)
	for _, bar := range got.latency[0].Distribution() {
		if bar.From > int64(stall/2) {
			late += bar.Count
		}
	}
	if late < rate*int64(stall/2)/int64(time.Second)*9/10 {
		t.Errorf("%d events waited for more than %s", late, stall/2)
	}
}

// Anything that is not an answer ends the load and is told.
func TestLoadFails(t *testing.T) {
	for _, test := range []struct{ name, reply, want string }{
		{"another status", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "503"},
		{"two replies", okReply + okReply, "unexpected reply"},
		{"no reply that is one", strings.Repeat("x", 4096), "unexpected reply"},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr := serve(t, func(int64) string { return test.reply })
			_, err := load{
				addr: addr, form: keepAlive, connections: 1, requests: newRequests(keepAlive, 10, 0), schedule: schedule{total: 100},
			}.run(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		_, err := load{addr: "127.0.0.1:1", form: http10, connections: 1, requests: newRequests(http10, 1, 0), schedule: schedule{total: 1}}.run(t.Context())
		if err == nil {
			t.Error("no error")
		}
	})
	t.Run("ended", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		addr := serve(t, func(int64) string { cancel(); return okReply })
		_, err := load{addr: addr, form: keepAlive, connections: 1, requests: newRequests(keepAlive, 1, 0)}.run(ctx)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
