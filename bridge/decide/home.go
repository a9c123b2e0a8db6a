package decide

import "net/netip"

// A rule could be found by several of its conditions. It is kept by one, its
// home, and has a spot there for each alternative of that condition.

// home is a condition by which a rule may be found.
type home struct {
	part   part // partName stands for patterns too
	custom int  // which condition of partField, partValue and partAbsent
}

// homes gives the homes of a rule, the most telling first. There is at least
// one.
func (r *rule) homes(yield func(home) bool) {
	if r.more == nil {
		if r.stream != "" {
			yield(home{part: partName})
		} else {
			yield(home{part: partRest})
		}
		return
	}
	found := false
	give := func(h home) bool {
		found = true
		return yield(h)
	}
	if r.named() && !r.matchesAll() && !give(home{part: partName}) {
		return
	}
	if len(r.more.networks) > 0 && !give(home{part: partAddr}) {
		return
	}
	for i := range r.more.custom {
		if len(r.more.custom[i].equal) > 0 && !give(home{partValue, i}) {
			return
		}
	}
	for i := range r.more.custom {
		if c := &r.more.custom[i]; len(c.equal) == 0 && c.presence != presenceNo && !give(home{partField, i}) {
			return
		}
	}
	// Most requests have the same app: who wants one name of streams does not stand in
	// the way of all others, however many there are.
	named := r.named() && len(r.more.globs) == 0
	if len(r.more.apps) > 0 && !named && !give(home{part: partApp}) {
		return
	}
	if !found {
		r.lastHomes(yield)
	}
}

// lastHomes gives the homes of a rule that has none that most requests fail: where
// everybody sends a token, all that want one come up for everybody.
func (r *rule) lastHomes(yield func(home) bool) {
	if r.more.token != nil {
		yield(home{part: partToken})
		return
	}
	absent := false
	for i := range r.more.custom {
		// Rules with an expression stay together, so that of two the first to decide
		// is the first to cost.
		if r.more.custom[i].presence != presenceNo || r.more.when != nil {
			continue
		}
		absent = true
		if !yield(home{partAbsent, i}) {
			return
		}
	}
	if !absent {
		yield(home{part: partRest})
	}
}

// matchesAll reports whether one of the patterns has no text at all.
func (r *rule) matchesAll() bool {
	for i := range r.more.globs {
		if r.more.globs[i].longest() == 0 {
			return true
		}
	}
	return false
}

// spot is where an index keeps a candidate.
type spot struct {
	part      part
	candidate candidate
	key       uint32       // in the trie of the part
	length    int          // of the prefix or gram
	end       byte         // of it
	field     string       // of partField, partValue, partToken and partAbsent
	network   netip.Prefix // of partAddr
}

func (p *spot) pattern() *glob { return &p.candidate.rule.more.globs[p.candidate.glob] }

func (p *spot) begin(keys keys) {
	prefix := p.pattern().prefix
	p.part, p.key, p.length = partPrefix, prefixKey(keys.salt, prefix), len(prefix)
	if prefix != "" {
		p.end = prefix[len(prefix)-1]
	}
}

func (p *spot) contain(g gram) {
	p.part, p.key, p.length, p.end = partPattern, slotKey(g.slot()), gramSize(p.pattern().longest()), g.end()
}

// spots appends the spots of a rule at one of its homes. Those of patterns are
// settled later.
func (r *rule) spots(list []spot, keys keys, h home) []spot {
	at := spot{part: h.part, candidate: newCandidate(r, anyGlob)}
	switch h.part {
	case partName:
		return r.nameSpots(list, keys)
	case partAddr:
		for _, at.network = range r.more.networks {
			list = append(list, at)
		}
		return list
	case partApp:
		for _, app := range r.more.apps {
			at.key = keys.of(app)
			list = append(list, at)
		}
		return list
	case partField, partAbsent:
		at.field = r.more.custom[h.custom].field
	case partToken:
		at.field = r.more.token.field
	case partValue:
		at.field = r.more.custom[h.custom].field
		hash := keys.ofField(at.field)
		for _, value := range r.more.custom[h.custom].equal {
			at.key = keys.ofValue(hash, value)
			list = append(list, at)
		}
		return list
	}
	return append(list, at)
}

func (r *rule) nameSpots(list []spot, keys keys) []spot {
	at := spot{part: partName, candidate: newCandidate(r, anyGlob)}
	if r.stream != "" {
		at.key = uint32(keys.ofName(r.stream))
		return append(list, at)
	}
	for _, stream := range r.more.streams {
		at.key = uint32(keys.ofName(stream))
		list = append(list, at)
	}
	for i := range r.more.globs {
		list = append(list, spot{part: partPattern, candidate: newCandidate(r, int32(i))})
	}
	return list
}
