package evening

import (
	"time"

	"bintubridge/subjects"
)

// client is a publisher or player and its connections, one after the other.
type client struct {
	number      int // by which it is told apart, in the order of the plan
	connections []connection
	due         time.Duration // of the next request
	stage       stage
	since       time.Duration // when the connection asked
	accepted    bool          // its ask was
	again       bool          // it asks for the second time
	wandered    bool          // it asked to play the victim's stream, and is taken for it from then on
}

// connection is what one connection of a client does when it is let.
type connection struct {
	kind       string // subjects.KindPublish or KindPlay
	id, second uint32 // clientid, and that of a second attempt after a refusal; 0: there is none
	addr, name string
	args       string // behind the '?' of the stream name
	start, end time.Duration
	ends       ending
	victim     string // a publisher plays this stream too; "": none
	told       bool   // the media server tells publish_done although it was refused
	bitrate    int    // bits/s of the stream
}

// ending is how a connection ends.
type ending uint8

const (
	done     ending = iota // and the media server tells so
	silent                 // nothing is told
	rejected               // the media server does not take it: it tells the done at once
)

// stage is what a connection says next.
type stage uint8

const (
	asks stage = iota
	asksVictim
	updates
	tells
	tellsPlay // of a publisher that played, too
)

// The media server's and the clients' reactions, of the evening.
const (
	tryAgain = 5 * time.Second
	reacts   = 300 * time.Millisecond
)

func (c *client) connection() *connection { return &c.connections[0] }

// answered moves on after the answer to a request, and reports whether there is another one.
func (c *client) answered(o *Options, accepted bool) bool {
	conn := c.connection()
	switch c.stage {
	case asks:
		if !accepted {
			return c.refused()
		}
		c.accepted = true
		switch {
		case conn.ends == rejected:
			return c.then(tells, c.due+reacts)
		case conn.victim != "":
			return c.then(asksVictim, c.due+reacts)
		}
		return c.goesOn(o)
	case asksVictim:
		if !accepted {
			return c.then(tells, c.due+reacts)
		}
		return c.goesOn(o)
	case updates:
		if !accepted {
			return c.then(tells, c.due+reacts)
		}
		return c.goesOn(o)
	case tells:
		if c.wandered {
			return c.then(tellsPlay, c.due)
		}
	}
	return c.next()
}

func (c *client) then(s stage, due time.Duration) bool {
	c.stage, c.due = s, due
	return true
}

// goesOn waits for the next update or the end.
func (c *client) goesOn(o *Options) bool {
	conn := c.connection()
	if o.Updates > 0 && c.due+o.Updates < conn.end {
		return c.then(updates, c.due+o.Updates)
	}
	if conn.ends == silent {
		return c.next()
	}
	return c.then(tells, max(conn.end, c.due))
}

// refused is what happens after a 403 to publish or play.
func (c *client) refused() bool {
	conn := c.connection()
	switch {
	case conn.told:
		return c.then(tells, c.due+reacts)
	case conn.second != 0 && !c.again:
		c.again = true
		return c.then(asks, c.due+tryAgain)
	}
	return false // and has no reason to come back
}

// next goes on with the next connection.
func (c *client) next() bool {
	turnedAway := !c.accepted
	c.connections, c.accepted, c.again, c.wandered = c.connections[1:], false, false, false
	if turnedAway || len(c.connections) == 0 {
		return false
	}
	return c.then(asks, max(c.due, c.connection().start))
}

// hangUp leaves now, and reports whether there is something to tell.
func (c *client) hangUp(now time.Duration) bool {
	c.connections = c.connections[:1]
	switch {
	case c.stage == asks:
		return false
	case c.stage == tells || c.stage == tellsPlay:
		return true
	case c.connection().ends == silent:
		return false
	}
	return c.then(tells, now)
}

// request is the call and body of the stage.
func (c *client) request(o *Options) (subjects.Call, []byte) {
	conn := c.connection()
	switch c.stage {
	case asks:
		c.since = c.due
	case asksVictim:
		c.wandered = true
	}
	w := wire{call: conn.call(c.stage), id: conn.id, name: conn.name, lasted: o.played(c.due - c.since)}
	if c.again {
		w.id = conn.second
	}
	if c.wandered {
		w.name = conn.victim
	}
	return w.call, conn.body(o, w)
}

func (conn *connection) call(s stage) subjects.Call {
	play := conn.kind == subjects.KindPlay
	switch {
	case s == asksVictim, s == asks && play:
		return subjects.Play
	case s == asks:
		return subjects.Publish
	case s == updates && play:
		return subjects.UpdatePlay
	case s == updates:
		return subjects.UpdatePublish
	case s == tellsPlay, play:
		return subjects.PlayDone
	}
	return subjects.PublishDone
}
