package main

import (
	"bytes"
	"context"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bintubridge/bridge/webhook"
	"bintubridge/cmd/bridgectl/evening"
	"bintubridge/subjects"
)

func hookAt(t *testing.T, url string) hook {
	t.Helper()
	h, err := hookOf(url, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// What goes over the wire is a captured request, to the byte.
func TestCallerSendsWhatAMediaServerSends(t *testing.T) {
	capture, err := os.ReadFile("../../testdata/captures/310-publish-full-session-bintu.http")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := bytes.Cut(capture, []byte("\r\n\r\n"))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	want := strings.Replace(string(capture), "Host: 127.0.0.1", "Host: "+ln.Addr().String(), 1)
	sent := make(chan string, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		got := make([]byte, len(want))
		n, _ := io.ReadFull(conn, got) // a shorter one differs
		sent <- string(got[:n])
		_, _ = io.WriteString(conn, "HTTP/1.0 403 Forbidden\r\n\r\n") // seen by its effect
	}()
	c := caller{hook: hookAt(t, "http://"+ln.Addr().String()+"/hook")}
	status, err := c.post(t.Context(), body)
	if status != http.StatusForbidden || err != nil {
		t.Fatalf("%d, %v", status, err)
	}
	if got := <-sent; got != want {
		t.Errorf("sent\n%s\nwant\n%s", got, want)
	}
}

func TestCallerKeepsItsConnection(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != "call=play" {
			t.Errorf("%q, %v", body, err)
		}
		switch r.URL.Path {
		case "/elsewhere":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/large":
			_, _ = w.Write(make([]byte, 100_000)) // seen by its effect
		}
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	for _, test := range []struct {
		path        string
		keep        bool
		status      int
		connections int32
	}{
		{"/", true, 200, 1},
		{"/", false, 200, 3},
		{"/elsewhere", true, 302, 1}, // followed by nobody
		{"/large", true, 200, 3},     // not read to its end
	} {
		connections.Store(0)
		c := caller{hook: hookAt(t, server.URL+test.path), keep: test.keep}
		for range 3 {
			c.used = time.Now().Add(time.Hour) // however busy the machine is
			if status, err := c.post(t.Context(), []byte("call=play")); status != test.status || err != nil {
				t.Errorf("%s: %d, %v", test.path, status, err)
			}
		}
		c.close()
		if n := connections.Load(); n != test.connections {
			t.Errorf("%s: %d connections, want %d", test.path, n, test.connections)
		}
	}
}

// media counts who is there by what is sent to it.
type media struct {
	t     *testing.T
	calls chan subjects.Call
}

func (m *media) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var w webhook.Request
	if err == nil {
		err = w.Parse(webhook.NginxRTMP, body)
	}
	if err != nil {
		m.t.Error(err)
	}
	m.calls <- w.Call
}

// An interrupt ends an evening of hours at once, and whoever is there leaves with a done.
func TestSimulationIsInterrupted(t *testing.T) {
	m := &media{t: t, calls: make(chan subjects.Call, 100_000)}
	server := httptest.NewServer(m)
	defer server.Close()
	const whole = 1226 // requests of an evening that is not broken off
	for name, rate := range map[string]float64{"in the evening's time": 0, "as fast as it goes": math.Inf(1)} {
		t.Run(name, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			s := simulation{
				hook: hookAt(t, server.URL), keep: true, connections: 4, rate: rate, duration: time.Hour,
				opts: evening.Options{Seed: 3, Streams: 40, Viewers: 400, Length: time.Hour, Speed: 200, Dialect: webhook.NginxRTMP, Prefix: "s"},
			}
			ended := make(chan *simulated, 1)
			go func() { ended <- s.run(ctx) }()
			for range 20 {
				<-m.calls
			}
			interrupt()
			result := <-ended
			seen := uint64(20)
			for len(m.calls) > 0 {
				<-m.calls
				seen++
			}
			if !result.Interrupted || result.Requests != seen || result.Accepted != seen || result.verdict() != nil {
				t.Errorf("%d requests were seen, %+v", seen, result)
			}
			if rate == 0 && seen >= whole {
				t.Errorf("%d requests: it went on to its end", seen)
			}
			asks := result.calls[subjects.Publish].Requests + result.calls[subjects.Play].Requests
			dones := result.calls[subjects.PublishDone].Requests + result.calls[subjects.PlayDone].Requests
			if dones == 0 || dones > asks {
				t.Errorf("%d asks, %d dones", asks, dones)
			}
		})
	}
}

func TestHookOf(t *testing.T) {
	for _, test := range []struct {
		name, url string
		env       map[string]string
		want      string // with path
		address   string
	}{
		{"nothing", "", nil, "http://127.0.0.1:8080/hook", "127.0.0.1:8080"},
		{"a URL", "https://hooks.example/a/b?c=d", map[string]string{"BRIDGE_LISTEN": ":1"}, "https://hooks.example/a/b?c=d", "hooks.example:https"},
		{"no path", "http://[::1]", nil, "http://[::1]/", "[::1]:http"},
		{"the bridge's", "", map[string]string{"BRIDGE_LISTEN": ":8443", "BRIDGE_TLS_CERT": "c", "BRIDGE_HOOK_PATH": "/in", "BRIDGE_HOOK_SECRETS": "a b,c"}, "https://127.0.0.1:8443/in/a%20b", "127.0.0.1:8443"},
		{"a user", "http://u:p@h/", nil, "", ""},
		{"another scheme", "ftp://h/", nil, "", ""},
		{"no host", "http:///hook", nil, "", ""},
		{"no URL", "http://h/%zz\x7f", nil, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, err := hookOf(test.url, func(name string) string { return test.env[name] })
			if test.want == "" {
				if err == nil || strings.Contains(err.Error(), "zz") {
					t.Errorf("%+v, %v", h, err)
				}
				return
			}
			if err != nil || h.String()+h.path != test.want || h.address() != test.address {
				t.Errorf("%s%s at %s, %v", h, h.path, h.address(), err)
			}
		})
	}
}
