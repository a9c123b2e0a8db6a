package subjects

import (
	"errors"
	"fmt"
	"time"
)

// The headers of an event: CloudEvents 1.0, binary mode of the NATS binding.
// Names are case-sensitive in NATS and written exactly like this.
const (
	HeaderSpecVersion = "ce-specversion"     // SpecVersion
	HeaderID          = "ce-id"              // the event's id
	HeaderSource      = "ce-source"          // AppendSource
	HeaderType        = "ce-type"            // AppendType
	HeaderTime        = "ce-time"            // AppendTime of received_at
	HeaderSubject     = "ce-subject"         // AppendPercent of the name; left out when there is none
	HeaderContentType = "ce-datacontenttype" // ContentType
	HeaderMsgID       = "Nats-Msg-Id"        // the event's id: JetStream's duplicate window compares it
)

// The values of the headers that never change.
const (
	SpecVersion = "1.0"
	ContentType = "application/json"
)

// ErrPercent is wrapped by the errors of DecodePercent.
var ErrPercent = errors.New("not percent-encoded")

// AppendPercent appends s as the CloudEvents binding writes a header value:
// bytes outside 0x21 to 0x7E, the double quote and the percent sign become %HH.
func AppendPercent(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '%' {
			dst = appendPercentByte(dst, c)
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// DecodePercent returns the text AppendPercent wrote. As the binding asks of a
// reader it takes digits of either case and bytes that needed no escape; its
// errors wrap ErrPercent.
func DecodePercent(s string) (string, error) {
	text := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			text = append(text, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("%w: %q ends inside a %%HH", ErrPercent, s)
		}
		b, ok := unhexUpper(upper(s[i+1]), upper(s[i+2]))
		if !ok {
			return "", fmt.Errorf("%w: %q at byte %d, a %%HH has hexadecimal digits", ErrPercent, s[i:i+3], i)
		}
		text = append(text, b)
		i += 2
	}
	return string(text), nil
}

// AppendSource appends the ce-source of a bridge: /bridge/<name>. Every byte
// but [A-Za-z0-9_.~-] of the name is percent-encoded, so that the value is a
// URI reference whether or not a reader decodes the header first.
func AppendSource(dst []byte, bridge string) []byte {
	dst = append(dst, "/bridge/"...)
	for i := range len(bridge) {
		if c := bridge[i]; isTokenByte(c) || c == '.' || c == '~' {
			dst = append(dst, c)
		} else {
			dst = appendPercentByte(dst, c)
		}
	}
	return dst
}

// AppendTime appends t in UTC as RFC 3339 with exactly six fractional digits,
// the form of received_at and ce-time.
func AppendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	micros := t.Nanosecond() / 1000
	// Only the layout without a fraction has a fast path. It ends in Z.
	dst = t.AppendFormat(dst, time.RFC3339)
	dst = append(dst[:len(dst)-1], '.')
	for unit := 100_000; unit > 0; unit /= 10 {
		dst = append(dst, byte('0'+micros/unit%10))
	}
	return append(dst, 'Z')
}

func appendPercentByte(dst []byte, c byte) []byte {
	return append(dst, '%', upperHex[c>>4], upperHex[c&15])
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// The headers of a dead letter: a message of the stream DEAD is what a consumer gave up on, with
// its own headers beside these. Its subject is dead.<consumer>.<subject it had>.
const (
	HeaderDeadReason   = "dead-reason"   // why: one line
	HeaderDeadConsumer = "dead-consumer" // who gave up
	HeaderDeadStream   = "dead-stream"   // where the message is stored
	HeaderDeadSequence = "dead-sequence" // and its sequence there
	HeaderDeadSubject  = "dead-subject"  // the subject it had
	HeaderDeadBody     = "dead-body"     // DeadBodyLeft, when the letter would have been too large with it
)

// DeadBodyLeft says that a dead letter's body is only where the message came from.
const DeadBodyLeft = "left"

// HeaderRedrive names the one consumer that a message was published again for. Others
// have seen it.
const HeaderRedrive = "redrive-consumer"
