package sessions

import "bintubridge/subjects"

// wrap is where the media server's counters start over.
const wrap = 1 << 32

// counter adds up a counter of 32 bits over its wraps, as far as readings tell them, and over the
// connections of a session.
type counter struct {
	Base int64 `json:"base"`
	Last int64 `json:"last"`
}

// read takes a reading of the connection's counter. One that is absent or no count is ignored.
func (c *counter) read(n subjects.Number) {
	v, err := n.Int64()
	if err != nil {
		return
	}
	if -wrap/2 <= v && v < 0 { // printed as a signed number
		v += wrap
	}
	if v < 0 || v > 1<<53 {
		return
	}
	if v < c.Last && c.Last < wrap {
		c.Base += wrap
	}
	c.Last = v
}

// restart begins with a new connection, whose counter is 0.
func (c *counter) restart() {
	c.Base += c.Last
	c.Last = 0
}

func (c *counter) total() int64 { return c.Base + c.Last }
