package decide

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unsafe"

	"bintubridge/subjects"
)

// callSet is a set of calls, one bit each.
type callSet uint16

func (s callSet) has(c subjects.Call) bool { return s&(1<<c) != 0 }

// rule is one compiled rule. It never changes, so tables share it. An empty
// condition holds for every request.
type rule struct {
	name     string // "<document>/<id>", what a Decision shows
	reason   string
	effect   Effect
	calls    callSet
	priority int32

	exact     []string // stream names; Table finds these rules by name
	globs     []glob
	apps      []string
	networks  []netip.Prefix
	custom    []customCondition
	notBefore time.Time // zero: none
	expiresAt time.Time // zero: none
}

// compare orders rules by who decides: negative when r goes before other.
func (r *rule) compare(other *rule) int {
	if r.priority != other.priority {
		if r.priority > other.priority {
			return -1
		}
		return 1
	}
	if r.effect != other.effect {
		if r.effect != Allow {
			return -1
		}
		return 1
	}
	return strings.Compare(r.name, other.name)
}

// anyName reports whether the rule has no condition on the stream name.
func (r *rule) anyName() bool { return len(r.exact) == 0 && len(r.globs) == 0 }

// matchesPattern reports whether a rule from the list of patterns wants the
// name. Its exact names are not looked at: they are in the table's index.
func (r *rule) matchesPattern(name string) bool {
	for i := range r.globs {
		if r.globs[i].match(name) {
			return true
		}
	}
	return r.anyName()
}

// applies reports whether all conditions but the name hold. The dear ones come
// last.
func (r *rule) applies(q *query) bool {
	if !r.calls.has(q.in.Call) {
		return false
	}
	if !r.notBefore.IsZero() && q.now.Before(r.notBefore) {
		return false
	}
	if !r.expiresAt.IsZero() && !q.now.Before(r.expiresAt) {
		return false
	}
	if len(r.apps) > 0 && !slices.Contains(r.apps, q.in.App) {
		return false
	}
	if len(r.networks) > 0 && !q.from(r.networks) {
		return false
	}
	for i := range r.custom {
		if !r.custom[i].holds(q) {
			return false
		}
	}
	return true
}

// presence says whether a custom field has to be there.
type presence uint8

const (
	presenceAny presence = iota
	presenceYes
	presenceNo
)

// customCondition is what a rule wants of one custom field. Everything it has
// must hold.
type customCondition struct {
	field    string
	presence presence
	equal    []string
	sums     [][sha256.Size]byte
}

func (c *customCondition) holds(q *query) bool {
	var value string
	var present bool
	if q.in.Custom != nil {
		value, present = q.in.Custom.Get(c.field)
	}
	if !present {
		return c.presence == presenceNo
	}
	if c.presence == presenceNo {
		return false
	}
	if len(c.equal) > 0 && !slices.Contains(c.equal, value) {
		return false
	}
	return len(c.sums) == 0 || matchesSum(c.sums, q.sum(c.field, value))
}

// matchesSum compares with every sum, in constant time: neither how far a value
// agrees nor which of several keys it is shows in how long the answer takes.
func matchesSum(sums [][sha256.Size]byte, sum *[sha256.Size]byte) bool {
	match := 0
	for i := range sums {
		match |= subtle.ConstantTimeCompare(sums[i][:], sum[:])
	}
	return match == 1
}

// query is one request on its way through the rules, with what was worked out
// for one rule and serves the next. It lives on Decide's stack.
type query struct {
	in  *Input
	now time.Time

	addr       netip.Addr // invalid: not readable, in no network
	addrParsed bool

	digest      [sha256.Size]byte // of digestField's value
	digestField string
	digested    bool
}

// from reports whether the request's address is in one of the networks.
func (q *query) from(networks []netip.Prefix) bool {
	if !q.addrParsed {
		q.addr, q.addrParsed = parseAddr(q.in.Addr), true
	}
	return q.addr.IsValid() && slices.ContainsFunc(networks, func(network netip.Prefix) bool { return network.Contains(q.addr) })
}

// parseAddr reads an address without its zone, and IPv4 in IPv6 as IPv4. What
// is no address, as "unix:…", gives the invalid Addr, which no network contains.
func parseAddr(text string) netip.Addr {
	text, _, _ = strings.Cut(text, "%")
	for i := range len(text) {
		// Looked at first, because an error of ParseAddr is an allocation.
		if !isAddrByte(text[i]) {
			return netip.Addr{}
		}
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap()
}

func isAddrByte(b byte) bool {
	switch {
	case '0' <= b && b <= '9', 'a' <= b && b <= 'f', 'A' <= b && b <= 'F', b == '.', b == ':':
		return true
	}
	return false
}

// sum returns the SHA-256 of a field's value. Rules that stand side by side
// mostly look at the same field, so the last sum is kept: many rules with keys
// must not make a long value expensive.
func (q *query) sum(field, value string) *[sha256.Size]byte {
	if !q.digested || q.digestField != field {
		// A plain conversion would copy the value to the heap. Sum256 only reads.
		bytes := unsafe.Slice(unsafe.StringData(value), len(value)) //nolint:gosec // G103, see above
		q.digest = sha256.Sum256(bytes)
		q.digestField, q.digested = field, true
	}
	return &q.digest
}
