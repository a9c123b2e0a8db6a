package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// connect opens a connection from an address of this machine.
func connect(t *testing.T, from, addr string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// isServed reports whether a connection gets an answer, or else is closed.
func isServed(t *testing.T, c net.Conn) bool {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: bridge\r\n\r\n") // may be closed already
	got, err := c.Read(make([]byte, 1<<10))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("neither answered nor closed")
	}
	return got > 0
}

// One address holds some connections, and no more files of the process.
func TestCrowd(t *testing.T) {
	var log bytes.Buffer
	s, err := New(Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s.http.ReadTimeout, s.http.WriteTimeout, s.http.IdleTimeout = 0, 0, 0 // a machine that stands still ends no connection
	addr := serve(t, s)
	first := connect(t, "127.0.0.1", addr)
	for i := range maxConnsPerAddr - 1 {
		if !isServed(t, connect(t, "127.0.0.1", addr)) {
			t.Fatalf("connection %d was closed", i+2)
		}
	}
	if !isServed(t, first) {
		t.Fatal("the first connection was closed")
	}
	for range 3 {
		if isServed(t, connect(t, "127.0.0.1", addr)) {
			t.Error("one too many was answered")
		}
	}
	if !isServed(t, connect(t, "127.0.0.2", addr)) {
		t.Error("another address was not answered")
	}
	_ = first.Close()
	for begun := time.Now(); !isServed(t, connect(t, "127.0.0.1", addr)); time.Sleep(time.Millisecond) {
		if time.Since(begun) > patience {
			t.Fatal("the place of one that has left is not given again")
		}
	}
	if err := s.Shutdown(context.Background()); err != nil { // the log is read next
		t.Fatal(err)
	}
	if n := len(s.crowd.of); n != 0 || s.crowd.all != 0 {
		t.Errorf("%d connections of %d addresses are counted after the end", s.crowd.all, n)
	}
	if !strings.Contains(log.String(), "peer=127.0.0.1 suppressed=") {
		t.Errorf("the log:\n%s", &log)
	}
}

// All addresses together hold some more.
func TestCrowdOfMany(t *testing.T) {
	c := newCrowd(slog.New(slog.DiscardHandler))
	peer := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
	for i := range maxConns {
		if !c.enter(peer(i)) {
			t.Fatalf("connection %d may not stay", i+1)
		}
	}
	if c.enter(peer(maxConns)) {
		t.Error("one too many may stay")
	}
	c.leave(peer(maxConns))
	c.leave(peer(0))
	if !c.enter(peer(1)) {
		t.Error("the place of one that has left is not given again")
	}
}
