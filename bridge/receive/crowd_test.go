package receive

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestCrowd(t *testing.T) {
	addr := netip.MustParseAddr
	known := newCallers(prefixes("10.0.0.0/8"), prefixes("2001:db8:1::/48"))
	for _, tt := range []struct {
		name          string
		first, second netip.Addr
		room          bool // for the second beside the first, where one address may have one
	}{
		{"another address", addr("192.0.2.1"), addr("192.0.2.2"), true},
		{"the same", addr("192.0.2.1"), addr("192.0.2.1"), false},
		{"the same, mapped", addr("192.0.2.1"), canonical(addr("::ffff:192.0.2.1")), false},
		{"the same IPv6 network of 64 bits", addr("2001:db8::1"), addr("2001:db8::ffff:1"), false},
		{"another IPv6 network", addr("2001:db8::1"), addr("2001:db8:0:1::1"), true},
		{"allowed callers", addr("10.0.0.1"), addr("10.0.0.1"), true},
		{"trusted proxies", addr("2001:db8:1::1"), addr("2001:db8:1::1"), true},
		{"no address", netip.Addr{}, netip.Addr{}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCrowd(1, known)
			if !c.enter(tt.first) {
				t.Fatal("no room for the first")
			}
			if got := c.enter(tt.second); got != tt.room {
				t.Errorf("room for the second: %v, want %v", got, tt.room)
			}
			c.leave(tt.first)
			if tt.room {
				c.leave(tt.second)
			}
			if len(c.served) != 0 {
				t.Errorf("all have left, still counted: %v", c.served)
			}
		})
	}
}

// TestCrowdMatchesOracle compares with a list of who is in.
func TestCrowdMatchesOracle(t *testing.T) {
	peers := rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:9::1"})
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 3).Draw(t, "limit")
		c := newCrowd(limit, newCallers(nil, nil))
		var in []netip.Addr
		network := func(a netip.Addr) netip.Prefix {
			bits := 64
			if a.Is4() {
				bits = 32
			}
			return netip.PrefixFrom(a, bits).Masked()
		}
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				peer, same := netip.MustParseAddr(peers.Draw(t, "peer")), 0
				for _, other := range in {
					if network(other) == network(peer) {
						same++
					}
				}
				if got := c.enter(peer); got != (same < limit) {
					t.Fatalf("enter(%s) = %v beside %d of its own", peer, got, same)
				} else if got {
					in = append(in, peer)
				}
			},
			"leave": func(t *rapid.T) {
				if len(in) == 0 {
					t.Skip("nobody is in")
				}
				i := rapid.IntRange(0, len(in)-1).Draw(t, "who")
				c.leave(in[i])
				in = append(in[:i], in[i+1:]...)
			},
		})
	})
}

// TestMaxConnsPerAddr goes over the wire: 127.0.0.2 has its one place, is told that
// there is no second, and gets another when the first is free.
func TestMaxConnsPerAddr(t *testing.T) {
	s, addr := started(t, Config{MaxConnsPerAddr: 1}, &recorder{})
	first := dialFrom(t, "127.0.0.2", addr)
	expectKept(t, first, "/hook")
	second := dialFrom(t, "127.0.0.2", addr)
	expect(t, second, fullHouse)
	expectClosed(t, second)
	expectKept(t, dial(t, addr), "/hook") // 127.0.0.1 has places of its own

	if got := s.Stats(); got.Crowded != 1 || got.Overloaded != 0 {
		t.Errorf("Crowded = %d, Overloaded = %d, want 1 and 0", got.Crowded, got.Overloaded)
	}
	_ = first.Close()
	eventually(t, "the place free again", func() bool { return s.Stats().Open == 1 })
	expectKept(t, dialFrom(t, "127.0.0.2", addr), "/hook")
}

// TestKnownCallersAreNoCrowd shows who may have more than the limit.
func TestKnownCallersAreNoCrowd(t *testing.T) {
	for name, cfg := range map[string]Config{
		"allowed": {AllowFrom: prefixes("127.0.0.0/8")},
		"proxy":   {TrustedProxies: prefixes("127.0.0.1/32")},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.MaxConnsPerAddr = 1
			_, addr := started(t, cfg, &recorder{})
			for range 5 {
				expectKept(t, dial(t, addr), "/hook") // and stays open
			}
		})
	}
}

// dialFrom connects to addr from another address of this machine.
func dialFrom(t *testing.T, from, addr string) *net.TCPConn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}
