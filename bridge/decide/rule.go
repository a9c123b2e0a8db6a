package decide

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"bintubridge/subjects"
)

// callSet is a set of calls, one bit each.
type callSet uint16

func (s callSet) has(c subjects.Call) bool { return s&(1<<c) != 0 }

// rule is one compiled rule. It never changes, so tables share it. What most rules
// do not have stands apart, and the rest is one line of memory.
type rule struct {
	name     string      // "<document>/<id>", what a Decision shows
	stream   string      // the one stream name it is for; "": more says what names
	more     *conditions // nil: none
	priority int32
	calls    callSet
	effect   Effect
	shadow   bool // recorded, never enforced
}

// conditions are what else a rule may have. An empty one holds for every
// request.
type conditions struct {
	streams   []string // stream names, when they are not one
	globs     []glob
	apps      []string
	networks  []netip.Prefix
	custom    []customCondition
	token     *Token    // nil: none wanted
	when      *when     // nil: none
	notBefore time.Time // zero: none
	expiresAt time.Time // zero: none
	reason    string    // no condition, but as rare
}

// pack gives the rule its conditions.
func (r *rule) pack(c *conditions) {
	c.streams = sorted(c.streams)
	c.apps = sorted(c.apps)
	for i := range c.custom {
		c.custom[i].equal = sorted(c.custom[i].equal)
	}
	slices.SortFunc(c.networks, netip.Prefix.Compare)
	c.networks = slices.Compact(c.networks)
	if len(c.streams) == 1 && len(c.globs) == 0 {
		r.stream, c.streams = c.streams[0], nil
	}
	if c.any() {
		more := *c
		r.more = &more
	}
}

// sorted sorts values and drops those that stand twice, so that in finds one
// among thousands.
func sorted(values []string) []string {
	slices.Sort(values)
	return slices.Compact(values)
}

// in reports whether a sorted list has the value.
func in(values []string, value string) bool {
	const few = 8
	if len(values) <= few {
		return slices.Contains(values, value)
	}
	_, found := slices.BinarySearch(values, value)
	return found
}

func (c *conditions) any() bool {
	return len(c.streams)+len(c.globs)+len(c.apps)+len(c.networks)+len(c.custom)+len(c.reason) > 0 ||
		c.token != nil || c.when != nil || !c.notBefore.IsZero() || !c.expiresAt.IsZero()
}

func (r *rule) reason() string {
	if r.more == nil {
		return ""
	}
	return r.more.reason
}

// compare orders rules by who decides: negative when r goes before other.
func (r *rule) compare(other *rule) int {
	if order := cmp.Compare(other.rank(), r.rank()); order != 0 {
		return order
	}
	return strings.Compare(r.name, other.name)
}

// rank is how high a rule stands, by priority and then effect.
type rank int64

const lowestRank rank = math.MinInt64

func (r *rule) rank() rank {
	rank := rank(r.priority) << 1
	if r.effect != Allow {
		rank++
	}
	return rank
}

// Condition is one condition of a rule, named as its field in a document.
type Condition string

// The conditions, in the order they are checked: the dear ones come last.
const (
	NoCondition        Condition = ""
	ConditionCalls     Condition = "calls"
	ConditionName      Condition = "name"
	ConditionNotBefore Condition = "not_before"
	ConditionExpiresAt Condition = "expires_at"
	ConditionApp       Condition = "app"
	ConditionAddr      Condition = "addr"
	ConditionCustom    Condition = "custom"
	ConditionToken     Condition = "token"
	ConditionWhen      Condition = "when"
)

// fails returns the first condition that does not hold, or NoCondition.
func (c *candidate) fails(q *query) Condition {
	if !c.calls.has(q.in.Call) {
		return ConditionCalls
	}
	if !c.matches(q.in.Name) {
		return ConditionName
	}
	if c.rule.more == nil {
		return NoCondition
	}
	switch m := c.rule.more; {
	case !m.notBefore.IsZero() && q.now.Before(m.notBefore):
		return ConditionNotBefore
	case !m.expiresAt.IsZero() && !q.now.Before(m.expiresAt):
		return ConditionExpiresAt
	case len(m.apps) > 0 && !in(m.apps, q.in.App):
		return ConditionApp
	case len(m.networks) > 0 && !q.from(m.networks):
		return ConditionAddr
	case m.failedCustom(q) != nil:
		return ConditionCustom
	case m.token != nil && !m.token.holds(q, c.rule.effect):
		return ConditionToken
	case m.when != nil && !m.when.holds(q, c.rule.effect):
		return ConditionWhen
	}
	return NoCondition
}

// matches reports whether the name is as the candidate has it: by its one
// pattern, or else by what the whole rule says of names.
func (c *candidate) matches(name string) bool {
	r := c.rule
	switch {
	case c.glob >= 0:
		return r.more.globs[c.glob].match(name)
	case r.stream != "":
		return r.stream == name
	case !r.named():
		return true
	}
	return in(r.more.streams, name) || slices.ContainsFunc(r.more.globs, func(g glob) bool { return g.match(name) })
}

// named reports whether the rule has a condition on the stream name.
func (r *rule) named() bool {
	return r.stream != "" || r.more != nil && len(r.more.streams)+len(r.more.globs) > 0
}

// failedCustom returns the first condition on a custom field that does not hold.
func (c *conditions) failedCustom(q *query) *customCondition {
	for i := range c.custom {
		if !c.custom[i].holds(q) {
			return &c.custom[i]
		}
	}
	return nil
}

// presence says whether a custom field has to be there.
type presence uint8

const (
	presenceAny presence = iota
	presenceYes
	presenceNo
)

// customCondition is what a rule wants of one custom field. Everything it has
// must hold.
type customCondition struct {
	field    string
	presence presence
	equal    []string
	sums     [][sha256.Size]byte
}

func (c *customCondition) holds(q *query) bool {
	var value string
	var present bool
	if q.in.Custom != nil {
		value, present = q.in.Custom.Get(c.field)
	}
	if !present {
		return c.presence == presenceNo
	}
	if c.presence == presenceNo {
		return false
	}
	if len(c.equal) > 0 && !in(c.equal, value) {
		return false
	}
	return len(c.sums) == 0 || matchesSum(c.sums, q.sum(c.field, value))
}

// matchesSum compares with every sum, in constant time: neither how far a value
// agrees nor which of several keys it is shows in how long the answer takes.
func matchesSum(sums [][sha256.Size]byte, sum *[sha256.Size]byte) bool {
	match := 0
	for i := range sums {
		match |= subtle.ConstantTimeCompare(sums[i][:], sum[:])
	}
	return match == 1
}
