package decide

import (
	"net/netip"
	"slices"
	"strings"
	"time"
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
)

const (
	// senderName is the longest name that a sender passes on, in bytes: see maxName.
	senderName = 2047
	// fewSlow is how many rules may be looked at for every request: together they
	// cost it a microsecond or so.
	fewSlow = 50
)

// Check looks for rules that compile and are most likely mistakes, as of now. A
// rule that it calls never, expired or shadowed decides nothing: none of these is
// a guess. Warnings come in the order of the documents.
func Check(docs []*Document, now time.Time) []Warning {
	l := linter{now: now, exact: map[string][]*rule{}, prefixes: map[string][]*rule{}}
	for _, doc := range docs {
		for i := range doc.rules {
			l.add(&doc.rules[i])
		}
	}
	for _, list := range l.exact {
		slices.SortFunc(list, (*rule).compare)
	}
	for _, list := range l.prefixes {
		slices.SortFunc(list, (*rule).compare)
	}
	for _, doc := range docs {
		for i := range doc.rules {
			l.check(&doc.rules[i])
		}
	}
	return l.warnings
}

type linter struct {
	now      time.Time
	warnings []Warning
	slow     int

	// Rules that may go before others: no shadow rules, and none whose match is for a
	// request to say.
	exact    map[string][]*rule // by each exact name
	prefixes map[string][]*rule // by what each pattern begins with; "" for those without a name
}

// add keeps a rule for others to be compared with.
func (l *linter) add(r *rule) {
	if l.slowRule(r) {
		l.slow++
	}
	if r.shadow || r.more != nil && (r.more.token != nil || r.more.when != nil) || l.expired(r) {
		return
	}
	for _, name := range r.exactNames() {
		l.exact[name] = append(l.exact[name], r)
	}
	if !r.named() {
		l.prefixes[""] = append(l.prefixes[""], r)
	}
	for i := range r.patterns() {
		prefix := r.more.globs[i].prefix
		if list := l.prefixes[prefix]; len(list) == 0 || list[len(list)-1] != r {
			l.prefixes[prefix] = append(list, r)
		}
	}
}

func (l *linter) check(r *rule) {
	switch other := l.covering(r); {
	case r.tooLong():
		l.warn(r, LintNever, "its names are longer than the 2047 bytes that a sender passes on")
	case l.expired(r):
		l.warn(r, LintExpired, "expired at "+r.more.expiresAt.UTC().Format(time.RFC3339))
	case other != nil && other.effect == r.effect:
		l.warn(r, LintShadowed, "does nothing: "+quote(other.name)+" matches whatever it matches, goes before it, and says the same")
	case other != nil:
		l.warn(r, LintShadowed, "does nothing: "+quote(other.name)+" matches whatever it matches, goes before it, and says "+other.effect.String())
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

// slowRule reports whether the table finds a rule by none of its conditions.
func (l *linter) slowRule(r *rule) bool {
	for home := range r.homes {
		return home.part == partRest && !l.expired(r)
	}
	return false
}

func (r *rule) exactNames() []string {
	if r.streamLen > 0 {
		return []string{string(r.stream[:r.streamLen])}
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

// tooLong reports whether no name that a sender passes on can match.
func (r *rule) tooLong() bool {
	for _, g := range r.patterns() {
		if stars := 1 + len(g.middle); len(g.text())-stars <= senderName {
			return false
		}
	}
	return r.named() && !slices.ContainsFunc(r.exactNames(), func(name string) bool { return len(name) <= senderName })
}

// covering returns a rule that goes before r and matches whatever r matches.
func (l *linter) covering(r *rule) *rule {
	if r.shadow {
		return nil
	}
	// What covers r covers its first name, so it stands under that.
	name := ""
	if names := r.exactNames(); len(names) > 0 {
		name = names[0]
		if other := firstCovering(l.exact[name], r); other != nil {
			return other
		}
	} else if r.named() {
		name = r.more.globs[0].prefix
	}
	for end := range len(name) + 1 {
		if other := firstCovering(l.prefixes[name[:end]], r); other != nil {
			return other
		}
	}
	return nil
}

func firstCovering(list []*rule, r *rule) *rule {
	for _, other := range list {
		if other.compare(r) >= 0 {
			return nil
		}
		if other.covers(r) {
			return other
		}
	}
	return nil
}

// covers reports whether r matches whenever other does, as far as that can be told
// from each condition alone.
func (r *rule) covers(other *rule) bool {
	if other.calls&^r.calls != 0 || !r.coversNames(other) {
		return false
	}
	if r.more == nil {
		return true
	}
	wants := r.more
	has := other.more
	if has == nil {
		has = &conditions{}
	}
	return wants.token == nil && wants.when == nil && wants.coversTime(has) &&
		containsAll(wants.apps, has.apps, func(a, b string) bool { return a == b }) &&
		containsAll(wants.networks, has.networks, containsNetwork) &&
		!slices.ContainsFunc(wants.custom, func(c customCondition) bool { return !c.follows(has.custom) })
}

// containsAll reports whether each of the alternatives in has is within one of
// wants. No alternatives stand for everything.
func containsAll[T any](wants, has []T, within func(want, have T) bool) bool {
	if len(wants) == 0 {
		return true
	}
	return len(has) > 0 && !slices.ContainsFunc(has, func(have T) bool {
		return !slices.ContainsFunc(wants, func(want T) bool { return within(want, have) })
	})
}

func containsNetwork(want, have netip.Prefix) bool {
	return want.Bits() <= have.Bits() && want.Contains(have.Addr())
}

func (r *rule) coversNames(other *rule) bool {
	if !r.named() {
		return true
	}
	covers := func(name string) bool {
		return slices.Contains(r.exactNames(), name) ||
			slices.ContainsFunc(r.patterns(), func(g glob) bool { return g.match(name) })
	}
	for _, name := range other.exactNames() {
		if !covers(name) {
			return false
		}
	}
	for _, g := range other.patterns() {
		// The text of a pattern as a name: its stars can only fall to stars.
		if !covers(g.text()) {
			return false
		}
	}
	return other.named()
}

// text is a pattern with the same matches, as it would be written.
func (g *glob) text() string {
	var b strings.Builder
	b.WriteString(g.prefix + "*")
	for _, piece := range g.middle {
		b.WriteString(piece + "*")
	}
	b.WriteString(g.suffix)
	return b.String()
}

func (c *conditions) coversTime(other *conditions) bool {
	return !c.notBefore.After(other.notBefore) &&
		(c.expiresAt.IsZero() || !other.expiresAt.IsZero() && !other.expiresAt.After(c.expiresAt))
}

// follows reports whether the condition holds whenever those of a list do.
func (c *customCondition) follows(from []customCondition) bool {
	for i := range from {
		if from[i].field == c.field && c.followsFrom(&from[i]) {
			return true
		}
	}
	return false
}

func (c *customCondition) followsFrom(from *customCondition) bool {
	if c.presence == presenceNo || from.presence == presenceNo {
		return c.presence == from.presence
	}
	return containsAll(c.equal, from.equal, func(a, b string) bool { return a == b }) &&
		containsAll(c.sums, from.sums, func(a, b [32]byte) bool { return a == b })
}
