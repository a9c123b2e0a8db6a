package receive

import (
	"container/ring"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// lingerTime and lingerBytes bound how long, and for how much, the rest of
	// a request that was answered unread is thrown away. Closing at once would
	// make the kernel reset the connection and the reply could be lost.
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10
)

// conn is a client's connection as fasthttp sees it. It knows whether a
// request is under way, which fasthttp does not tell for connections it did
// not accept itself, and which Shutdown must know.
type conn struct {
	net.Conn          // what requests are read from: TLS over the socket, or the socket
	socket   net.Conn // what kill closes
	peer     netip.Addr
	counters *counters

	// Owned by the goroutine that serves the connection.
	readErr error // why reading ended inside a request
	linger  bool  // part of the request is unread, Close must not reset the connection

	// Owned by the Server's mu.
	place  ring.Ring // in room
	placed bool      // counted among serving

	mu       sync.Mutex
	waiting  bool      // for the first byte of a request; written by the serving goroutine alone, which reads it without mu
	readBy   time.Time // the deadline fasthttp asked for
	draining bool
	lastCall time.Time // with draining: when waiting ends

	answering bool // a whole request, until its reply is written
	asked     bool // since yield was last called
	displaced bool // the place is given up: nothing is answered any more
}

func newConn(socket net.Conn, tlsConfig *tls.Config, counters *counters) *conn {
	c := &conn{Conn: socket, socket: socket, peer: peerAddr(socket.RemoteAddr()), counters: counters, waiting: true}
	if tlsConfig != nil {
		c.Conn = tls.Server(socket, tlsConfig)
	}
	return c
}

// handshake sets TLS up, where the server has it, before the deadline.
func (c *conn) handshake(deadline time.Time) error {
	tlsConn, ok := c.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	if err := errors.Join(c.SetReadDeadline(deadline), c.SetWriteDeadline(deadline)); err != nil {
		return err
	}
	// No context: the deadlines bound the handshake, and kill ends it.
	if err := tlsConn.HandshakeContext(context.Background()); err != nil {
		return err
	}
	return c.SetWriteDeadline(time.Time{})
}

// setState is fasthttp's ConnState hook. It runs on the serving goroutine.
func setState(nc net.Conn, state fasthttp.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	switch state {
	case fasthttp.StateActive:
		c.setWaiting(false)
	case fasthttp.StateIdle, fasthttp.StateClosed:
		c.setWaiting(true)
	}
}

// setWaiting notes that a request begins (false) or is over (true).
func (c *conn) setWaiting(waiting bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if waiting == c.waiting {
		return
	}
	c.waiting = waiting
	if waiting {
		c.answering = false
		c.counters.inFlight.Add(-1)
		return
	}
	c.counters.inFlight.Add(1)
	if c.draining {
		// The request came at the last call: it gets its whole time. A
		// deadline that cannot be set shows as a failing read.
		_ = c.Conn.SetReadDeadline(c.readBy)
	}
}

// answer notes that a whole request is going to be answered. It returns false when
// the connection has lost its place before.
func (c *conn) answer() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answering, c.asked = !c.displaced, true
	return c.answering
}

// yield gives the connection's place up, unless a request is being answered or was since
// yield was last called. Other goroutines call it; the caller kills the connection.
func (c *conn) yield() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answering || c.asked {
		c.asked = false
		return false
	}
	c.displaced = true
	return true
}

// isDisplaced reports whether the connection has lost its place.
func (c *conn) isDisplaced() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.displaced
}

// drain makes a waiting connection end at deadline unless a request begins
// before. Other goroutines call it, and yield and kill, and nothing else.
func (c *conn) drain(deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining, c.lastCall = true, deadline
	if c.waiting {
		_ = c.Conn.SetReadDeadline(c.effective(c.readBy))
	}
}

// effective returns the deadline to read by when fasthttp asks for t. The
// caller holds mu.
func (c *conn) effective(t time.Time) time.Time {
	if c.draining && c.waiting && (t.IsZero() || c.lastCall.Before(t)) {
		return c.lastCall
	}
	return t
}

// SetReadDeadline is net.Conn's, bounded by the last call.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readBy = t
	return c.Conn.SetReadDeadline(c.effective(t))
}

// Read is net.Conn's. Its errors tell fasthttp what an end of input means: a
// connection may end between requests, and then nobody is owed a reply, but
// inside one the end is an error.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	switch {
	case err == nil || n > 0:
		return n, err
	case c.waiting:
		return 0, io.EOF
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	c.readErr = err
	return 0, err
}

// Write is net.Conn's, counting replies that did not get out.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil && !c.isDisplaced() {
		c.counters.unsent.Add(1)
	}
	return n, err
}

// readOutcome says how reading a request failed: the connection's own trouble,
// if it had any, else the fault is in what was sent.
func (c *conn) readOutcome() outcome {
	switch {
	case c.readErr == nil:
		return malformed
	case errors.Is(c.readErr, os.ErrDeadlineExceeded):
		return timedOut
	}
	return truncated
}

// Close ends the connection. It is called by the serving goroutine; others
// call kill.
func (c *conn) Close() error {
	c.setWaiting(true)
	if c.linger {
		c.linger = false
		c.discardRest()
	}
	return c.Conn.Close()
}

// discardRest tells the client that the reply is complete and reads what it
// still sends, within bounds.
func (c *conn) discardRest() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if c.Conn.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes) // whatever ends it, the connection is closed next
}

// kill cuts the connection off: reads and writes under way fail at once.
func (c *conn) kill() { _ = c.socket.Close() }
