package decide

import "math"

// bounds are what candidates may match at most: a request of another call, or at
// another time, need look at none of them.
type bounds struct {
	calls       callSet
	from, until int64 // unix seconds
}

var noBounds = bounds{from: math.MaxInt64, until: math.MinInt64}

func (b bounds) with(other bounds) bounds {
	return bounds{b.calls | other.calls, min(b.from, other.from), max(b.until, other.until)}
}

func (b *bounds) may(q *query) bool {
	now := q.now.Unix()
	return b.calls.has(q.in.Call) && b.from <= now && now <= b.until
}

func (c candidate) bounds() bounds {
	b := bounds{calls: c.calls, from: math.MinInt64, until: math.MaxInt64}
	if m := c.rule.more; m != nil && !m.notBefore.IsZero() {
		b.from = m.notBefore.Unix()
	}
	if m := c.rule.more; m != nil && !m.expiresAt.IsZero() {
		b.until = m.expiresAt.Unix() // not the second before: it may have a fraction
	}
	return b
}
