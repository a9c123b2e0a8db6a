package subjects

import "bytes"

// The W3C trace context of an event, https://www.w3.org/TR/trace-context/: that of the
// HTTP request it was made from. Only an event whose request carried it has the headers.
const (
	HeaderTraceParent = "traceparent" // see ValidTraceParent
	HeaderTraceState  = "tracestate"  // see AppendTraceState; left out when there is none
)

// Limits of the trace context, in bytes and members.
const (
	traceParentLen  = 55  // of version 00: two digits, 32, 16 and two, joined by dashes
	maxTraceParent  = 255 // of later versions
	maxTraceState   = 512 // what the standard asks at least
	maxTraceMembers = 32
	maxTracePart    = 256 // a key or a value
)

// ValidTraceParent reports whether value is a traceparent. One of a version after 00
// begins as version 00 does; what it has behind a further dash is passed on unread.
func ValidTraceParent(value []byte) bool {
	if len(value) < traceParentLen || len(value) > maxTraceParent {
		return false
	}
	version, trace, parent, flags := value[:2], value[3:35], value[36:52], value[53:55]
	if value[2] != '-' || value[35] != '-' || value[52] != '-' ||
		!isTraceHex(version) || !isTraceHex(trace) || !isTraceHex(parent) || !isTraceHex(flags) ||
		string(version) == "ff" || isZeros(trace) || isZeros(parent) {
		return false
	}
	more := value[traceParentLen:]
	if len(more) == 0 {
		return true
	}
	return string(version) != "00" && more[0] == '-' && allBytes(more, func(c byte) bool { return c > ' ' && c <= '~' })
}

func isTraceHex(digits []byte) bool {
	return allBytes(digits, func(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' })
}

func isZeros(digits []byte) bool {
	return allBytes(digits, func(c byte) bool { return c == '0' })
}

func allBytes(text []byte, is func(byte) bool) bool {
	for _, c := range text {
		if !is(c) {
			return false
		}
	}
	return true
}

// AppendTraceState appends the tracestate that lines make together, which are the values
// of the headers of this name in their order. Blanks around members and empty members are
// left out. A list that is not as the standard says, or longer than 512 bytes, is left out
// whole. It does not allocate when dst has room.
func AppendTraceState(dst []byte, lines ...[]byte) []byte {
	before := len(dst)
	var keys [maxTraceMembers][]byte
	members := 0
	for _, line := range lines {
		for more := true; more; {
			var member []byte
			member, line, more = bytes.Cut(line, []byte{','})
			if member = bytes.Trim(member, " \t"); len(member) == 0 {
				continue
			}
			key, ok := traceKey(member)
			if !ok || members == maxTraceMembers || len(dst)-before+1+len(member) > maxTraceState {
				return dst[:before]
			}
			for _, other := range keys[:members] {
				if bytes.Equal(key, other) {
					return dst[:before]
				}
			}
			keys[members] = key
			if members++; members > 1 {
				dst = append(dst, ',')
			}
			dst = append(dst, member...)
		}
	}
	return dst
}

// traceKey returns the key of a list member, key=value, when both are as the standard
// says. The value has no comma, where members are cut.
func traceKey(member []byte) (key []byte, ok bool) {
	key, text, ok := bytes.Cut(member, []byte{'='})
	if !ok || len(key) == 0 || len(key) > maxTracePart || len(text) == 0 || len(text) > maxTracePart {
		return nil, false
	}
	first := key[0]
	ok = first != '_' && first != '-' && first != '*' && first != '/' && first != '@' &&
		allBytes(key, isTraceKeyByte) && allBytes(text, func(c byte) bool { return c >= ' ' && c <= '~' && c != '=' })
	return key, ok
}

func isTraceKeyByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '*' || c == '/' || c == '@'
}
