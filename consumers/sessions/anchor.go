package sessions

import "time"

// maxShift is how far our idea of the server's time may be off.
const maxShift = 5 * time.Second

// anchor tells the server's time without its help: what it said once, and what has passed since
// by a clock that nobody sets.
type anchor struct {
	server time.Time
	here   time.Time // with a monotonic reading
}

func newAnchor(server time.Time) anchor { return anchor{server, time.Now()} }

func (a anchor) now() time.Time { return a.server.Add(time.Since(a.here)) }

// shift takes what the server says now, and reports whether that is a surprise.
func (a *anchor) shift(server time.Time) bool {
	off := server.Sub(a.now())
	*a = newAnchor(server)
	return off > maxShift || off < -maxShift
}
