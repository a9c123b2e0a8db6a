package admin

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Connections that may be open. Each is an open file of the process, and webhooks need
// those. Any further one is closed at once.
const (
	maxConns        = 1024
	maxConnsPerAddr = 64 // of one address, an IPv6 network of 64 bits counting as one
)

// crowd counts the open connections by the address they come from.
type crowd struct {
	log *slog.Logger

	mu   sync.Mutex
	all  int
	of   map[netip.Addr]int
	told throttle
}

func newCrowd(log *slog.Logger) *crowd {
	return &crowd{log: log, of: make(map[netip.Addr]int)}
}

// enter counts a connection of peer, who has to leave, and reports whether it may stay.
func (c *crowd) enter(peer netip.Addr) bool {
	from := origin(peer)
	c.mu.Lock()
	c.all++
	c.of[from]++
	stays := c.all <= maxConns && c.of[from] <= maxConnsPerAddr
	suppressed, tell := 0, false
	if !stays {
		suppressed, tell = c.told.pass(time.Now())
	}
	c.mu.Unlock()
	if tell {
		c.log.Warn("too many connections at the admin listener", "peer", peer, "suppressed", suppressed)
	}
	return stays
}

// leave counts a connection out.
func (c *crowd) leave(peer netip.Addr) {
	from := origin(peer)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.of[from]--; c.of[from] == 0 {
		delete(c.of, from)
	}
}
