package bridge

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Size is a number of bytes, written 4096, 64KiB, 10MiB or 1GiB.
type Size int64

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"", 1}}

// UnmarshalText reads a size; it must be at least one byte.
func (s *Size) UnmarshalText(text []byte) error {
	for _, unit := range sizeUnits {
		digits, ok := strings.CutSuffix(string(text), unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 1 || n > math.MaxInt64/unit.bytes {
			break
		}
		*s = Size(n * unit.bytes)
		return nil
	}
	return fmt.Errorf("want a size of at least 1 byte, such as 4096, 64KiB, 10MiB or 1GiB")
}

// FullPolicy says what a request gets whose event cannot be spooled.
type FullPolicy uint8

// The policies of BRIDGE_SPOOL_FULL.
const (
	FullAnswer FullPolicy = iota // the decision; the event is lost and counted
	FullReject                   // 503
)

// UnmarshalText reads answer or reject.
func (p *FullPolicy) UnmarshalText(text []byte) error {
	return choose(p, text, "answer", "reject")
}

// StalePolicy says what publish and play get from stale rules.
type StalePolicy uint8

// The policies of BRIDGE_RULES_STALE.
const (
	StaleKeep StalePolicy = iota // what the last known rules say
	StaleDeny                    // a denial
)

// UnmarshalText reads keep or deny.
func (p *StalePolicy) UnmarshalText(text []byte) error {
	return choose(p, text, "keep", "deny")
}

// LogFormat is how log lines look.
type LogFormat uint8

// The formats of BRIDGE_LOG_FORMAT.
const (
	LogText LogFormat = iota
	LogJSON
)

// UnmarshalText reads text or json.
func (f *LogFormat) UnmarshalText(text []byte) error {
	return choose(f, text, "text", "json")
}

// choose sets v to the position of text among names.
func choose[T ~uint8](v *T, text []byte, names ...string) error {
	for i, name := range names {
		if string(text) == name {
			*v = T(i)
			return nil
		}
	}
	return fmt.Errorf("want %s", strings.Join(names, " or "))
}

// Networks is a list of addresses and CIDRs, comma-separated.
type Networks []netip.Prefix

// UnmarshalText reads the list; its error tells of each entry that is wrong.
func (n *Networks) UnmarshalText(text []byte) error {
	entries := strings.Split(string(text), ",")
	list := make(Networks, 0, len(entries))
	var problems []string
	for _, entry := range entries {
		p, err := parsePrefix(strings.TrimSpace(entry))
		if err != nil {
			problems = append(problems, err.Error())
		}
		list = append(list, p)
	}
	if problems != nil {
		return errors.New(strings.Join(problems, "; "))
	}
	*n = list
	return nil
}

// all reports whether the list has all addresses, of IPv4 or IPv6.
func (n Networks) all() bool {
	return slices.ContainsFunc(n, func(p netip.Prefix) bool { return p.Bits() == 0 })
}

// guard reports whether the list keeps anybody out.
func (n Networks) guard() bool { return len(n) > 0 && !n.all() }

// parsePrefix reads a CIDR or a single address. IPv4 written as IPv6 is IPv4.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is no address or CIDR: want 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32", text)
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("%q has bits behind its length: want %s", text, p.Masked())
	case p.Addr().Is4In6():
		return netip.PrefixFrom(p.Addr().Unmap(), max(p.Bits()-96, 0)), nil
	}
	return p, nil
}
