package decide

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// oracleAddr is what parseAddr is: netip's reading, without a zone.
func oracleAddr(text string) netip.Addr {
	text, _, _ = strings.Cut(text, "%")
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap()
}

var addrTexts = []string{
	"", ".", "...", "0.0.0.0", "255.255.255.255", "256.0.0.0", "1.2.3", "1.2.3.", "1.2.3.4.", "1.2.3.4.5", ".1.2.3", "1..2.3",
	"01.2.3.4", "1.2.3.04", "00.0.0.0", "1.2.3.4%eth0", "1.2.3.4%", "%", "1.2.3.4 ", "-1.2.3.4", "1.2.3.4/8", "1.2.3.0x4", "99999999999999999999.1.1.1",
	"::", "::1", "fe80::1%eth0", "::ffff:10.0.0.1", "::ffff:10.0.0.01", "2001:DB8::1", "1", "unix:", "unix:/run/x.sock", "cafe",
}

// checkAddr holds parseAddr to the oracle.
func checkAddr(t rapid.TB, text string) {
	t.Helper()
	if got, want := parseAddr(text), oracleAddr(text); got != want {
		t.Fatalf("%q: got %v, want %v", text, got, want)
	}
}

// However an address is written, or something else that is none: it is read as netip reads it.
func TestParseAddrAgreesWithNetip(t *testing.T) {
	letters := rapid.StringOfN(rapid.SampledFrom([]rune("0125689...:f%x")), 0, 16, -1)
	octet := rapid.SampledFrom([]string{"0", "1", "9", "10", "99", "199", "249", "250", "255", "256", "260", "300", "999", "00", "01", "001", ""})
	octets := rapid.Map(rapid.SliceOfN(octet, 3, 5), func(octets []string) string { return strings.Join(octets, ".") })
	rapid.Check(t, func(t *rapid.T) { checkAddr(t, rapid.OneOf(letters, octets).Draw(t, "text")) })
}

func FuzzParseAddr(f *testing.F) {
	for _, text := range addrTexts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { checkAddr(t, text) })
}

func BenchmarkParseAddr(b *testing.B) {
	for _, text := range []string{"17.31.43.214", "2001:db8::17:214", "unix:/run/rtmp.sock"} {
		b.Run(text, func(b *testing.B) {
			for b.Loop() {
				parseAddr(text)
			}
		})
	}
}
