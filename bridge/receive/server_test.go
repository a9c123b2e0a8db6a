package receive

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for; it is reached by failing tests only.
const patience = time.Minute

// recorder is a Handler that keeps the bodies it was given and answers by
// their content: "no" is refused, "bad" invalid, "full" full, "panic" panics,
// everything else is accepted.
type recorder struct {
	mu     sync.Mutex
	bodies []string
}

func (r *recorder) Handle(body []byte, _ Trace) Answer {
	r.mu.Lock()
	r.bodies = append(r.bodies, string(body))
	r.mu.Unlock()
	switch string(body) {
	case "no":
		return Refuse
	case "bad":
		return Invalid
	case "full":
		return Full
	case "panic":
		panic("test panic")
	case "odd":
		return Answer(200)
	}
	return Accept
}

func (r *recorder) taken() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bodies)
}

// started serves cfg with h on a free port and returns the server and its
// address. The server is shut down, and its Serve joined, when the test ends.
func started(t *testing.T, cfg Config, h Handler) (*Server, string) {
	t.Helper()
	s := New(cfg, h)
	addr := serveOn(t, s, listen(t))
	return s, addr
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func serveOn(t *testing.T, s *Server, ln net.Listener) string {
	t.Helper()
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

// dial connects to addr. The connection is closed when the test ends.
func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

func send(t *testing.T, c io.Writer, raw string) {
	t.Helper()
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatalf("send: %v", err)
	}
}

// expect reads exactly want.
func expect(t *testing.T, c io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c, got)
	if err != nil || string(got) != want {
		t.Fatalf("reply = %q, %v\nwant    %q", got[:n], err, want)
	}
}

// expectClosed fails unless the server has ended the connection in an orderly way.
func expectClosed(t *testing.T, c io.Reader) {
	t.Helper()
	rest, err := io.ReadAll(c)
	if err != nil || len(rest) > 0 {
		t.Fatalf("after the reply: %q, %v; want the connection closed", rest, err)
	}
}

// expectKept fails unless the connection still answers requests.
func expectKept(t *testing.T, c io.ReadWriter, target string) {
	t.Helper()
	send(t, c, post(target, "probe"))
	expect(t, c, ok)
}

// eventually waits until condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never happened: %s", what)
		}
	}
}
