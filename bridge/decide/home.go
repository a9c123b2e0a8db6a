package decide

import "net/netip"

// A rule could be found by several of its conditions. It is kept by one, its
// home, and has a spot there for each alternative of that condition.

// home is a condition by which a rule may be found.
type home struct {
	part   part // partPattern stands for all kinds of names
	custom int  // which condition of partField and partValue
}

// homes gives the homes of a rule, the most telling first. There is at least
// one.
func (r *rule) homes(yield func(home) bool) {
	if r.more == nil {
		if r.stream != "" {
			yield(home{part: partPattern})
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
	if r.named() && !r.matchesAll() && !give(home{part: partPattern}) {
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
	if len(r.more.apps) > 0 && !give(home{part: partApp}) {
		return
	}
	if !found {
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
	text      string       // stream name, application or custom field
	value     string       // of the custom field
	network   netip.Prefix // of partAddr
	gram      gramSpot     // of partPattern
}

func (p *spot) pattern() *glob { return &p.candidate.rule.more.globs[p.candidate.glob] }

// spots appends the spots of a rule at one of its homes. Those of patterns are
// settled later.
func (r *rule) spots(list []spot, h home) []spot {
	c := newCandidate(r, anyGlob)
	switch h.part {
	case partPattern:
		return r.nameSpots(list)
	case partAddr:
		for _, network := range r.more.networks {
			list = append(list, spot{part: partAddr, candidate: c, network: network})
		}
	case partValue:
		custom := &r.more.custom[h.custom]
		for _, value := range custom.equal {
			list = append(list, spot{part: partValue, candidate: c, text: custom.field, value: value})
		}
	case partField:
		list = append(list, spot{part: partField, candidate: c, text: r.more.custom[h.custom].field})
	case partApp:
		for _, app := range r.more.apps {
			list = append(list, spot{part: partApp, candidate: c, text: app})
		}
	case partRest:
		list = append(list, spot{part: partRest, candidate: c})
	}
	return list
}

func (r *rule) nameSpots(list []spot) []spot {
	if r.stream != "" {
		return append(list, spot{part: partName, candidate: newCandidate(r, namedGlob), text: r.stream})
	}
	for _, stream := range r.more.streams {
		list = append(list, spot{part: partName, candidate: newCandidate(r, namedGlob), text: stream})
	}
	for i := range r.more.globs {
		list = append(list, spot{part: partPattern, candidate: newCandidate(r, int32(i))})
	}
	return list
}
