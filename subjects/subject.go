package subjects

import (
	"errors"
	"fmt"
	"strings"
)

// DefaultTemplate is the default of BRIDGE_SUBJECT.
const DefaultTemplate = "stream.{call}"

// MaxTemplate is the longest template, in bytes. With the two longest tokens
// of user text the subject stays far below a server's limit of 4,096 bytes.
const MaxTemplate = 255

// ErrTemplate is wrapped by every error of ParseTemplate.
var ErrTemplate = errors.New("subject template")

// Template says how the subject of an event is built. The zero value is
// DefaultTemplate.
//
// A template is a list of tokens joined by dots. The first two are "stream" and
// "{call}"; then {name} and {app}, at most once each, and literal tokens of
// [A-Za-z0-9_-] may follow in any order. {call} stands second because it is what
// tells an attempt that was refused from one that happened: behind it, a stream
// called "denied" can never turn stream.publish into stream.denied.*. So with
// every template
//
//	stream.denied.>   are the refused attempts, and nothing else is
//	stream.publish.>  are the publishes that happened, when tokens follow {call}
//	stream.*          are all that happened, when none does
type Template struct {
	tail []part // what follows {call}
	text string
}

// part is one token: a literal, or a placeholder when literal is empty.
type part struct {
	literal     string
	placeholder placeholder
}

type placeholder uint8

const (
	noPlaceholder placeholder = iota
	namePlaceholder
	appPlaceholder
)

// ParseTemplate reads a template. Its errors say which token is wrong, where,
// and what may stand there.
func ParseTemplate(text string) (Template, error) {
	if len(text) > MaxTemplate {
		return Template{}, fmt.Errorf("%w: %d bytes, allowed are %d", ErrTemplate, len(text), MaxTemplate)
	}
	tokens := strings.Split(text, ".")
	if tokens[0] != "stream" {
		return Template{}, tokenError(text, tokens, 0, `the first token must be "stream", which the stream EVENTS listens to`)
	}
	if len(tokens) < 2 || tokens[1] != "{call}" {
		return Template{}, tokenError(text, tokens, 1, `the second token must be "{call}", so that stream.denied.> is every refused attempt and nothing else`)
	}
	t := Template{text: text}
	var seen [appPlaceholder + 1]bool
	for i, token := range tokens[2:] {
		p, want := parsePart(token)
		if want == "" && seen[p.placeholder] {
			want = "a placeholder may stand only once"
		}
		if want != "" {
			return Template{}, tokenError(text, tokens, i+2, want)
		}
		seen[p.placeholder] = p.placeholder != noPlaceholder
		t.tail = append(t.tail, p)
	}
	return t, nil
}

// parsePart reads a token behind {call}; want says what is wrong with it, if
// anything is.
func parsePart(token string) (p part, want string) {
	switch token {
	case "{name}":
		return part{placeholder: namePlaceholder}, ""
	case "{app}":
		return part{placeholder: appPlaceholder}, ""
	case "{call}":
		return part{}, "a placeholder may stand only once"
	case "":
		return part{}, "a token may not be empty"
	}
	for i := range len(token) {
		if !isTokenByte(token[i]) {
			return part{}, "allowed are {name}, {app}, and literal tokens of letters, digits, _ and -"
		}
	}
	return part{literal: token}, ""
}

func tokenError(text string, tokens []string, i int, want string) error {
	token := "" // missing
	if i < len(tokens) {
		token = tokens[i]
	}
	return fmt.Errorf("%w %q: token %d is %q: %s; the default is %s", ErrTemplate, text, i+1, token, want, DefaultTemplate)
}

// String returns the template as it was written.
func (t Template) String() string {
	if t.text == "" {
		return DefaultTemplate
	}
	return t.text
}

// Append appends the subject of an event. call, name and app are the sender's
// text; each becomes exactly one token, see AppendToken. It does not allocate
// when dst has room.
func (t Template) Append(dst []byte, o Outcome, call, name, app string) []byte {
	dst = append(dst, "stream."...)
	dst = o.append(dst, call)
	for _, p := range t.tail {
		dst = append(dst, '.')
		switch p.placeholder {
		case namePlaceholder:
			dst = AppendToken(dst, name)
		case appPlaceholder:
			dst = AppendToken(dst, app)
		default:
			dst = append(dst, p.literal...)
		}
	}
	return dst
}
