package subjects

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// MaxTokenText is the longest text, in bytes, that a token holds whole. It is
// the length at which nginx-rtmp cuts names. A server closes a connection whose
// control line exceeds 4,096 bytes, and a publisher may choose a name of 2,047
// bytes, so a longer text has to become a shorter token.
const MaxTokenText = 255

// A cut token is the encoding of the first cutText bytes, cutMark, and the
// first cutHash bytes of the SHA-256 of the whole text in lower-case
// hexadecimal. cutText is MaxTokenText less the 32 digits of the hash.
const (
	cutText = 223
	cutMark = "=="
	cutHash = 16
)

// Errors of DecodeToken.
var (
	// ErrTokenCut says that the token stands for a text longer than
	// MaxTokenText. The text cannot be read from it; the event has it.
	ErrTokenCut = errors.New("token of a longer text, cut: read the event's field instead")
	// ErrToken says that AppendToken never writes such a token.
	ErrToken = errors.New("not an encoded token")
)

const upperHex = "0123456789ABCDEF"

// AppendToken appends text as one subject token, which is also a valid part of
// a KV key. [A-Za-z0-9_-] stay, any other byte becomes =HH with upper-case
// digits, and the empty text is "=". Different texts give different tokens.
// It does not allocate when dst has room for text and its token.
func AppendToken(dst []byte, text string) []byte {
	if text == "" {
		return append(dst, '=')
	}
	if len(text) <= MaxTokenText {
		return appendEscaped(dst, text)
	}
	// The text is hashed in dst's spare room: a []byte of it would be garbage.
	n := len(dst)
	dst = append(dst, text...)
	sum := sha256.Sum256(dst[n:])
	dst = appendEscaped(dst[:n], text[:cutText])
	dst = append(dst, cutMark...)
	return hex.AppendEncode(dst, sum[:cutHash])
}

func appendEscaped(dst []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; isTokenByte(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '=', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// DecodeToken returns the text of a token. Its errors wrap ErrToken, or
// ErrTokenCut for the token of a text longer than MaxTokenText. It accepts
// exactly what AppendToken writes, so one text never has two tokens.
func DecodeToken(token string) (string, error) {
	if token == "=" {
		return "", nil
	}
	if head, tail, cut := strings.Cut(token, cutMark); cut {
		text, err := unescapeToken(head)
		if err != nil {
			return "", err
		}
		if len(text) != cutText || len(tail) != 2*cutHash || strings.Trim(tail, "0123456789abcdef") != "" {
			return "", fmt.Errorf("%w: %q is no prefix of %d bytes, %s and %d lower-case hexadecimal digits",
				ErrToken, token, cutText, cutMark, 2*cutHash)
		}
		return "", ErrTokenCut
	}
	text, err := unescapeToken(token)
	if err != nil {
		return "", err
	}
	if text == "" || len(text) > MaxTokenText {
		return "", fmt.Errorf("%w: %d bytes of text, allowed are 1 to %d", ErrToken, len(text), MaxTokenText)
	}
	return text, nil
}

func unescapeToken(token string) (string, error) {
	text := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		if isTokenByte(c) {
			text = append(text, c)
			continue
		}
		if c != '=' {
			return "", fmt.Errorf("%w: %q at byte %d, allowed are letters, digits, _, - and =HH", ErrToken, token[i:i+1], i)
		}
		if i+2 >= len(token) {
			return "", fmt.Errorf("%w: %q ends inside an =HH", ErrToken, token)
		}
		b, ok := unhexUpper(token[i+1], token[i+2])
		if !ok || isTokenByte(b) {
			return "", fmt.Errorf("%w: %q at byte %d, an =HH has upper-case digits and stands for a byte that needs it",
				ErrToken, token[i:i+3], i)
		}
		text = append(text, b)
		i += 2
	}
	return string(text), nil
}

func unhexUpper(hi, lo byte) (byte, bool) {
	h, l := strings.IndexByte(upperHex, hi), strings.IndexByte(upperHex, lo)
	return byte(h<<4 | l&15), h >= 0 && l >= 0
}

func isTokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}
