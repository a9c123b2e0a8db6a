package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for; it is reached by failing tests only.
const patience = time.Minute

func started(t *testing.T, cfg Config) (*Server, string) {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, serve(t, s)
}

// serve starts a server to the end of the test, and returns its address.
func serve(t *testing.T, s *Server) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

type reply struct {
	status int
	header http.Header
	body   string
}

// ask makes one request of its own connection. A header "Host" sets the host.
func ask(t *testing.T, addr, method, path string, header map[string]string) reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range header {
		req.Header.Set(key, value)
	}
	req.Host = header["Host"]
	req.Close = true
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(body)}
}

func allGood() []Check {
	return []Check{{Name: "rules", OK: true, Detail: "from kv, revision 42"}, {Name: "spool", OK: true}}
}

func TestPaths(t *testing.T) {
	_, addr := started(t, Config{
		Loopback: true, Ready: allGood,
		Status:   func() any { return map[string]any{"bridge": "edge-1", "note": "<b>"} },
		AsyncAPI: []byte(`{"asyncapi":"3.0.0"}`),
	})
	for _, tt := range []struct {
		method, path string
		status       int
		body         string // empty: not looked at
	}{
		{"GET", "/livez", 200, "ok\n"},
		{"GET", "/readyz", 200, "ok\n"},
		{"GET", "/readyz?verbose", 200, "[+] rules ok: from kv, revision 42\n[+] spool ok\nok\n"},
		{"GET", "/readyz?verbose=1&x", 200, "[+] rules ok: from kv, revision 42\n[+] spool ok\nok\n"},
		{"GET", "/status", 200, "{\n  \"bridge\": \"edge-1\",\n  \"note\": \"\\u003cb\\u003e\"\n}\n"},
		{"GET", "/asyncapi.json", 200, `{"asyncapi":"3.0.0"}`},
		{"GET", "/metrics", 200, ""},
		{"GET", "/", 200, ""},
		{"GET", "/page/page.html", 200, ""},
		{"GET", "/page/vendor/uPlot.iife.min.js", 200, ""},
		{"GET", "/page/", 404, ""},
		{"GET", "/page/vendor", 404, ""},
		{"GET", "/page/vendor/", 404, ""},
		{"GET", "/page/..%2f..%2fserver.go", 404, ""},
		{"GET", "/page.html", 404, ""},
		{"GET", "/events", 404, ""},
		{"POST", "/", 405, ""},
		{"GET", "/livez/", 404, ""},
		{"GET", "/nothing", 404, ""},
		{"POST", "/livez", 405, ""},
		{"DELETE", "/status", 405, ""},
		{"PUT", "/metrics", 405, ""},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			got := ask(t, addr, tt.method, tt.path, nil)
			if got.status != tt.status || tt.body != "" && got.body != tt.body {
				t.Errorf("%d %q, want %d %q", got.status, got.body, tt.status, tt.body)
			}
			if got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("header %v", got.header)
			}
			if allow := got.header.Get("Allow"); tt.status == 405 && allow != "GET, HEAD" {
				t.Errorf("Allow: %q", allow)
			}
			if tt.method != "GET" || tt.status != 200 {
				return
			}
			head := ask(t, addr, "HEAD", tt.path, nil)
			if head.status != 200 || head.body != "" || head.header.Get("Content-Type") != got.header.Get("Content-Type") {
				t.Errorf("HEAD: %d %q %v", head.status, head.body, head.header)
			}
		})
	}
}

func TestReadiness(t *testing.T) {
	good := Check{Name: "rules", OK: true}
	for _, tt := range []struct {
		name   string
		checks func() []Check
		status int
		body   string
	}{
		{"no checks function", nil, 503, "not ready\n"},
		{"no checks", func() []Check { return nil }, 503, "not ready\n"},
		{"a zero check fails", func() []Check { return []Check{good, {}} }, 503, "[+] rules ok\n[-]  failed\nnot ready\n"},
		{"failed", func() []Check { return []Check{good, {Name: "spool", Detail: "disk full"}} }, 503, "[+] rules ok\n[-] spool failed: disk full\nnot ready\n"},
		{"degraded is ready", func() []Check { return []Check{good, {Name: "nats", Degraded: true, Detail: "disconnected"}} }, 200, "[+] rules ok\n[~] nats degraded: disconnected\nok\n"},
		{"degraded wins over ok", func() []Check { return []Check{{Name: "nats", OK: true, Degraded: true}} }, 200, "[~] nats degraded\nok\n"},
		{"a detail stays on its line", func() []Check { return []Check{{Name: "nats", OK: true, Detail: "a\n[-] b\x1b[2J"}} }, 200, `[+] nats ok: "a\n[-] b\x1b[2J"` + "\nok\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, addr := started(t, Config{Ready: tt.checks})
			if got := ask(t, addr, "GET", "/readyz?verbose", nil); got.status != tt.status || got.body != tt.body {
				t.Errorf("%d %q, want %d %q", got.status, got.body, tt.status, tt.body)
			}
			want := "ok\n"
			if tt.status == 503 {
				want = "not ready\n"
			}
			if got := ask(t, addr, "GET", "/readyz", nil); got.status != tt.status || got.body != want {
				t.Errorf("without verbose: %d %q", got.status, got.body)
			}
		})
	}
}

func TestWhoMayAsk(t *testing.T) {
	bearer := func(value string) map[string]string { return map[string]string{"Authorization": value} }
	host := func(value string) map[string]string { return map[string]string{"Host": value} }
	local, guarded, open, closed := Config{Loopback: true}, Config{Loopback: true, Token: "t0ken"}, Config{Token: "t0ken"}, Config{}
	for _, tt := range []struct {
		name   string
		cfg    Config
		path   string
		header map[string]string
		status int
	}{
		{"local", local, "/status", nil, 200},
		{"local by name", local, "/status", host("LocalHost:8081"), 200},
		{"local by IPv6", local, "/status", host("[::1]:8081"), 200},
		{"local by bare IPv6", local, "/status", host("[::1]"), 200},
		{"rebound name", local, "/status", host("evil.example:8081"), 403},
		{"a name that only begins well", local, "/status", host("127.0.0.1.evil.example"), 403},
		{"a proxy on this host, where there is a token", guarded, "/status", host("127.0.0.1:8081"), 401},
		{"a name of this host, where there is a token", guarded, "/status", host("localhost"), 401},
		{"local with token", guarded, "/status", bearer("Bearer t0ken"), 200},
		{"by another name with token", guarded, "/status", map[string]string{"Host": "admin.example", "Authorization": "Bearer t0ken"}, 200},
		{"remote without token", open, "/status", nil, 401},
		{"remote without token, the contract", open, "/asyncapi.json", nil, 401},
		{"remote claims to be local", open, "/status", host("localhost"), 401},
		{"remote with token", open, "/status", bearer("Bearer t0ken"), 200},
		{"scheme in lower case", open, "/status", bearer("bearer  t0ken"), 200},
		{"wrong token", open, "/status", bearer("Bearer t0ke"), 401},
		{"token too long", open, "/status", bearer("Bearer t0kenn"), 401},
		{"wrong scheme", open, "/status", bearer("Basic t0ken"), 401},
		{"no scheme", open, "/status", bearer("t0ken"), 401},
		{"unknown paths are not told apart", open, "/nothing", nil, 401},
		{"unknown path with token", open, "/nothing", bearer("Bearer t0ken"), 404},
		{"no token configured", closed, "/status", nil, 403},
		{"no token configured, empty one presented", closed, "/status", bearer("Bearer "), 403},
		{"no token configured, none presented", closed, "/status", bearer("Bearer"), 403},
		{"livez", closed, "/livez", nil, 200},
		{"readyz", closed, "/readyz", nil, 200},
		{"metrics", closed, "/metrics", nil, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Ready, tt.cfg.Status = allGood, func() any { return "secret" }
			_, addr := started(t, tt.cfg)
			got := ask(t, addr, "GET", tt.path, tt.header)
			if got.status != tt.status {
				t.Errorf("%d %q, want %d", got.status, got.body, tt.status)
			}
			if tt.status != 200 && strings.Contains(got.body, "secret") {
				t.Errorf("leaked %q", got.body)
			}
			if tt.status == 401 && got.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("header %v", got.header)
			}
			if tt.status == 403 && !strings.Contains(got.body, "BRIDGE_ADMIN_TOKEN") {
				t.Errorf("no hint in %q", got.body)
			}
		})
	}
}

// TestEmptyTokenOpensNothing goes past net/http's client, which trims headers.
func TestEmptyTokenOpensNothing(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/status", nil)
	r.Header["Authorization"] = []string{"Bearer "}
	w := httptest.NewRecorder()
	newGate(Config{}).guard(http.NotFoundHandler()).ServeHTTP(w, r)
	if w.Code != 403 {
		t.Errorf("status %d, want 403", w.Code)
	}
}

// TestStatusThatCannotBeEncoded wants no half reply, and the reason in the log.
func TestStatusThatCannotBeEncoded(t *testing.T) {
	var log strings.Builder
	s, addr := started(t, Config{Loopback: true, Status: func() any { return []any{1, make(chan int)} }, Log: slog.New(slog.NewTextHandler(&log, nil))})
	got := ask(t, addr, "GET", "/status", nil)
	if err := s.Shutdown(context.Background()); err != nil { // the log is read next
		t.Fatal(err)
	}
	if got.status != 500 || json.Valid([]byte(got.body)) || !strings.Contains(log.String(), "chan int") {
		t.Errorf("%d %q, log %q", got.status, got.body, log.String())
	}
}

func TestNoStatus(t *testing.T) {
	_, addr := started(t, Config{Loopback: true})
	if got := ask(t, addr, "GET", "/status", nil); got.status != 404 {
		t.Errorf("status %d, want 404", got.status)
	}
}

func TestHeaderLimit(t *testing.T) {
	_, addr := started(t, Config{})
	if got := ask(t, addr, "GET", "/livez", map[string]string{"X": strings.Repeat("x", 2*maxHeader)}); got.status != 431 {
		t.Errorf("status %d, want 431", got.status)
	}
}

func TestNewRejectsDuplicateMetrics(t *testing.T) {
	gauge := func() prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bridge_x", Help: "X."}, func() float64 { return 1 })
	}
	if s, err := New(Config{Collectors: []prometheus.Collector{gauge(), gauge()}}); s != nil || err == nil || !strings.Contains(err.Error(), "bridge_x") {
		t.Errorf("New = %v, %v; want an error that names bridge_x", s, err)
	}
}

func TestShutdown(t *testing.T) {
	t.Run("answers what has begun", func(t *testing.T) {
		entered, release := make(chan struct{}), make(chan struct{})
		s, addr := started(t, Config{Loopback: true, Status: func() any { close(entered); <-release; return 1 }})
		got := make(chan reply, 1)
		go func() { got <- ask(t, addr, "GET", "/status", nil) }()
		<-entered
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		close(release)
		if r := <-got; r.status != 200 {
			t.Errorf("status %d", r.status)
		}
		if err := <-done; err != nil {
			t.Errorf("Shutdown = %v", err)
		}
	})
	t.Run("cuts off when time is up, and joins", func(t *testing.T) {
		entered, release := make(chan struct{}), make(chan struct{})
		var log strings.Builder
		s, addr := started(t, Config{Loopback: true, Status: func() any { close(entered); <-release; return 1 }, Log: slog.New(slog.NewTextHandler(&log, nil))})
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-entered
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(ctx) }()
		if _, err := bufio.NewReader(conn).ReadByte(); err == nil {
			t.Error("a reply after the cut")
		}
		select {
		case err := <-done:
			t.Errorf("Shutdown returned %v while Status was at work", err)
		default:
		}
		close(release)
		if err := <-done; err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		if !strings.Contains(log.String(), "cut off") {
			t.Errorf("the log: %q", log.String())
		}
	})
	t.Run("whatever somebody who connected says, or does not", func(t *testing.T) {
		s, addr := started(t, Config{})
		for _, said := range []string{"", "GET /li", "GET /livez HTTP/1.1\r\nHost: bridge\r\nContent-Length: 9\r\n\r\n"} {
			if _, err := io.WriteString(connect(t, "127.0.0.1", addr), said); err != nil {
				t.Fatal(err)
			}
		}
		if !isServed(t, connect(t, "127.0.0.1", addr)) { // so the others were accepted
			t.Fatal("not answered")
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
	})
	t.Run("before Serve", func(t *testing.T) {
		s, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Serve(ln); err != nil {
			t.Errorf("Serve = %v", err)
		}
		if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
			t.Error("the listener is still open")
		}
	})
}

func TestServeOnBrokenListener(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	if err := s.Serve(ln); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Errorf("Serve = %v, want ErrClosed and the address", err)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown = %v", err)
	}
}
