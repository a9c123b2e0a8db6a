package receive

import "container/ring"

// room has the connections that are served, in the order in which they have to give
// their places to new ones when all are taken: those that have not brought a whole
// request yet before those that have, and the ones that came first before later ones.
// So half requests, however many and from wherever, hold no place that a caller needs.
// The Server's mu guards it.
type room struct {
	newcomers ring.Ring // the rings' own elements stand before the first connection
	known     ring.Ring // were seen to have brought a request
}

// enter takes c in as the last one.
func (r *room) enter(c *conn) {
	c.place.Value = c
	r.newcomers.Prev().Link(&c.place)
}

// leave takes c out.
func (*room) leave(c *conn) { c.place.Prev().Unlink(1) }

// yielding returns a connection that has given up its place, or nil when each has a
// request being answered. The caller takes it out, and closes it. Of the known ones
// each is passed over once after a request, and so goes the one that is quiet for
// longest, more or less; places is how many there may be in all.
func (r *room) yielding(places int) *conn {
	for {
		c, ok := r.newcomers.Next().Value.(*conn)
		switch {
		case !ok: // no connection is left there
			return r.yieldingKnown(places)
		case c.yield():
			return c
		}
		r.pass(c)
	}
}

func (r *room) yieldingKnown(places int) *conn {
	for range places + 1 { // once round, and the first of them again
		c, ok := r.known.Next().Value.(*conn)
		switch {
		case !ok:
			return nil
		case c.yield():
			return c
		}
		r.pass(c)
	}
	return nil
}

// pass puts c behind all others that have brought a request.
func (r *room) pass(c *conn) {
	r.leave(c)
	r.known.Prev().Link(&c.place)
}
