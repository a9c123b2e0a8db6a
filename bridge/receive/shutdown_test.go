package receive

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
)

// gated is a Handler that answers when told to.
type gated struct{ entered, release chan struct{} }

func newGated() gated {
	return gated{entered: make(chan struct{}, 1), release: make(chan struct{})}
}

func (g gated) Handle([]byte, Trace) Answer {
	g.entered <- struct{}{}
	<-g.release
	return Accept
}

// shuttingDown starts s.Shutdown(ctx) and returns once s has begun to drain, with all that belongs
// to it.
func shuttingDown(ctx context.Context, t *testing.T, s *Server) (result chan error) {
	t.Helper()
	result = make(chan error, 1)
	go func() { result <- s.Shutdown(ctx) }()
	eventually(t, "draining", func() bool {
		s.mu.Lock() // held for all of it
		defer s.mu.Unlock()
		return s.draining.Load()
	})
	return result
}

// patientServer gives waiting connections a last call that no test outlasts.
func patientServer(t *testing.T, h Handler) (*Server, string) {
	s := New(Config{}, h)
	s.lastCall = patience
	return s, serveOn(t, s, listen(t))
}

func TestShutdownAnswersWhatHasBegun(t *testing.T) {
	t.Run("in the Handler", func(t *testing.T) {
		h := newGated()
		s, addr := started(t, Config{}, h)
		c := dial(t, addr)
		send(t, c, post("/hook", "a=1"))
		<-h.entered
		if n := s.Stats().InFlight; n != 1 {
			t.Errorf("InFlight = %d, want 1", n)
		}
		done := shuttingDown(context.Background(), t, s)
		if _, err := net.Dial("tcp", addr); err == nil {
			t.Error("still accepting")
		}
		select {
		case err := <-done:
			t.Fatalf("Shutdown returned %v before the Handler", err)
		default:
		}
		close(h.release)
		expect(t, c, okClose)
		expectClosed(t, c)
		if err := <-done; err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		if st := s.Stats(); st.InFlight != 0 || st.Open != 0 {
			t.Errorf("left over: %+v", st)
		}
	})
	t.Run("half sent, beyond the last call", func(t *testing.T) {
		s, addr := started(t, Config{}, &recorder{})
		s.lastCall = 0
		c := dial(t, addr)
		send(t, c, "POST /hook HTTP/1.1\r\nHost: b\r\n")
		eventually(t, "the request begun", func() bool { return s.Stats().InFlight == 1 })
		done := shuttingDown(context.Background(), t, s)
		send(t, c, "Content-Length: 3\r\n\r\na=1")
		expect(t, c, okClose)
		if err := <-done; err != nil {
			t.Errorf("Shutdown = %v", err)
		}
	})
	t.Run("at the last call, first request", func(t *testing.T) {
		s, addr := patientServer(t, &recorder{})
		c := dial(t, addr)
		eventually(t, "connected", func() bool { return s.Stats().Open == 1 })
		done := shuttingDown(context.Background(), t, s)
		send(t, c, post("/hook", "a=1"))
		expect(t, c, okClose)
		if err := <-done; err != nil {
			t.Errorf("Shutdown = %v", err)
		}
	})
	t.Run("at the last call, second request", func(t *testing.T) {
		s, addr := patientServer(t, &recorder{})
		c := dial(t, addr)
		expectKept(t, c, "/hook")
		done := shuttingDown(context.Background(), t, s)
		send(t, c, post("/hook", "a=1"))
		expect(t, c, okClose)
		if err := <-done; err != nil {
			t.Errorf("Shutdown = %v", err)
		}
	})
}

func TestShutdownEndsQuietConnections(t *testing.T) {
	s, addr := started(t, Config{}, &recorder{})
	fresh, idle := dial(t, addr), dial(t, addr)
	expectKept(t, idle, "/hook")
	eventually(t, "both connected", func() bool { return s.Stats().Open == 2 })
	done := shuttingDown(context.Background(), t, s)
	expectClosed(t, fresh)
	expectClosed(t, idle)
	if err := <-done; err != nil {
		t.Errorf("Shutdown = %v", err)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("second Shutdown = %v", err)
	}
}

func TestShutdownCutsOffWhenTimeIsUp(t *testing.T) {
	h := newGated()
	s, addr := started(t, Config{}, h)
	half, handled := dial(t, addr), dial(t, addr)
	send(t, half, "POST /hook HTTP/1.1\r\n")
	send(t, handled, post("/hook", "a=1"))
	<-h.entered
	eventually(t, "both begun", func() bool { return s.Stats().InFlight == 2 })
	ctx, cancel := context.WithCancelCause(context.Background())
	done := shuttingDown(ctx, t, s)
	reason := errors.New("second signal")
	cancel(reason)
	expectCut(t, half)
	expectCut(t, handled)
	close(h.release) // Shutdown waits for a Handler even now
	if err := <-done; !errors.Is(err, reason) || !strings.Contains(err.Error(), "2 connections") {
		t.Errorf("Shutdown = %v, want 2 connections and the reason", err)
	}
	if st := s.Stats(); st.InFlight != 0 || st.Open != 0 {
		t.Errorf("left over: %+v", st)
	}
}

// expectCut fails unless the connection ends without a reply.
func expectCut(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes, %v; want the connection cut", n, err)
	}
}

func TestServeAfterShutdown(t *testing.T) {
	s := New(Config{}, &recorder{})
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown before Serve = %v", err)
	}
	ln := listen(t)
	if err := s.Serve(ln); err != nil {
		t.Errorf("Serve = %v", err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("the listener is still open")
	}
}
