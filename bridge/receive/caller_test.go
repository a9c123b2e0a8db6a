package receive

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, text := range list {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

func TestCaller(t *testing.T) {
	proxies := prefixes("10.0.0.0/8", "fd00::/8", "::ffff:192.0.2.0/120")
	for _, tt := range []struct {
		name, peer string
		forwarded  []string
		want       string // empty: unknown
	}{
		{"direct", "198.51.100.1", nil, "198.51.100.1"},
		{"a stranger's header means nothing", "198.51.100.1", []string{"203.0.113.9"}, "198.51.100.1"},
		{"proxy without header", "10.1.1.1", nil, "10.1.1.1"},
		{"proxy", "10.1.1.1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"the caller's own claim is left of his address", "10.1.1.1", []string{"1.1.1.1, 203.0.113.9"}, "203.0.113.9"},
		{"two proxies", "10.1.1.1", []string{"1.1.1.1, 203.0.113.9, 10.2.2.2"}, "203.0.113.9"},
		{"several headers are one list", "10.1.1.1", []string{"1.1.1.1", "203.0.113.9,10.2.2.2", "10.3.3.3"}, "203.0.113.9"},
		{"only proxies: the first of them", "10.1.1.1", []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3"},
		{"empty elements", "10.1.1.1", []string{" , 203.0.113.9 ,\t, ", ","}, "203.0.113.9"},
		{"empty header", "10.1.1.1", []string{""}, "10.1.1.1"},
		{"garbage", "10.1.1.1", []string{"203.0.113.9, unknown"}, ""},
		{"garbage behind a proxy", "10.1.1.1", []string{"203.0.113.9, x, 10.2.2.2"}, ""},
		{"garbage in the caller's claim", "10.1.1.1", []string{"x, 203.0.113.9"}, "203.0.113.9"},
		{"a network is no address", "10.1.1.1", []string{"203.0.113.0/24"}, ""},
		{"leading zeros", "10.1.1.1", []string{"203.0.113.010"}, ""},
		{"overlong", "10.1.1.1", []string{strings.Repeat("1", 100)}, ""},
		{"with port", "10.1.1.1", []string{"203.0.113.9:4711"}, "203.0.113.9"},
		{"IPv6", "fd00::1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"IPv6 with port", "fd00::1", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"IPv6 with zone", "fd00::1", []string{"fe80::1%eth0"}, "fe80::1"},
		{"mapped address", "fd00::1", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{"mapped proxy in the list", "::ffff:10.1.1.1", []string{"203.0.113.9, ::ffff:10.2.2.2"}, "203.0.113.9"},
		{"proxy named by a mapped network", "192.0.2.7", []string{"203.0.113.9"}, "203.0.113.9"},
		{"unix socket", "", []string{"203.0.113.9"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var header fasthttp.RequestHeader
			for _, line := range tt.forwarded {
				header.Add("x-forwarded-for", line)
			}
			var peer net.Addr = &net.UnixAddr{}
			if tt.peer != "" {
				peer = &net.TCPAddr{IP: net.ParseIP(tt.peer), Zone: "eth0"}
			}
			c := newCallers(nil, proxies)
			got := c.caller(peerAddr(peer), &header)
			if tt.want == "" && got.IsValid() || tt.want != "" && got.String() != tt.want {
				t.Errorf("caller = %v, want %q", got, tt.want)
			}
		})
	}
}

// TestCallerMatchesOracle compares with the obvious way: join, split, parse,
// walk from the right.
func TestCallerMatchesOracle(t *testing.T) {
	proxies := prefixes("10.0.0.0/8")
	hops := rapid.SampledFrom([]string{"10.1.1.1", "10.2.2.2", " 203.0.113.9", "198.51.100.1 ", "", " ", "junk", "::ffff:10.9.9.9"})
	lines := rapid.SliceOfN(rapid.SliceOfN(hops, 0, 4), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		var header fasthttp.RequestHeader
		var all []string
		for _, line := range lines.Draw(t, "lines") {
			header.Add("X-Forwarded-For", strings.Join(line, ","))
			all = append(all, line...)
		}
		want := netip.MustParseAddr("10.1.1.1")
		for i := len(all) - 1; i >= 0; i-- {
			hop := strings.TrimSpace(all[i])
			if hop == "" {
				continue
			}
			want, _ = netip.ParseAddr(hop)
			want = want.Unmap()
			if !want.IsValid() || !proxies[0].Contains(want) {
				break
			}
		}
		c := newCallers(nil, proxies)
		if got := c.caller(netip.MustParseAddr("10.1.1.1"), &header); got != want {
			t.Fatalf("caller of %q = %v, want %v", all, got, want)
		}
	})
}

// TestAllowList goes over the wire, where the peer is 127.0.0.1.
func TestAllowList(t *testing.T) {
	forwarded := func(by string) string {
		return "POST /hook HTTP/1.1\r\nHost: b\r\nX-Forwarded-For: " + by + "\r\nContent-Length: 0\r\n\r\n"
	}
	for _, tt := range []struct {
		name    string
		cfg     Config
		request string
		want    string
	}{
		{"listed", Config{AllowFrom: prefixes("::1/128", "127.0.0.0/8")}, post("/hook", ""), ok},
		{"listed as mapped", Config{AllowFrom: prefixes("::ffff:127.0.0.0/104")}, post("/hook", ""), ok},
		{"not listed", Config{AllowFrom: prefixes("10.0.0.0/8")}, post("/hook", ""), noClose},
		{"not listed, before the path", Config{AllowFrom: prefixes("10.0.0.0/8")}, post("/x", ""), noClose},
		{"a list of nothing valid", Config{AllowFrom: []netip.Prefix{{}}}, post("/hook", ""), noClose},
		{"forwarded and listed", Config{AllowFrom: prefixes("203.0.113.0/24"), TrustedProxies: prefixes("127.0.0.1/32")}, forwarded("203.0.113.9"), ok},
		{"forwarded and not listed", Config{AllowFrom: prefixes("127.0.0.0/8"), TrustedProxies: prefixes("127.0.0.1/32")}, forwarded("203.0.113.9"), noClose},
		{"forwarded by a stranger", Config{AllowFrom: prefixes("203.0.113.0/24")}, forwarded("203.0.113.9"), noClose},
		{"forwarded garbage", Config{AllowFrom: prefixes("0.0.0.0/0", "::/0"), TrustedProxies: prefixes("127.0.0.1/32")}, forwarded("?"), noClose},
		{"forwarded garbage where everyone may call", Config{TrustedProxies: prefixes("127.0.0.1/32")}, forwarded("?"), ok},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &recorder{}
			s, addr := started(t, tt.cfg, h)
			c := dial(t, addr)
			send(t, c, tt.request)
			expect(t, c, tt.want)
			if tt.want == noClose && (s.Stats().Forbidden != 1 || h.taken() != nil) {
				t.Errorf("Forbidden = %d, bodies %q", s.Stats().Forbidden, h.taken())
			}
		})
	}
}

// FuzzParseHop holds that any element is read without a fault and that what is
// read is an address a prefix can contain.
func FuzzParseHop(f *testing.F) {
	for _, seed := range []string{"", "1.2.3.4", "1.2.3.4:5", "::1", "[::1]:5", "fe80::1%eth0", "::ffff:1.2.3.4", "unknown", "_hidden", "1.2.3.4, 5"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		addr := parseHop(text)
		if addr.IsValid() && (addr.Is4In6() || addr.Zone() != "" || !netip.PrefixFrom(addr, addr.BitLen()).Contains(addr)) {
			t.Fatalf("parseHop(%q) = %v", text, addr)
		}
	})
}
