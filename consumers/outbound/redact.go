package outbound

import (
	"cmp"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// What errors may quote besides the parts of the target.
var (
	quotedURL = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://\S+`)
	maxError  = 300
)

// redactor replaces whatever of the URL may be a secret: all but scheme and host, and the host
// too where it is a token, as in discord://token@id.
func redactor(u *url.URL) *strings.Replacer {
	var parts []string
	add := func(text string) {
		if plain, err := url.QueryUnescape(text); err == nil {
			parts = append(parts, plain, url.QueryEscape(plain), url.PathEscape(plain))
		}
		parts = append(parts, text)
	}
	add(u.User.Username())
	password, _ := u.User.Password()
	add(password)
	add(u.RawQuery)
	add(u.Fragment)
	for _, values := range u.Query() {
		for _, v := range values {
			add(v)
		}
	}
	for _, text := range []string{u.EscapedPath(), u.Opaque, u.Host, u.User.String(), password} {
		for _, piece := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("/:@,", r) }) {
			add(piece)
		}
	}
	parts = slices.DeleteFunc(parts, func(p string) bool { return len(p) < 4 || isHost(p) })
	slices.SortFunc(parts, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	pairs := make([]string, 0, 2*len(parts))
	for _, p := range slices.Compact(parts) {
		pairs = append(pairs, p, "***")
	}
	return strings.NewReplacer(pairs...)
}

// isHost tells names and addresses, which help to find a failure, from tokens.
func isHost(text string) bool {
	return text == "localhost" || strings.Contains(text, ".") && !strings.ContainsAny(text, "%=&")
}

// redact returns the error as one line that may be logged.
func (s *Shout) redact(err error) error {
	for _, known := range []error{ErrPrivate} {
		if errors.Is(err, known) {
			return known
		}
	}
	text := s.secrets.Replace(quotedURL.ReplaceAllString(s.secrets.Replace(err.Error()), "***"))
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > maxError {
		text = strings.ToValidUTF8(text[:maxError], "") + "…"
	}
	return errors.New(text)
}
