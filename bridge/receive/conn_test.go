package receive

import (
	"net"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// clockedConn keeps the last read deadline.
type clockedConn struct {
	net.Conn
	deadline time.Time
}

func (c *clockedConn) RemoteAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)} }
func (c *clockedConn) SetReadDeadline(t time.Time) error { c.deadline = t; return nil }

// TestConnDeadlines holds which deadline applies when: while draining, a
// connection that waits has until the last call, and one in a request has the
// time fasthttp gave it.
func TestConnDeadlines(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	const never = -1
	type step struct {
		name string
		do   func(*conn)
		want int
	}
	set := func(seconds int) func(*conn) { return func(c *conn) { _ = c.SetReadDeadline(at(seconds)) } }
	state := func(s fasthttp.ConnState) func(*conn) { return func(c *conn) { setState(c, s) } }
	drain := func(c *conn) { c.drain(at(5)) }
	for name, steps := range map[string][]step{
		"drained before fasthttp starts": {{"drain", drain, 5}, {"set 10", set(10), 5}, {"active", state(fasthttp.StateActive), 10}},
		"drained while waiting": {{"set 10", set(10), 10}, {"drain", drain, 5}, {"active", state(fasthttp.StateActive), 10},
			{"idle", state(fasthttp.StateIdle), 10}, {"set 20", set(20), 5}},
		"drained in a request": {{"set 10", set(10), 10}, {"active", state(fasthttp.StateActive), 10}, {"drain", drain, 10},
			{"idle", state(fasthttp.StateIdle), 10}, {"set 20", set(20), 5}},
		"due before the last call": {{"set 2", set(2), 2}, {"drain", drain, 2}, {"set 1", set(1), 1}},
		"not drained":              {{"set 10", set(10), 10}, {"active", state(fasthttp.StateActive), 10}, {"idle", state(fasthttp.StateIdle), 10}},
		"nothing set":              {{"idle", state(fasthttp.StateIdle), never}},
	} {
		t.Run(name, func(t *testing.T) {
			socket := &clockedConn{}
			c := newConn(socket, nil, &counters{})
			for _, step := range steps {
				step.do(c)
				want := time.Time{}
				if step.want != never {
					want = at(step.want)
				}
				if !socket.deadline.Equal(want) {
					t.Fatalf("after %q the deadline is %v, want %v", step.name, socket.deadline, want)
				}
			}
		})
	}
}
