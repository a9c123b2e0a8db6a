// Package outbound sends what consumers tell the world: signed webhooks, and messages by
// shoutrrr. What it says about failures holds no secret of a URL.
package outbound

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrPrivate says that a name led to an address of a private network.
var ErrPrivate = errors.New("requests to private addresses are not allowed")

// Guard says where requests may go: to public addresses, and to Allow. The zero value is
// strict. It looks at the address that is dialed, so a name that changes its address
// gets nowhere.
type Guard struct{ Allow []netip.Prefix }

// Anywhere allows all addresses.
func Anywhere() Guard {
	return Guard{[]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}
}

// special are the networks that are not of the public Internet, beyond those that net/netip
// knows (IANA's special-purpose registries). Some of IPv6 hold an IPv4 address.
func special() []string {
	return []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	}
}

// Check returns an error when nothing may go to the address.
func (g Guard) Check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	for _, p := range g.Allow {
		if p.Contains(addr) {
			return nil
		}
	}
	private := !addr.IsGlobalUnicast() || addr.IsPrivate()
	for _, text := range special() {
		private = private || netip.MustParsePrefix(text).Contains(addr)
	}
	if private {
		return fmt.Errorf("%w: %s", ErrPrivate, addr)
	}
	return nil
}

// control is called with the address behind the name, before anything is sent there.
func (g Guard) control(_, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPrivate, err)
	}
	return g.Check(addr.Addr())
}

// Timeout bounds a request, its answer included.
const Timeout = 20 * time.Second

// transport takes no proxy from the environment: one would dial what the guard refuses.
func (g Guard) transport() *http.Transport {
	d := net.Dialer{Timeout: 10 * time.Second, Control: g.control}
	return &http.Transport{
		DialContext: d.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConns: 100, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 64 << 10,
	}
}
