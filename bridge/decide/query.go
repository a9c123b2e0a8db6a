package decide

import (
	"crypto/sha256"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unsafe"
)

// query is one request on its way through the rules, with what was worked out
// for one rule and serves the next. It lives on Decide's stack.
type query struct {
	in  *Input
	now time.Time

	addr       netip.Addr // invalid: not readable, in no network
	addrParsed bool

	digests [maxDigests]digest
	spare   int // the digest to give up next when all are taken

	inspected   [maxInspected]inspection
	inspections int // how many of them are there

	why       error      // what is wrong with the last token or expression where something was
	variables *variables // of expressions; nil: none has run yet
}

// maxInspected bounds how many different token conditions one request makes work for.
const maxInspected = 16

// inspection is what was found out of a token.
type inspection struct {
	token  *Token // the condition that wanted it
	claims *checkedToken
	err    error
}

// maxDigests is how many fields a query keeps the sums of.
const maxDigests = 4

// digest is the SHA-256 of a field's value.
type digest struct {
	field string // "": free; no field has this name
	sum   [sha256.Size]byte
}

// from reports whether the request's address is in one of the networks.
func (q *query) from(networks []netip.Prefix) bool {
	addr := q.address()
	return addr.IsValid() && slices.ContainsFunc(networks, func(network netip.Prefix) bool { return network.Contains(addr) })
}

// address returns the request's address, invalid when it has none.
func (q *query) address() netip.Addr {
	if !q.addrParsed {
		q.addr, q.addrParsed = parseAddr(q.in.Addr), true
	}
	return q.addr
}

// parseAddr reads an address without its zone, and IPv4 in IPv6 as IPv4. What
// is no address, as "unix:…", gives the invalid Addr, which no network contains.
func parseAddr(text string) netip.Addr {
	if addr, ok := parseIPv4(text); ok {
		return addr
	}
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

// parseIPv4 reads what most addresses are, in one pass. It takes only what
// netip.ParseAddr takes: four numbers to 255 without leading zeros.
func parseIPv4(text string) (addr netip.Addr, ok bool) {
	var octets [4]byte
	at, octet, digits := 0, 0, 0
	for i := range len(text) {
		b := text[i]
		if b == '.' && digits > 0 && at < 3 {
			octets[at] = byte(octet)
			at, octet, digits = at+1, 0, 0
			continue
		}
		octet = 10*octet + int(b-'0')
		if digits++; b < '0' || b > '9' || octet > 255 || digits > 1 && octet < 10 {
			return netip.Addr{}, false
		}
	}
	octets[at] = byte(octet)
	return netip.AddrFrom4(octets), at == 3 && digits > 0
}

func isAddrByte(b byte) bool {
	switch {
	case '0' <= b && b <= '9', 'a' <= b && b <= 'f', 'A' <= b && b <= 'F', b == '.', b == ':':
		return true
	}
	return false
}

// sum returns the SHA-256 of a field's value. The sums of the last few fields
// are kept: many rules with keys must not make a long value expensive.
func (q *query) sum(field, value string) *[sha256.Size]byte {
	for i := range q.digests {
		if d := &q.digests[i]; d.field == field && field != "" {
			return &d.sum
		}
	}
	d := &q.digests[q.spare]
	q.spare = (q.spare + 1) % maxDigests
	d.field, d.sum = field, sha256.Sum256(bytesOf(value))
	return &d.sum
}

// bytesOf returns the text's own bytes, for what only reads them: a plain
// conversion would copy them to the heap.
func bytesOf(text string) []byte {
	return unsafe.Slice(unsafe.StringData(text), len(text)) //nolint:gosec // G103, see above
}
