package decide

import (
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"strings"

	"bintubridge/subjects"
)

// What covers a rule matches whatever the rule matches, and so any one request that
// the rule matches: a table brings it up for that request.

// mostCompared bounds how many rules one rule is compared with: where so many go
// before it that the table cannot tell apart, it is not found out what covers it.
const mostCompared = 1000

// coverSearch looks for a rule that covers another one.
type coverSearch struct {
	linter   *linter
	covered  *rule
	found    *rule // nil: none yet
	compared int
}

// firstOfAll goes before every rule of a table: a search that has found it is over.
var firstOfAll = &rule{priority: math.MaxInt32, effect: Deny}

// covering returns a rule that goes before r and matches whatever r matches.
func (l *linter) covering(r *rule) *rule {
	if r.shadow {
		return nil
	}
	c := coverSearch{linter: l, covered: r}
	in := r.example()
	s := search{query: query{in: &in, now: l.now}, best: r, cover: &c} // what goes behind r does not matter
	l.table.index(in.Call).visit(&s, l.table.keys)
	return c.found
}

func (c *coverSearch) offered(s *search, candidate candidate) {
	other := candidate.rule
	c.compared++
	switch {
	case c.linter.mayCover(other) && other.covers(c.covered):
		c.found = other
		s.best = firstOfAll
	case c.compared == mostCompared:
		s.best = firstOfAll
	}
}

// mayCover reports whether a rule matches by what Check knows of requests: a token or
// an expression is for a request to say.
func (l *linter) mayCover(r *rule) bool {
	return !r.shadow && (r.more == nil || r.more.token == nil && r.more.when == nil) && !l.expired(r)
}

// example is a request with all that the rule wants of call, name, app and address, and
// with the custom fields that it wants.
func (r *rule) example() Input {
	in := Input{Call: subjects.Call(bits.TrailingZeros16(uint16(r.calls))), Name: "x"}
	if names := r.exactNames(); len(names) > 0 {
		in.Name = names[0]
	} else if r.named() {
		in.Name = r.more.globs[0].text()
	}
	if r.more == nil {
		return in
	}
	if len(r.more.apps) > 0 {
		in.App = r.more.apps[0]
	}
	if len(r.more.networks) > 0 {
		in.Addr = r.more.networks[0].Addr().String()
	}
	in.Custom = new(subjects.Fields)
	for _, c := range r.more.custom {
		if c.presence == presenceNo {
			continue
		}
		value := "x" // nobody is found by a sum
		if len(c.equal) > 0 {
			value = c.equal[0]
		}
		in.Custom.Add(c.field, value)
	}
	return in
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
