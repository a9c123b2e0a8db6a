package decide

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"

	"bintubridge/subjects"
)

const (
	// senderName is the longest name that a sender passes on, in bytes: bintu's media
	// servers cut names there.
	senderName = 2047
	// maxName is the longest name or pattern of a rule, in bytes.
	maxName = senderName + 1
	// maxReason is the longest reason, in bytes. It goes into every event.
	maxReason = 256
)

const (
	wantEffect   = `"allow" or "deny"`
	wantSomeItem = "leave the field out to match anything, or name at least one"
)

func (c *compiler) effect(v value) Effect {
	if text, ok := c.string(v); ok {
		if effect, err := ParseEffect(text); err == nil {
			return effect
		}
	}
	c.refuse(v, wantEffect)
	return Deny
}

func (c *compiler) calls(v value) callSet {
	const want = "one of publish, play, update_publish (or publish_update), update_play, connect"
	var set callSet
	c.texts(v, func(v value, text string) {
		call := subjects.ParseCall(text)
		switch {
		case call.Asks():
			set |= 1 << call
		case call == subjects.UnknownCall:
			c.refuse(v, want)
		default:
			c.refuse(v, want+": "+text+" only tells what has happened and is never decided")
		}
	})
	return set
}

func (c *compiler) priority(v value) int32 {
	n, err := strconv.ParseInt(c.raw(v), 10, 32)
	if err != nil {
		c.refuse(v, "an integer from -2147483648 to 2147483647")
	}
	return int32(n)
}

func (c *compiler) names(list value) (exact []string, globs []glob) {
	c.texts(list, func(v value, text string) {
		switch {
		case text == "" || len(text) > maxName:
			c.refuse(v, fmt.Sprintf("a stream name of 1 to %d bytes, in which * stands for any run of bytes", maxName))
		case strings.Contains(text, "*"):
			globs = append(globs, parseGlob(text))
		default:
			if exact == nil {
				exact = make([]string, 0, c.count(list))
			}
			exact = append(exact, text)
		}
	})
	return exact, globs
}

func (c *compiler) apps(v value) []string {
	apps := make([]string, 0, c.count(v))
	c.texts(v, func(v value, text string) {
		switch {
		case text == "":
			c.refuse(v, "the name of an application; leave the field out to match any")
		case strings.Contains(text, "*"):
			c.refuse(v, "the exact name of an application: only name has patterns")
		default:
			apps = append(apps, text)
		}
	})
	return apps
}

func (c *compiler) networks(v value) []netip.Prefix {
	networks := make([]netip.Prefix, 0, c.count(v))
	c.texts(v, func(v value, text string) {
		network, want := parseNetwork(text)
		if want != "" {
			c.refuse(v, want)
			return
		}
		networks = append(networks, network)
	})
	return networks
}

// parseNetwork reads a CIDR or one address. IPv4 written in IPv6 becomes IPv4,
// as it does in requests. On a mistake it returns what is wanted instead.
func parseNetwork(text string) (network netip.Prefix, want string) {
	const wantNetwork = `a network as "17.31.0.0/16" or "2001:db8::/32", or one address`
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, wantNetwork
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), ""
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, wantNetwork
	}
	if masked := network.Masked(); masked != network {
		return netip.Prefix{}, quote(masked.String()) + ", the network itself: host bits are set"
	}
	return unmapped(network), ""
}

// unmapped returns a network of IPv4 written in IPv6 as IPv4.
func unmapped(network netip.Prefix) netip.Prefix {
	const mappedBits = 128 - 32
	if network.Addr().Is4In6() && network.Bits() >= mappedBits {
		return netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-mappedBits)
	}
	return network
}

func (c *compiler) time(v value) time.Time {
	text, ok := c.string(v)
	t, err := time.Parse(time.RFC3339, text)
	if !ok || err != nil || t.IsZero() || looseTime(text) {
		c.refuse(v, `a time of RFC 3339, as "2026-12-01T00:00:00Z"`)
		return time.Time{}
	}
	return t
}

// looseTime reports the spellings that time.Parse takes beyond RFC 3339: an
// hour of one digit, and a comma before the fraction.
func looseTime(text string) bool {
	return strings.IndexByte(text, ':') != len("2006-01-02T15") || strings.Contains(text, ",")
}

func (c *compiler) reason(v value) string {
	text, ok := c.string(v)
	if !ok || len(text) > maxReason || strings.ContainsFunc(text, unicode.IsControl) {
		c.refuse(v, fmt.Sprintf("a text of at most %d bytes without control characters", maxReason))
	}
	return text
}

const wantCustom = `a list of values, as ["red"], or an object of "sha256" and "present"`

func (c *compiler) custom(v value) []customCondition {
	if !c.is(v, kindObject) && !c.is(v, kindNull) {
		c.refuse(v, `an object of custom fields, as {"team":["red"]}`)
		return nil
	}
	if c.empty(v) {
		c.refuse(v, wantSomeItem)
		return nil
	}
	c.once(v)
	var conditions []customCondition
	for name, v := range c.members(v) {
		field, _ := c.string(name)
		if field == "" {
			c.refuseAs(v, "no field name", "the name of a custom field")
		}
		conditions = append(conditions, c.customCondition(field, v))
	}
	return conditions
}

func (c *compiler) customCondition(field string, v value) customCondition {
	condition := customCondition{field: field}
	switch {
	case c.is(v, kindList):
		condition.equal = make([]string, 0, c.count(v))
		c.texts(v, func(_ value, text string) { condition.equal = append(condition.equal, text) })
		return condition
	case !c.is(v, kindObject) || c.empty(v):
		c.refuse(v, wantCustom)
		return condition
	}
	c.once(v)
	for name, v := range c.members(v) {
		switch key, _ := c.string(name); key {
		case "sha256":
			condition.sums = c.sums(v)
		case "present":
			condition.presence = c.presence(v)
		default:
			c.unknown(key, v, "sha256, present")
		}
	}
	if condition.presence == presenceNo && len(condition.sums) > 0 {
		c.refuseAs(v, "sha256 with present false", "one of the two: an absent field has no sum, so the rule never applies")
	}
	return condition
}

func (c *compiler) sums(v value) [][sha256.Size]byte {
	sums := make([][sha256.Size]byte, 0, c.count(v))
	c.texts(v, func(v value, text string) {
		sum, err := hex.DecodeString(text)
		if err != nil || len(sum) != sha256.Size {
			// Not shown: it may be the secret itself, which belongs in no log.
			c.refuseAs(v, fmt.Sprintf("a text of %d bytes", len(text)), "the SHA-256 of the value, 64 hexadecimal digits")
			return
		}
		sums = append(sums, [sha256.Size]byte(sum))
	})
	return sums
}

func (c *compiler) presence(v value) presence {
	switch yes, ok := c.boolean(v); {
	case !ok:
		return presenceAny
	case yes:
		return presenceYes
	}
	return presenceNo
}

func (c *compiler) boolean(v value) (yes, ok bool) {
	if !c.is(v, kindBool) {
		c.refuse(v, "true or false")
		return false, false
	}
	return c.raw(v) == "true", true
}

// texts reads a condition's list of at least one string and gives each to item. What
// is no string is a mistake and left out.
func (c *compiler) texts(list value, item func(v value, text string)) {
	c.textsOr(list, wantSomeItem, item)
}

// textsOr is texts where an empty list gets a hint of its own.
func (c *compiler) textsOr(list value, wantSome string, item func(v value, text string)) {
	if !c.is(list, kindList) && !c.is(list, kindNull) {
		c.refuse(list, "a list of strings")
		return
	}
	if c.empty(list) {
		c.refuse(list, wantSome)
		return
	}
	for _, v := range c.elements(list) {
		if text, ok := c.string(v); ok {
			item(v, text)
		} else {
			c.refuse(v, "a string")
		}
	}
}
