package webhook

import (
	"strings"
	"unsafe"
)

// pair is one undecoded key and value of a form.
type pair struct {
	key, value string
	assigned   bool // there is a '='
}

// empty reports whether the pair holds nothing, as between the two '&' of "a&&b".
func (p pair) empty() bool { return p.key == "" && !p.assigned }

// cutPair splits the first pair off form.
func cutPair(form string) (p pair, rest string) {
	text := form
	if i := strings.IndexByte(form, '&'); i >= 0 {
		text, rest = form[:i], form[i+1:]
	}
	if i := strings.IndexByte(text, '='); i >= 0 {
		return pair{text[:i], text[i+1:], true}, rest
	}
	return pair{key: text}, rest
}

// verbatim reports whether raw decodes to itself.
func verbatim(raw string) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] == '%' || raw[i] == '+' {
			return false
		}
	}
	return true
}

// appendDecoded appends raw, form-decoded. When an escape is broken it reports
// false, and what it appended is worthless. It never appends more than len(raw)
// bytes.
func appendDecoded(dst []byte, raw string) ([]byte, bool) {
	for i := 0; i < len(raw); {
		c, width := decodeByte(raw[i:])
		if width == 0 {
			return dst, false
		}
		dst = append(dst, c)
		i += width
	}
	return dst, true
}

// appendText appends what raw stands for: its decoded text, or its own bytes
// when an escape is broken.
func appendText(dst []byte, raw string) []byte {
	if decoded, ok := appendDecoded(dst, raw); ok {
		return decoded
	}
	return append(dst, raw...)
}

// decodesTo reports whether raw stands for want. want is plain text.
func decodesTo(raw, want string) bool {
	if len(raw) <= len(want) {
		return raw == want // an escape only shortens
	}
	n := 0
	for i := 0; i < len(raw); n++ {
		c, width := decodeByte(raw[i:])
		if width == 0 || n == len(want) || c != want[n] {
			return false
		}
		i += width
	}
	return n == len(want)
}

// decodeByte returns the first byte that raw, which is not empty, stands for,
// and how many bytes of raw it takes: 0 when the escape is broken.
func decodeByte(raw string) (c byte, width int) {
	switch raw[0] {
	case '+':
		return ' ', 1
	case '%':
		if len(raw) < 3 {
			return 0, 0
		}
		hi, ok1 := unhex(raw[1])
		lo, ok2 := unhex(raw[2])
		if !ok1 || !ok2 {
			return 0, 0
		}
		return hi<<4 | lo, 3
	}
	return raw[0], 1
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// appendEscaped appends text as the senders escape their own values: nginx's
// NGX_ESCAPE_ARGS, upper-case digits. It leaves '=' alone: in a value it is
// harmless, and the keys are the sender's.
func appendEscaped(dst []byte, text string) []byte {
	const digits = "0123456789ABCDEF"
	for i := 0; i < len(text); i++ {
		c := text[i]
		if escaped(c) {
			dst = append(dst, '%', digits[c>>4], digits[c&0xF])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

func escaped(c byte) bool {
	switch c {
	case ' ', '#', '%', '&', '+', ';', '?':
		return true
	}
	return c < 0x20 || c >= 0x7F
}

// view returns b's bytes as a string without a copy. The string changes when b
// does, so whoever hands it out says how long b stays untouched. It is the only
// unsafe operation of the package.
func view(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // length and data come from the same slice
}
