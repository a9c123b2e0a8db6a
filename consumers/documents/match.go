package documents

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MatchName reports whether pattern is for the name: exact, or with * for any run of bytes.
func MatchName(pattern, name string) bool {
	pieces := strings.Split(pattern, "*")
	first, last := pieces[0], pieces[len(pieces)-1]
	if len(pieces) == 1 {
		return name == pattern
	}
	if len(name) < len(first)+len(last) || !strings.HasPrefix(name, first) || !strings.HasSuffix(name, last) {
		return false
	}
	rest := name[len(first) : len(name)-len(last)]
	for _, piece := range pieces[1 : len(pieces)-1] {
		i := strings.Index(rest, piece)
		if i < 0 {
			return false
		}
		rest = rest[i+len(piece):]
	}
	return true
}

// MatchSubject reports whether a NATS filter is for the subject: * is one token, > at the end
// is one or more.
func MatchSubject(filter, subject string) bool {
	want, have := strings.Split(filter, "."), strings.Split(subject, ".")
	for i, token := range want {
		if token == ">" {
			return len(have) > i
		}
		if i >= len(have) || token != "*" && token != have[i] {
			return false
		}
	}
	return len(want) == len(have)
}

// ErrFilter is wrapped by CheckSubject.
var ErrFilter = errors.New("not a filter for events or sessions")

// CheckSubject refuses what is no filter, or could never match.
func CheckSubject(filter string) error {
	tokens := strings.Split(filter, ".")
	for i, token := range tokens {
		if token == "" || strings.ContainsAny(token, " \t\r\n") || len(token) > 1 && strings.ContainsAny(token, "*>") || token == ">" && i < len(tokens)-1 {
			return fmt.Errorf("%w: %q", ErrFilter, filter)
		}
	}
	if !slices.Contains([]string{"stream", "session", "*", ">"}, tokens[0]) {
		return fmt.Errorf("%w: %q: want stream.… or session.…", ErrFilter, filter)
	}
	return nil
}
