package decide

import (
	"slices"
	"strings"
	"time"

	"bintubridge/subjects"
)

// Warning is what Lint has against a rule that compiles.
type Warning struct {
	Rule string // "<document>/<rule id>"
	Kind Lint
	Text string // one line
}

// Lint is a kind of warning.
type Lint string

// The kinds.
const (
	LintNever    Lint = "never"    // it can never match
	LintExpired  Lint = "expired"  // it will not match any more
	LintShadowed Lint = "shadowed" // another rule always goes before it
	LintSlow     Lint = "slow"     // it is looked at for every request, as are many others
	LintKeyless  Lint = "keyless"  // it wants a token, and none of its keys is there
)

// fewSlow is how many rules may be looked at for every request: together they cost it a
// microsecond or so.
const fewSlow = 50

// Check looks for rules that compile and are most likely mistakes, as of now. A
// rule that it calls never, expired or shadowed decides nothing: none of these is
// a guess. Warnings come in the order of the documents. Without keys, tokens are not
// looked at. checked, which may be nil, is called behind each document.
func Check(docs []*Document, keys *Keys, now time.Time, checked func()) []Warning {
	l := linter{keys: keys, now: now, table: NewTable(0, Defaults{}, docs)}
	for _, doc := range docs {
		for i := range doc.rules {
			if l.slowRule(&doc.rules[i]) {
				l.slow++
			}
		}
	}
	for _, doc := range docs {
		for i := range doc.rules {
			l.check(&doc.rules[i])
		}
		if checked != nil {
			checked()
		}
	}
	return l.warnings
}

type linter struct {
	keys     *Keys // nil: not known
	now      time.Time
	table    *Table // of all rules
	slow     int
	warnings []Warning
}

func (l *linter) check(r *rule) {
	switch other := l.covering(r); {
	case r.never() != "":
		l.warn(r, LintNever, r.never())
	case l.expired(r):
		l.warn(r, LintExpired, "expired at "+r.more.expiresAt.UTC().Format(time.RFC3339))
	case other != nil && other.effect == r.effect:
		l.warn(r, LintShadowed, "does nothing: "+quote(other.name)+" matches whatever it matches, goes before it, and says the same")
	case other != nil:
		l.warn(r, LintShadowed, "does nothing: "+quote(other.name)+" matches whatever it matches, goes before it, and says "+other.effect.String())
	case l.keyless(r):
		l.warn(r, LintKeyless, "wants a token, and the keys file has no "+strings.Join(quoted(r.more.token.keys), " or "))
	case l.slow > fewSlow && l.slowRule(r):
		l.warn(r, LintSlow, "is looked at for every request, as are many more: give it a name, addr, app or custom value to be found by")
	}
}

func (l *linter) warn(r *rule, kind Lint, text string) {
	l.warnings = append(l.warnings, Warning{Rule: r.name, Kind: kind, Text: text})
}

func (l *linter) expired(r *rule) bool {
	return r.more != nil && !r.more.expiresAt.IsZero() && !l.now.Before(r.more.expiresAt)
}

// keyless reports whether no token can satisfy the rule with the keys there are.
func (l *linter) keyless(r *rule) bool {
	if l.keys == nil || r.more == nil || r.more.token == nil {
		return false
	}
	return !slices.ContainsFunc(r.more.token.keys, func(name string) bool { return l.keys.byName[name] != nil })
}

func quoted(texts []string) []string {
	list := make([]string, len(texts))
	for i, text := range texts {
		list[i] = quote(text)
	}
	return list
}

// slowRule reports whether the table finds a rule by nothing that most requests have not.
func (l *linter) slowRule(r *rule) bool {
	for home := range r.homes {
		switch home.part {
		case partToken, partAbsent, partRest:
			return !l.expired(r)
		}
		return false
	}
	return false
}

func (r *rule) exactNames() []string {
	if r.stream != "" {
		return []string{r.stream}
	}
	if r.more == nil {
		return nil
	}
	return r.more.streams
}

func (r *rule) patterns() []glob {
	if r.more == nil {
		return nil
	}
	return r.more.globs
}

// never tells why no request can match the rule, "" when one may.
func (r *rule) never() string {
	if r.tooLong() {
		return "its names are longer than the 2047 bytes that a sender passes on"
	}
	if anyName := newCandidate(r, anyGlob); r.calls == 1<<subjects.Connect && !anyName.matches("") {
		return "a connect has no name yet"
	}
	if r.more == nil {
		return ""
	}
	if r.more.when != nil && r.more.when.never {
		return "its expression is false for every request"
	}
	if t := r.more.token; t != nil && slices.ContainsFunc(r.more.custom, func(c customCondition) bool {
		return c.field == t.field && c.presence == presenceNo
	}) {
		return "it wants a token in the field " + quote(t.field) + ", and that there is no such field"
	}
	return ""
}

// tooLong reports whether no name that a sender passes on can match.
func (r *rule) tooLong() bool {
	for _, g := range r.patterns() {
		if stars := 1 + len(g.middle); len(g.text())-stars <= senderName {
			return false
		}
	}
	return r.named() && !slices.ContainsFunc(r.exactNames(), func(name string) bool { return len(name) <= senderName })
}
