package decide

import "slices"

// grams finds the patterns whose literal text may stand in a name. Each pattern
// is kept under one gram: three bytes that it must have, or all two or one when
// it has no more. A name is looked up by all its grams, most of which one bit
// tells to be nobody's. Grams that meet in a slot only bring a pattern up in
// vain: it is matched in full anyway.
type grams struct {
	owner    *owner
	lengths  [maxGram + 1]int // patterns by the length of their gram
	used     [1 << 10]uint64  // one bit a slot
	postings hashMap[posting] // by slot
}

const (
	maxGram  = 3
	gramSlot = 16 // bits of a slot
)

// gramAt returns the slot of the n bytes of text at i.
func gramAt(text string, i, n int) uint16 {
	key := uint64(n) << 24
	for j := range n {
		key |= uint64(text[i+j]) << (8 * j)
	}
	return uint16(key * 0x9E3779B97F4A7C15 >> (64 - gramSlot)) // Fibonacci hashing
}

func (g *grams) own(o *owner) *grams {
	switch {
	case g == nil:
		return &grams{owner: o}
	case g.owner == o:
		return g
	}
	own := *g
	own.owner = o
	return &own
}

func (g *grams) has(slot uint16) bool { return g.used[slot>>6]&(1<<(slot&63)) != 0 }

// posting returns what stands in a slot, empty when nothing does.
func (g *grams) posting(slot uint16) posting {
	if g != nil && g.has(slot) {
		return *g.postings.get(uint64(slot), "")
	}
	return posting{}
}

func (g *grams) with(o *owner, at gramSpot, c candidate) *grams {
	g = g.own(o)
	p := g.posting(at.slot)
	g.postings.put(o, uint64(at.slot), "", p.with(o, c), p.empty())
	g.used[at.slot>>6] |= 1 << (at.slot & 63)
	g.lengths[at.length]++
	return g
}

func (g *grams) without(o *owner, at gramSpot, c candidate) *grams {
	g = g.own(o)
	g.lengths[at.length]--
	p := g.posting(at.slot)
	if p = p.without(o, c); !p.empty() {
		g.postings.put(o, uint64(at.slot), "", p, false)
		return g
	}
	g.postings.remove(o, uint64(at.slot), "")
	g.used[at.slot>>6] &^= 1 << (at.slot & 63)
	if g.postings.len() == 0 {
		return nil
	}
	return g
}

// gramSpot is where a pattern may be kept.
type gramSpot struct {
	slot   uint16
	length int // of the gram
}

// gramSpots calls f for every gram of the longest length that a pattern has,
// until f returns false.
func gramSpots(pattern *glob, f func(gramSpot) bool) {
	length := min(pattern.longest(), maxGram)
	if length == 0 {
		return
	}
	for piece := range pattern.pieces {
		for i := 0; i+length <= len(piece); i++ {
			if !f(gramSpot{gramAt(piece, i, length), length}) {
				return
			}
		}
	}
}

// spot returns the gram under which the fewest patterns stand. The later of
// equals is taken: names tell themselves apart at the end.
func (g *grams) spot(pattern *glob) (best gramSpot, crowd int) {
	crowd = -1
	gramSpots(pattern, func(at gramSpot) bool {
		p := g.posting(at.slot)
		if n := p.len(); crowd < 0 || n <= crowd {
			best, crowd = at, n
		}
		return true
	})
	return best, crowd
}

// find returns the spot that has c.
func (g *grams) find(pattern *glob, c candidate) (found gramSpot, ok bool) {
	gramSpots(pattern, func(at gramSpot) bool {
		p := g.posting(at.slot)
		if ok = p.has(c); ok {
			found = at
		}
		return !ok
	})
	return found, ok
}

// visit offers what stands under the grams of the name. A slot is visited once,
// however often a hostile name has it.
func (g *grams) visit(s *search) {
	const few = 8
	var seen [few]uint16
	n := 0
	name := s.in.Name
	for length := 1; length <= maxGram; length++ {
		if g.lengths[length] == 0 {
			continue
		}
		for i := 0; i+length <= len(name); i++ {
			slot := gramAt(name, i, length)
			if !g.has(slot) {
				continue
			}
			if n == few {
				g.visitMany(s)
				return
			}
			seen[n] = slot
			n++
		}
	}
	for i, slot := range seen[:n] {
		if !slices.Contains(seen[:i], slot) {
			s.visit(g.postings.get(uint64(slot), ""), IndexPattern)
		}
	}
}

// visitMany is visit for a name with many grams that patterns have.
func (g *grams) visitMany(s *search) {
	var seen [len(g.used)]uint64
	name := s.in.Name
	for length := 1; length <= maxGram; length++ {
		if g.lengths[length] == 0 {
			continue
		}
		for i := 0; i+length <= len(name); i++ {
			slot := gramAt(name, i, length)
			if bit := uint64(1) << (slot & 63); g.has(slot) && seen[slot>>6]&bit == 0 {
				seen[slot>>6] |= bit
				s.visit(g.postings.get(uint64(slot), ""), IndexPattern)
			}
		}
	}
}
