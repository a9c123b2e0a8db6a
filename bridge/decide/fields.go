package decide

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"

	"bintubridge/subjects"
)

const (
	// maxName is the longest name or pattern, in bytes: bintu's media servers
	// cut names at 2047.
	maxName = 2048
	// maxReason is the longest reason, in bytes. It goes into every event.
	maxReason = 256
)

const (
	wantEffect   = `"allow" or "deny"`
	wantSomeItem = "leave the field out to match anything, or name at least one"
)

func (c *compiler) effect(raw json.RawMessage) Effect {
	if text, ok := textOf(raw); ok {
		if effect, err := ParseEffect(text); err == nil {
			return effect
		}
	}
	c.add("effect", show(raw), wantEffect)
	return Deny
}

func (c *compiler) calls(raw json.RawMessage) callSet {
	const want = "one of publish, play, update_publish (or publish_update), update_play, connect"
	var set callSet
	c.texts("calls", raw, func(path, text string) {
		call := subjects.ParseCall(text)
		switch {
		case call.Asks():
			set |= 1 << call
		case call == subjects.UnknownCall:
			c.add(path, quote(text), want)
		default:
			c.add(path, quote(text), want+": "+text+" only tells what has happened and is never decided")
		}
	})
	return set
}

func (c *compiler) priority(raw json.RawMessage) int32 {
	n, err := strconv.ParseInt(string(raw), 10, 32)
	if err != nil {
		c.add("priority", show(raw), "an integer from -2147483648 to 2147483647")
	}
	return int32(n)
}

func (c *compiler) names(raw json.RawMessage) (exact []string, globs []glob) {
	c.texts("name", raw, func(path, text string) {
		switch {
		case text == "" || len(text) > maxName:
			c.add(path, quote(text), fmt.Sprintf("a stream name of 1 to %d bytes, in which * stands for any run of bytes", maxName))
		case strings.Contains(text, "*"):
			globs = append(globs, parseGlob(text))
		default:
			exact = append(exact, text)
		}
	})
	return exact, globs
}

func (c *compiler) apps(raw json.RawMessage) []string {
	var apps []string
	c.texts("app", raw, func(path, text string) {
		switch {
		case text == "":
			c.add(path, quote(text), "the name of an application; leave the field out to match any")
		case strings.Contains(text, "*"):
			c.add(path, quote(text), "the exact name of an application: only name has patterns")
		default:
			apps = append(apps, text)
		}
	})
	return apps
}

func (c *compiler) networks(raw json.RawMessage) []netip.Prefix {
	var networks []netip.Prefix
	c.texts("addr", raw, func(path, text string) {
		network, want := parseNetwork(text)
		if want != "" {
			c.add(path, quote(text), want)
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
	const mappedBits = 128 - 32
	if network.Addr().Is4In6() && network.Bits() >= mappedBits {
		network = netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-mappedBits)
	}
	return network, ""
}

func (c *compiler) time(m member) time.Time {
	text, ok := textOf(m.value)
	t, err := time.Parse(time.RFC3339, text)
	if !ok || err != nil || t.IsZero() || looseTime(text) {
		c.add(m.key, show(m.value), `a time of RFC 3339, as "2026-12-01T00:00:00Z"`)
		return time.Time{}
	}
	return t
}

// looseTime reports the spellings that time.Parse takes beyond RFC 3339: an
// hour of one digit, and a comma before the fraction.
func looseTime(text string) bool {
	return strings.IndexByte(text, ':') != len("2006-01-02T15") || strings.Contains(text, ",")
}

func (c *compiler) reason(raw json.RawMessage) string {
	text, ok := textOf(raw)
	if !ok || len(text) > maxReason || strings.ContainsFunc(text, unicode.IsControl) {
		c.add("reason", show(raw), fmt.Sprintf("a text of at most %d bytes without control characters", maxReason))
	}
	return text
}

const wantCustom = `a list of values, as ["red"], or an object of "sha256" and "present"`

func (c *compiler) custom(raw json.RawMessage) []customCondition {
	if kindOf(raw) != kindObject && kindOf(raw) != kindNull {
		c.add("custom", show(raw), `an object of custom fields, as {"team":["red"]}`)
		return nil
	}
	var members []member
	if kindOf(raw) == kindObject {
		members = c.members("custom", raw)
	}
	if len(members) == 0 {
		c.add("custom", show(raw), wantSomeItem)
	}
	conditions := make([]customCondition, 0, len(members))
	for _, m := range members {
		path := join("custom", m.key)
		if m.key == "" {
			c.add(path, "no field name", "the name of a custom field")
		}
		conditions = append(conditions, c.customCondition(path, m))
	}
	return conditions
}

func (c *compiler) customCondition(path string, m member) customCondition {
	condition := customCondition{field: m.key}
	switch kindOf(m.value) {
	case kindList:
		c.texts(path, m.value, func(_, text string) { condition.equal = append(condition.equal, text) })
		return condition
	case kindObject:
	default:
		c.add(path, show(m.value), wantCustom)
		return condition
	}
	members := c.members(path, m.value)
	if len(members) == 0 {
		c.add(path, show(m.value), wantCustom)
	}
	for _, m := range members {
		field := join(path, m.key)
		switch m.key {
		case "sha256":
			condition.sums = c.sums(field, m.value)
		case "present":
			condition.presence = c.presence(field, m.value)
		default:
			c.unknown(path, m.key, "sha256, present")
		}
	}
	if condition.presence == presenceNo && len(condition.sums) > 0 {
		c.add(path, "sha256 with present false", "one of the two: an absent field has no sum, so the rule never applies")
	}
	return condition
}

func (c *compiler) sums(path string, raw json.RawMessage) [][sha256.Size]byte {
	var sums [][sha256.Size]byte
	c.texts(path, raw, func(path, text string) {
		sum, err := hex.DecodeString(text)
		if err != nil || len(sum) != sha256.Size {
			// Not shown: it may be the secret itself, which belongs in no log.
			c.add(path, fmt.Sprintf("a text of %d bytes", len(text)), "the SHA-256 of the value, 64 hexadecimal digits")
			return
		}
		sums = append(sums, [sha256.Size]byte(sum))
	})
	return sums
}

func (c *compiler) presence(path string, raw json.RawMessage) presence {
	switch string(raw) {
	case "true":
		return presenceYes
	case "false":
		return presenceNo
	}
	c.add(path, show(raw), "true or false")
	return presenceAny
}

// texts reads a list of at least one string and gives each, with its path, to
// item. What is no string is a mistake and left out.
func (c *compiler) texts(path string, raw json.RawMessage, item func(path, text string)) {
	if kind := kindOf(raw); kind != kindList && kind != kindNull {
		c.add(path, show(raw), "a list of strings")
		return
	}
	elements, err := elementsOf(raw)
	if err != nil || len(elements) == 0 {
		c.add(path, show(raw), wantSomeItem)
		return
	}
	for i, element := range elements {
		path := path + "[" + strconv.Itoa(i) + "]"
		if text, ok := textOf(element); ok {
			item(path, text)
		} else {
			c.add(path, show(element), "a string")
		}
	}
}
