package receive

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSlowRequestIsCut sends requests that would be whole in the end, one byte
// at a time. A deadline that starts over with each byte would let them pass.
func TestSlowRequestIsCut(t *testing.T) {
	for name, prefix := range map[string]string{
		"body":            headed("Content-Length: 200\r\n", ""),
		"chunked body":    headed("Transfer-Encoding: chunked\r\n", "C8\r\n"),
		"chunk extension": headed("Transfer-Encoding: chunked\r\n", "1;"),
		"header":          "POST /hook HTTP/1.1\r\nHost: ",
	} {
		t.Run(name, func(t *testing.T) {
			h := &recorder{}
			s, addr := started(t, Config{ReadTimeout: 100 * time.Millisecond}, h)
			var reply string
			// On a busy machine no byte may come in time. Then no reply is owed.
			eventually(t, "a reply", func() bool { reply = drip(dial(t, addr), prefix, 200); return reply != "" })
			if reply != slowClose {
				t.Errorf("reply = %q, want 408", reply)
			}
			if got := h.taken(); got != nil {
				t.Errorf("the Handler got %q", got)
			}
			if n := s.Stats().TimedOut; n != 1 {
				t.Errorf("TimedOut = %d, want 1", n)
			}
		})
	}
}

// drip sends a prefix and then so many bytes, one by one, and returns the reply.
func drip(c *net.TCPConn, prefix string, bytes int) (reply string) {
	replied := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(c)
		replied <- string(all)
	}()
	_, _ = io.WriteString(c, prefix) // fails once the server has hung up, as all writes do
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range bytes {
		select {
		case reply = <-replied:
			return reply
		case <-tick.C:
			_, _ = c.Write([]byte{'0'})
		}
	}
	_ = c.CloseWrite()
	return <-replied
}

// TestQuietConnections shows that who owes no request gets no reply.
func TestQuietConnections(t *testing.T) {
	t.Run("from the start", func(t *testing.T) {
		_, addr := started(t, Config{ReadTimeout: 20 * time.Millisecond}, &recorder{})
		expectClosed(t, dial(t, addr))
	})
	t.Run("after a request", func(t *testing.T) {
		s, addr := started(t, Config{IdleTimeout: 20 * time.Millisecond}, &recorder{})
		c := dial(t, addr)
		expectKept(t, c, "/hook")
		expectClosed(t, c)
		if n := s.Stats().TimedOut; n != 0 {
			t.Errorf("TimedOut = %d, want 0", n)
		}
	})
}

// TestDeafClient sends requests without end and reads no reply.
func TestDeafClient(t *testing.T) {
	s, addr := started(t, Config{WriteTimeout: 20 * time.Millisecond}, &recorder{})
	c := dial(t, addr)
	if err := c.SetReadBuffer(1 << 10); err != nil {
		t.Fatal(err)
	}
	requests := strings.Repeat(post("/hook", "a=1"), 1000)
	var err error
	for err == nil {
		_, err = io.WriteString(c, requests)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the server neither read on nor hung up")
	}
	eventually(t, "the failed reply counted", func() bool { return s.Stats().Unsent == 1 })
}

// TestStrangersTakeNoPlace has peers that no request of could pass hold what
// they can get, and a place is still free for whom the bridge is there.
func TestStrangersTakeNoPlace(t *testing.T) {
	h := &recorder{}
	s, addr := started(t, Config{MaxConns: 1, AllowFrom: prefixes("10.0.0.0/8")}, h)
	for range 3 { // 127.0.0.1 is a stranger here
		send(t, dial(t, addr), "POST /hook HTTP/1.1\r\n") // and stays
	}
	eventually(t, "the strangers to be served", func() bool { return s.Stats().Open == 3 })
	s.mu.Lock()
	serving, turned := s.serving, s.turned
	s.mu.Unlock()
	if serving != 0 || turned != 3 {
		t.Errorf("%d places taken, %d turned away, want 0 and 3", serving, turned)
	}
	answered := dial(t, addr)
	send(t, answered, post("/hook", "a=1"))
	expect(t, answered, noClose)
	expectClosed(t, answered)

	s.mu.Lock()
	s.turned += maxTurnedAway
	s.mu.Unlock()
	expectClosed(t, dial(t, addr)) // one too many is closed without a word
	s.mu.Lock()
	s.turned -= maxTurnedAway
	s.mu.Unlock()
	if got := s.Stats(); got.Forbidden != 2 || h.taken() != nil {
		t.Errorf("Forbidden = %d, want 2; the Handler got %q", got.Forbidden, h.taken())
	}
}

func TestMaxConns(t *testing.T) {
	h := newGated()
	s, addr := started(t, Config{MaxConns: 1}, h)
	first := dial(t, addr)
	send(t, first, post("/hook", "a=1"))
	<-h.entered // being answered: its place is its own

	second := dial(t, addr)
	send(t, second, post("/hook", "a=1"))
	expect(t, second, fullHouse)
	expectClosed(t, second)

	s.mu.Lock()
	s.turned += maxTurnedAway
	s.mu.Unlock()
	expectClosed(t, dial(t, addr)) // no room even for a reply
	s.mu.Lock()
	s.turned -= maxTurnedAway
	if n := s.crowd.served[netip.MustParseAddr("127.0.0.1")]; n != 1 {
		t.Errorf("%d connections are counted for their address, want the one that is served", n)
	}
	s.mu.Unlock()

	if got := s.Stats(); got.Overloaded != 2 || got.Displaced != 0 {
		t.Errorf("Overloaded = %d, Displaced = %d, want 2 and 0", got.Overloaded, got.Displaced)
	}
	close(h.release)
	expect(t, first, ok)
	_ = first.Close()
	eventually(t, "the place free again", func() bool { return s.Stats().Open == 0 })
	expectKept(t, dial(t, addr), "/hook")
}

// scriptedListener answers Accept from a channel.
type scriptedListener struct {
	net.Listener
	steps chan func() (net.Conn, error)
}

func (l *scriptedListener) Accept() (net.Conn, error) {
	if step, more := <-l.steps; more {
		return step()
	}
	return l.Listener.Accept()
}

func script(t *testing.T, steps ...func() (net.Conn, error)) *scriptedListener {
	l := &scriptedListener{Listener: listen(t), steps: make(chan func() (net.Conn, error), len(steps))}
	for _, step := range steps {
		l.steps <- step
	}
	close(l.steps)
	return l
}

func TestAcceptErrors(t *testing.T) {
	failing := func(err error) func() (net.Conn, error) {
		return func() (net.Conn, error) {
			return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}
		}
	}
	t.Run("transient", func(t *testing.T) {
		s := New(Config{}, &recorder{})
		addr := serveOn(t, s, script(t, failing(syscall.EMFILE), failing(syscall.ECONNABORTED)))
		expectKept(t, dial(t, addr), "/hook")
	})
	t.Run("permanent", func(t *testing.T) {
		s := New(Config{}, &recorder{})
		ln := script(t, failing(syscall.EINVAL))
		err := s.Serve(ln)
		if !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), ln.Addr().String()) {
			t.Errorf("Serve = %v, want EINVAL and the address", err)
		}
		if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
			t.Error("the broken listener is still open")
		}
	})
}

// panickyConn stands for a fault in the parser, inside a request.
type panickyConn struct {
	net.Conn
	begun bool
}

func (c *panickyConn) Read(b []byte) (int, error) {
	if c.begun {
		panic("parser fault")
	}
	c.begun = true
	return copy(b, "P"), nil
}

// TestParserPanic shows that a fault in parsing costs one connection.
func TestParserPanic(t *testing.T) {
	near, far := net.Pipe()
	s := New(Config{}, &recorder{})
	addr := serveOn(t, s, script(t, func() (net.Conn, error) { return &panickyConn{Conn: far}, nil }))
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection gave %v, want it closed", err)
	}
	expectKept(t, dial(t, addr), "/hook")
	eventually(t, "the panic counted and nothing in flight", func() bool {
		st := s.Stats()
		return st.Panics == 1 && st.InFlight == 0
	})
}

// TestStats drives each counter a client can reach and compares all of them.
func TestStats(t *testing.T) {
	s, addr := started(t, Config{MaxBody: 8}, &recorder{})
	for _, request := range []string{
		post("/hook", "1") + post("/hook", "no") + post("/hook", "no"),
		post("/hook", "bad") + post("/hook", "full") + post("/hook", "panic"),
		post("/x", ""), "GET /hook HTTP/1.1\r\nHost: h\r\n\r\n",
		"nonsense\r\n\r\n", "nonsense\r\n\r\n", headed("Content-Length: 3\r\n", "a"), post("/hook", "far too long"),
		headed("X: "+strings.Repeat("x", MaxHeader)+"\r\n", ""),
	} {
		c := dial(t, addr)
		send(t, c, request)
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(c)
	}
	want := Stats{
		Accepted: 1, Refused: 2, Invalid: 1, Full: 1, Panics: 1, NotFound: 1, WrongMethod: 1,
		Malformed: 2, Truncated: 1, BodyTooLarge: 1, HeaderTooLarge: 1,
	}
	eventually(t, "all connections gone", func() bool { return s.Stats().Open == 0 })
	if got := s.Stats(); got != want {
		t.Errorf("Stats = %+v\nwant    %+v", got, want)
	}
}
