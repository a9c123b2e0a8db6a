package decide

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// maxMistakes bounds how many mistakes of one document are told one by one.
	maxMistakes = 20
	// maxShown bounds, in bytes, how much of a document's own text an error shows.
	maxShown = 64
	// maxPath does so for a path, which holds a shown text and where in it.
	maxPath = 2 * maxShown
)

// RuleError is one mistake in a rule document. Its text is one printable line of
// bounded length, whatever the document holds.
type RuleError struct {
	Document string // the document's key
	Rule     string // the rule's id, or #<1-based position>; "" for the document itself
	Field    string // path in the rule, as custom.team[0]; "" for the whole
	Value    string // what was found, already quoted and cut; "" when it is missing
	Want     string // what is allowed there
}

// Error says where the mistake is, what was found and what is allowed.
func (e *RuleError) Error() string {
	var b strings.Builder
	b.WriteString("document " + quote(e.Document))
	if e.Rule != "" {
		b.WriteString(", rule " + quote(e.Rule))
	}
	if e.Field != "" {
		b.WriteString(", field " + quoteCut(e.Field, maxPath))
	}
	if e.Value == "" {
		b.WriteString(": missing, want ")
	} else {
		b.WriteString(": got " + e.Value + ", want ")
	}
	b.WriteString(e.Want)
	return b.String()
}

// mistakes collects what is wrong with one document.
type mistakes struct {
	document string
	list     []error
	more     int // beyond maxMistakes
}

func (m *mistakes) add(e RuleError) {
	if len(m.list) == maxMistakes {
		m.more++
		return
	}
	e.Document = m.document
	m.list = append(m.list, &e)
}

// err returns all mistakes as one error, or nil.
func (m *mistakes) err() error {
	if m.more > 0 {
		return errors.Join(append(m.list, fmt.Errorf("document %s: and %d more mistakes", quote(m.document), m.more))...)
	}
	return errors.Join(m.list...)
}

// quote returns text as a Go string literal, cut to maxShown bytes of text.
func quote(text string) string { return quoteCut(text, maxShown) }

func quoteCut(text string, limit int) string {
	if len(text) <= limit {
		return strconv.Quote(text)
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return strconv.Quote(text[:limit]) + "…"
}
