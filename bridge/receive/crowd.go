package receive

import (
	"net/netip"
	"slices"
)

// crowd counts the connections that are served by the address they come from, so
// that one address cannot hold all places. Its size is bounded by MaxConns. The
// Server's mu guards it.
type crowd struct {
	max    int            // connections of one address
	exempt []netip.Prefix // whose connections are not counted: callers one knows, proxies
	served map[netip.Addr]int
}

func newCrowd(limit int, known callers) crowd {
	exempt := slices.Concat(known.allowed, known.proxies)
	return crowd{max: limit, exempt: exempt, served: make(map[netip.Addr]int)}
}

// enter counts a connection of peer in, unless there are too many.
func (c *crowd) enter(peer netip.Addr) bool {
	if !c.counted(peer) {
		return true
	}
	from := origin(peer)
	if c.served[from] >= c.max {
		return false
	}
	c.served[from]++
	return true
}

// leave counts a connection out that had entered.
func (c *crowd) leave(peer netip.Addr) {
	if !c.counted(peer) {
		return
	}
	from := origin(peer)
	if c.served[from]--; c.served[from] == 0 {
		delete(c.served, from)
	}
}

// counted reports whether peer is limited. A peer without an IP address (a Unix
// socket) is on this machine.
func (c *crowd) counted(peer netip.Addr) bool {
	return peer.IsValid() && !contains(c.exempt, peer)
}

// origin returns what one client can have: an IPv4 address, or an IPv6 network of
// 64 bits, of which a client may use any address.
func origin(peer netip.Addr) netip.Addr {
	if peer.Is4() {
		return peer
	}
	network, err := peer.Prefix(64)
	if err != nil {
		return peer // has no network of 64 bits: not IPv6
	}
	return network.Addr()
}
