package receive

import (
	"bytes"
	"net"
	"net/netip"
	"unsafe"

	"github.com/valyala/fasthttp"
)

// callers knows who may call, and whose word about the caller counts.
type callers struct {
	allowed []netip.Prefix // empty: everybody
	proxies []netip.Prefix // whose X-Forwarded-For counts
}

func newCallers(allowed, proxies []netip.Prefix) callers {
	return callers{allowed: unmapped(allowed), proxies: unmapped(proxies)}
}

// unmapped returns prefixes with IPv4-mapped IPv6 ones written as IPv4, which
// is how addresses are compared.
func unmapped(prefixes []netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		out = append(out, p.Masked())
	}
	return out
}

// allow reports whether a request from peer may pass. Without an allow list
// nobody looks at the address, so that a proxy's odd header cannot refuse a
// stream.
func (c *callers) allow(peer netip.Addr, header *fasthttp.RequestHeader) bool {
	return len(c.allowed) == 0 || contains(c.allowed, c.caller(peer, header))
}

// stranger reports whether no request from peer can pass, whatever its headers
// say.
func (c *callers) stranger(peer netip.Addr) bool {
	return len(c.allowed) > 0 && !contains(c.allowed, peer) && !contains(c.proxies, peer)
}

// caller returns the address the request came from: the peer's, or, behind
// trusted proxies, the right-most X-Forwarded-For address that is not one of
// theirs. Everything left of that one is the caller's own claim. When all of
// them are proxies it is the left-most; when an address cannot be read, the
// caller is unknown and the zero Addr returned, which no list contains.
func (c *callers) caller(peer netip.Addr, header *fasthttp.RequestHeader) netip.Addr {
	if !contains(c.proxies, peer) {
		return peer
	}
	caller := peer
	lines := header.PeekAll(fasthttp.HeaderXForwardedFor)
	for i := len(lines) - 1; i >= 0; i-- {
		for rest := lines[i]; len(rest) > 0; {
			var hop []byte
			rest, hop = cutLast(rest)
			if len(hop) == 0 {
				continue // an empty list element means nothing (RFC 9110, section 5.6.1)
			}
			caller = parseHop(hop)
			if !contains(c.proxies, caller) {
				return caller
			}
		}
	}
	return caller
}

// cutLast splits the last element off a comma-separated list.
func cutLast(list []byte) (rest, last []byte) {
	comma := bytes.LastIndexByte(list, ',')
	if comma < 0 {
		return nil, bytes.TrimSpace(list)
	}
	return list[:comma], bytes.TrimSpace(list[comma+1:])
}

// maxHop is the length of the longest address a proxy has reason to write: an
// IPv6 address with an embedded IPv4 one, brackets, a zone and a port.
const maxHop = 80

// parseHop reads one X-Forwarded-For element: an address, or, as some load
// balancers write it, an address with a port. It returns the zero Addr for
// anything else.
func parseHop(text []byte) netip.Addr {
	if len(text) == 0 || len(text) > maxHop {
		return netip.Addr{}
	}
	// netip parses strings only and a conversion would allocate for each
	// request. It keeps no part of the text: zones it copies, and the error,
	// which quotes the text, is dropped here.
	s := unsafe.String(&text[0], len(text)) //nolint:gosec // the string does not outlive text, see above
	if addr, err := netip.ParseAddr(s); err == nil {
		return canonical(addr)
	}
	if addrPort, err := netip.ParseAddrPort(s); err == nil {
		return canonical(addrPort.Addr())
	}
	return netip.Addr{}
}

// peerAddr returns the address of a connection's other end, or the zero Addr
// when it is not an IP address (a Unix socket).
func peerAddr(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr, _ := netip.AddrFromSlice(tcp.IP)
	return canonical(addr)
}

// canonical returns addr as prefixes can contain it: IPv4 unmapped, no zone.
func canonical(addr netip.Addr) netip.Addr {
	return addr.Unmap().WithZone("")
}

// contains is a plain search: the lists hold a handful of networks.
func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
