package subjects

import (
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends the event as JSON, always the fields in the same order and
// the id first. id, received_at, bridge, call, name, app, addr, clientid and
// custom are always there, every other field only when it is not empty.
// It does not allocate when dst has room.
//
// The output is valid JSON and valid UTF-8 whatever bytes the sender chose, and
// no object has the same key twice. Bytes that are not UTF-8 become U+FFFD,
// except in raw, where they become %HH: a form decoder reads the same bytes
// from it. <, >, &, U+2028 and U+2029 are escaped, so that the text is harmless
// inside a page.
func (e *Event) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, e.ID)
	dst = append(dst, `,"received_at":"`...)
	dst = AppendTime(dst, e.ReceivedAt)
	dst = append(dst, `","bridge":`...)
	dst = appendString(dst, e.Bridge)
	dst = append(dst, `,"call":`...)
	dst = appendString(dst, e.Call)
	dst = append(dst, `,"name":`...)
	dst = appendString(dst, e.Name)
	dst = append(dst, `,"app":`...)
	dst = appendString(dst, e.App)
	dst = append(dst, `,"addr":`...)
	dst = appendString(dst, e.Addr)
	dst = append(dst, `,"clientid":`...)
	dst = appendString(dst, e.ClientID)
	dst = e.appendOptional(dst)
	dst = append(dst, `,"custom":`...)
	dst = e.Custom.appendJSON(dst)
	if e.Decision != nil {
		dst = append(dst, `,"decision":`...)
		dst = e.Decision.appendJSON(dst)
	}
	if len(e.Shadow) > 0 {
		dst = append(dst, `,"shadow":`...)
		dst = appendShadow(dst, e.Shadow)
	}
	if e.Extra.Len() > 0 {
		dst = append(dst, `,"extra":`...)
		dst = e.Extra.appendJSON(dst)
	}
	if e.Raw != "" {
		dst = append(dst, `,"raw":"`...)
		dst = appendText(dst, e.Raw, appendPercentByte)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// appendOptional appends what only some calls have.
func (e *Event) appendOptional(dst []byte) []byte {
	dst = appendNotEmpty(dst, `,"type":`, e.Type)
	dst = appendNotEmpty(dst, `,"flashver":`, e.FlashVer)
	dst = appendNotEmpty(dst, `,"swfurl":`, e.SWFURL)
	dst = appendNotEmpty(dst, `,"tcurl":`, e.TCURL)
	dst = appendNotEmpty(dst, `,"pageurl":`, e.PageURL)
	dst = appendNotEmpty(dst, `,"recorder":`, e.Recorder)
	dst = appendNotEmpty(dst, `,"path":`, e.Path)
	dst = appendNumber(dst, `,"bytes_in":`, e.BytesIn)
	dst = appendNumber(dst, `,"bytes_out":`, e.BytesOut)
	dst = appendNumber(dst, `,"time":`, e.Time)
	dst = appendNumber(dst, `,"timestamp":`, e.Timestamp)
	dst = appendNumber(dst, `,"start":`, e.Start)
	dst = appendNumber(dst, `,"duration":`, e.Duration)
	dst = appendNumber(dst, `,"reset":`, e.Reset)
	return appendNumber(dst, `,"epoch":`, e.Epoch)
}

func (d *Decision) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"effect":`...)
	dst = appendEffect(dst, d.Effect)
	dst = append(dst, `,"rule":`...)
	dst = appendString(dst, d.Rule)
	dst = append(dst, `,"reason":`...)
	dst = appendString(dst, d.Reason)
	dst = append(dst, `,"revision":`...)
	dst = strconv.AppendUint(dst, d.Revision, 10)
	dst = append(dst, `,"rules_age_ms":`...)
	dst = strconv.AppendInt(dst, d.RulesAgeMS, 10)
	return append(dst, '}')
}

func appendShadow(dst []byte, shadow []ShadowDecision) []byte {
	for i := range shadow {
		dst = append(dst, "[,"[min(i, 1)])
		dst = append(dst, `{"rule":`...)
		dst = appendString(dst, shadow[i].Rule)
		dst = append(dst, `,"effect":`...)
		dst = appendEffect(dst, shadow[i].Effect)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// appendEffect writes anything but an allow as a deny, as a Decision nobody set
// is a denial.
func appendEffect(dst []byte, effect string) []byte {
	if effect == EffectAllow {
		return append(dst, `"allow"`...)
	}
	return append(dst, `"deny"`...)
}

func appendNotEmpty(dst []byte, key, text string) []byte {
	if text == "" {
		return dst
	}
	dst = append(dst, key...)
	return appendString(dst, text)
}

func appendNumber(dst []byte, key string, n Number) []byte {
	if n == "" {
		return dst
	}
	dst = append(dst, key...)
	return n.appendJSON(dst)
}

// appendString appends s as a JSON string.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	dst = appendText(dst, s, appendReplacement)
	return append(dst, '"')
}

// appendReplacement stands U+FFFD in for a byte that is not UTF-8.
func appendReplacement(dst []byte, _ byte) []byte {
	return append(dst, "\uFFFD"...)
}

// appendText appends s escaped for a JSON string, and what broken makes of
// each byte that is not UTF-8. Runs of plain text are copied in one piece.
func appendText(dst []byte, s string, broken func([]byte, byte) []byte) []byte {
	start := 0
	for i := 0; i < len(s); {
		if isPlain(s[i]) {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if size > 1 && r != '\u2028' && r != '\u2029' {
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		if r == utf8.RuneError { // of one byte: U+FFFD itself has three
			dst = broken(dst, s[i])
		} else {
			dst = appendEscape(dst, r)
		}
		i += size
		start = i
	}
	return append(dst, s[start:]...)
}

// appendEscape appends the escape of a rune below U+10000.
func appendEscape(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// isPlain reports whether c stands for itself in a JSON string.
func isPlain(c byte) bool {
	switch c {
	case '"', '\\', '<', '>', '&':
		return false
	}
	return ' ' <= c && c < utf8.RuneSelf
}
