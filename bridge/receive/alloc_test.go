package receive

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// fixed is a Handler that gives one answer.
type fixed Answer

func (f fixed) Handle([]byte, Trace) Answer { return Answer(f) }

// replayConn is a connection whose client has sent everything already.
type replayConn struct {
	net.Conn
	in      bytes.Reader
	replies bytes.Buffer
	keep    bool // the replies
}

func (c *replayConn) Read(b []byte) (int, error) { return c.in.Read(b) }
func (c *replayConn) Write(b []byte) (int, error) {
	if c.keep {
		return c.replies.Write(b)
	}
	return len(b), nil
}
func (*replayConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1} }
func (*replayConn) SetReadDeadline(time.Time) error  { return nil }
func (*replayConn) SetWriteDeadline(time.Time) error { return nil }
func (*replayConn) Close() error                     { return nil }

func guardedConfig() Config {
	return Config{
		Secrets:        []string{"one-of-the-secrets", "another-of-the-secrets"},
		AllowFrom:      prefixes("192.0.2.0/24", "2001:db8::/32"),
		TrustedProxies: prefixes("10.0.0.0/8"),
	}
}

const guardedRequest = "POST /hook/another-of-the-secrets HTTP/1.1\r\nHost: bridge\r\n" +
	"X-Forwarded-For: 198.51.100.1, 2001:db8::7\r\nX-Forwarded-For: 10.1.1.1\r\n" +
	"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 12\r\n\r\ncall=publish"

// prepared returns a request as fasthttp hands it to the server.
func prepared(t testing.TB, raw string) *fasthttp.RequestCtx {
	t.Helper()
	ctx := &fasthttp.RequestCtx{}
	ctx.Init2(newConn(&replayConn{}, nil, &counters{}), silent{}, false)
	if err := ctx.Request.Read(bufioReader(raw)); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// TestRequestPathDoesNotAllocate covers each way through serveRequest that a
// flood could take. Log lines do allocate, one a second: the throttles are
// closed first.
func TestRequestPathDoesNotAllocate(t *testing.T) {
	for _, tt := range []struct {
		name    string
		cfg     Config
		h       Handler
		request string
		want    int
	}{
		{"accepted behind a proxy with secrets", guardedConfig(), fixed(Accept), guardedRequest, 200},
		{"accepted in a trace", Config{}, fixed(Accept), headed("traceparent: 00-a\r\ntracestate: a=1\r\ntracestate: b=2\r\nContent-Length: 12\r\n", "call=publish"), 200},
		{"refused", guardedConfig(), fixed(Refuse), guardedRequest, 403},
		{"open", Config{}, fixed(Accept), post("/hook", "call=publish"), 200},
		{"forbidden", Config{AllowFrom: prefixes("192.0.2.0/24")}, fixed(Accept), post("/hook", "call=publish"), 403},
		{"wrong secret", guardedConfig(), fixed(Accept), "POST /hook/x HTTP/1.1\r\nHost: b\r\nX-Forwarded-For: 192.0.2.1\r\nContent-Length: 0\r\n\r\n", 404},
		{"wrong method", Config{}, fixed(Accept), "PUT /hook HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n", 405},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := New(tt.cfg, tt.h)
			ctx := prepared(t, tt.request)
			for o := range s.log.throttles {
				s.log.throttles[o].pass(time.Now().Add(time.Hour))
				s.log.throttles[o].last.Store(time.Now().UnixNano())
			}
			allocs := testing.AllocsPerRun(1000, func() {
				ctx.Response.Reset()
				s.serveRequest(ctx)
			})
			if got := ctx.Response.StatusCode(); got != tt.want {
				t.Errorf("status = %d, want %d", got, tt.want)
			}
			if allocs != 0 {
				t.Errorf("%v allocations a request, want 0", allocs)
			}
		})
	}
}

// TestKeptConnectionDoesNotAllocate runs whole requests through fasthttp.
func TestKeptConnectionDoesNotAllocate(t *testing.T) {
	s := New(guardedConfig(), fixed(Accept))
	const requests = 1000
	raw := bytes.Repeat([]byte(guardedRequest), requests)
	allocs := testing.AllocsPerRun(10, func() { s.serve(replay(s, raw)) })
	if got := s.Stats().Accepted; got != 11*requests {
		t.Fatalf("Accepted = %d, want %d", got, 11*requests)
	}
	if perRequest := allocs / requests; perRequest > 0.05 { // what a connection costs, shared by its requests
		t.Errorf("%v allocations a request, want next to none", perRequest)
	}
}

func replay(s *Server, raw []byte) *conn {
	rc := &replayConn{}
	rc.in.Reset(raw)
	return newConn(rc, nil, &s.counters)
}

func BenchmarkServeRequest(b *testing.B) {
	s := New(guardedConfig(), fixed(Accept))
	ctx := prepared(b, guardedRequest)
	b.ReportAllocs()
	for b.Loop() {
		ctx.Response.Reset()
		s.serveRequest(ctx)
	}
}

// endless repeats one request and ends after n.
type endless struct {
	replayConn
	raw  []byte
	left int
}

func (c *endless) Read(b []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	c.left--
	return copy(b, c.raw), nil
}

// BenchmarkKeptConnection is a request from its bytes to its reply's, without
// the kernel.
func BenchmarkKeptConnection(b *testing.B) {
	s := New(guardedConfig(), fixed(Accept))
	b.ReportAllocs()
	b.ResetTimer()
	s.serve(newConn(&endless{raw: []byte(guardedRequest), left: b.N}, nil, &s.counters))
	if got := s.Stats().Accepted; got != uint64(b.N) {
		b.Fatalf("Accepted = %d, want %d", got, b.N)
	}
}

func BenchmarkCaller(b *testing.B) {
	c := newCallers(nil, prefixes("10.0.0.0/8"))
	var header fasthttp.RequestHeader
	header.Add(fasthttp.HeaderXForwardedFor, "198.51.100.1, 2001:db8::7, 10.1.1.1")
	peer := netip.MustParseAddr("10.0.0.1")
	b.ReportAllocs()
	for b.Loop() {
		if !c.caller(peer, &header).IsValid() {
			b.Fatal("caller unknown")
		}
	}
}
