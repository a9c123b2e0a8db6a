package receive

import (
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"syscall"
	"time"
)

const (
	// maxTurnedAway is how many connections are turned away at the same time:
	// told 503 over MaxConns or MaxConnsPerAddr, or 403 when the peer is not allowed. Any further
	// ones are closed without a word.
	maxTurnedAway = 64

	// Serve waits this long after an accept failed for lack of resources,
	// doubling from the first to the second.
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
)

// overloadReply is what a connection for which there is no room gets, whatever it asked.
const overloadReply = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

// source is one listener of a Server.
type source struct{ net.Listener }

// Serve accepts connections from ln, which it owns from now on, until Shutdown,
// and then returns nil. It may be called for several listeners. An error means
// that ln is broken; the connections it has brought are served on.
func (s *Server) Serve(ln net.Listener) error {
	src := &source{ln}
	if !s.listening(src) {
		return ln.Close()
	}
	defer s.forget(src)

	backoff := minBackoff
	for {
		socket, err := ln.Accept()
		switch {
		case err == nil:
			backoff = minBackoff
			s.start(socket)
		case s.draining.Load():
			return nil
		case !isTransient(err):
			return fmt.Errorf("receive: listener %s broke, restart the bridge: %w", ln.Addr(), err)
		default:
			s.cfg.Log.Error("accept failed, trying again; check the limit of open files",
				"listener", ln.Addr().String(), "error", err, "wait", backoff)
			select {
			case <-s.stopped:
			case <-time.After(backoff):
			}
			backoff = min(2*backoff, maxBackoff)
		}
	}
}

// isTransient reports whether accepting may work again later: what the kernel
// lacked may come back, and a client that left early is no trouble of ours.
func isTransient(err error) bool {
	for _, transient := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR,
	} {
		if errors.Is(err, transient) {
			return true
		}
	}
	return false
}

// listening notes src as accepting, unless the server is shutting down.
func (s *Server) listening(src *source) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.sources[src] = struct{}{}
	return true
}

// forget closes src, if Shutdown has not.
func (s *Server) forget(src *source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.sources[src]; ok {
		delete(s.sources, src)
		_ = src.Close() // it is broken: Serve returns why
	}
}

// start gives a new connection its goroutine, or turns it away.
func (s *Server) start(socket net.Conn) {
	c := newConn(socket, s.cfg.TLS, &s.counters)
	if s.callers.stranger(c.peer) {
		s.placeStranger(c)
		return
	}
	refusal, outgoing, ok := s.place(c)
	if outgoing != nil {
		s.refuseConn(displaced, outgoing)
		outgoing.kill()
	}
	if ok {
		return
	}
	s.refuseConn(refusal, c)
	if !s.placeTurnedAway(c) {
		c.kill()
	}
}

// place has c served, unless there is no room, or none for its address. When all
// places are taken it gives c that of another connection, which the caller kills. After
// Shutdown began it closes c.
func (s *Server) place(c *conn) (refusal outcome, outgoing *conn, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		c.kill()
		return 0, nil, true
	}
	if !s.crowd.enter(c.peer) {
		return crowded, nil, false
	}
	if s.serving >= s.cfg.MaxConns {
		if outgoing = s.room.yielding(s.cfg.MaxConns); outgoing == nil {
			s.crowd.leave(c.peer)
			return overloaded, nil, false
		}
		s.vacate(outgoing)
	}
	s.serving++
	c.placed = true
	s.room.enter(c)
	s.run(c, s.serve, func() { s.vacate(c) })
	return 0, outgoing, true
}

// vacate gives c's place back, if it has one. The caller holds mu.
func (s *Server) vacate(c *conn) {
	if !c.placed {
		return
	}
	c.placed = false
	s.room.leave(c)
	s.crowd.leave(c.peer)
	s.serving--
}

// placeStranger has c served among the few that are turned away: a stranger gets
// his 403, but none of the places that callers need.
func (s *Server) placeStranger(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() || s.turned >= maxTurnedAway {
		s.refuseConn(forbidden, c)
		c.kill()
		return
	}
	s.turned++
	s.run(c, s.serve, func() { s.turned-- })
}

// placeTurnedAway has c told that there is no room, unless there is none for
// that either. A TLS client is not told: it would cost a handshake.
func (s *Server) placeTurnedAway(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() || s.turned >= maxTurnedAway || s.cfg.TLS != nil {
		return false
	}
	s.turned++
	s.run(c, turnAway, func() { s.turned-- })
	return true
}

// run has a goroutine do work for c and give its place back by leave, under mu.
// The caller holds mu, so that Shutdown has either not begun to wait or
// finds c in open.
func (s *Server) run(c *conn, work func(*conn), leave func()) {
	s.open[c] = struct{}{}
	s.counters.open.Add(1)
	s.workers.run(func() {
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.open, c)
			s.counters.open.Add(-1)
			leave()
		}()
		work(c)
	})
}

// serve answers c's requests until it is closed.
func (s *Server) serve(c *conn) {
	// A fault in parsing must cost one connection, not the process: what
	// arrives here is chosen by strangers. Handler panics never get here.
	defer func() {
		if v := recover(); v != nil {
			s.counters.outcomes[panicked].Add(1)
			s.log.panicked(v, debug.Stack())
			c.setWaiting(true)
			c.kill()
		}
	}()
	if err := c.handshake(time.Now().Add(s.cfg.ReadTimeout)); err != nil {
		if !c.isDisplaced() { // else it has been counted
			s.refuseConn(handshakeFailed, c)
		}
		c.kill()
		return
	}
	// The error repeats what serveError and conn have counted already.
	_ = s.http.ServeConn(c)
}

// turnAway tells c that there is no room.
func turnAway(c *conn) {
	c.linger = true
	if c.SetWriteDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = c.Write([]byte(overloadReply)) // counted by conn
	}
	_ = c.Close()
}
