package decide

import "slices"

// A pattern that does not begin with text is found by a gram of it: a few bytes
// that a name must have. All grams of a name are looked up; of most of them one
// bit tells that no pattern has them.

// gramSizes are the lengths of grams. A pattern has the longest that its longest
// text allows: long ones are rare in names.
var gramSizes = [...]int{6, 3, 2, 1}

func gramSize(text int) int {
	for _, size := range gramSizes {
		if size <= text {
			return size
		}
	}
	return 0
}

// gram is up to six bytes of text and how many.
type gram uint64

// next returns the gram of the same size that ends with b.
func (g gram) next(b byte, size int) gram {
	const bits = 48
	text := g << 8 & (1<<(8*size&63) - 1)
	return text | gram(b) | gram(size)<<bits
}

// end is the last byte of the gram.
func (g gram) end() byte { return byte(g) }

// slot is the gram's key, of so few bits that visitMany can tick them off.
func (g gram) slot() uint16 { return uint16(uint64(g) * 0x9E3779B97F4A7C15 >> 48) }

// slotKey spreads a slot over a key, so that each has bits of its own in the sieve.
func slotKey(slot uint16) uint32 { return uint32(slot)<<16 | uint32(slot) }

// grams calls f for every gram by which the pattern may be kept.
func (g *glob) grams(f func(gram)) {
	size := gramSize(g.longest())
	for piece := range g.pieces {
		var g gram
		for i := range len(piece) {
			if g = g.next(piece[i], size); i+1 >= size {
				f(g)
			}
		}
	}
}

// fewestGram returns the gram under which the fewest patterns stand. The later
// of equals is taken: names tell themselves apart at the end.
func (s *sieve) fewestGram(pattern *glob) (best gram, crowd int) {
	crowd = -1
	pattern.grams(func(g gram) {
		there := s.at(slotKey(g.slot()))
		if n := there.len(); crowd < 0 || n <= crowd {
			best, crowd = g, n
		}
	})
	return best, crowd
}

// gramOf returns the gram under which c stands. Of two in one slot that is the later,
// as it is for fewestGram.
func (s *sieve) gramOf(pattern *glob, c candidate) (found gram) {
	pattern.grams(func(g gram) {
		if there := s.at(slotKey(g.slot())); there.has(c) {
			found = g
		}
	})
	return found
}

// visitGrams offers what stands under the grams of the name, under each once,
// however often a hostile name has it.
func (x *index) visitGrams(s *search) {
	const few = 8
	var room [few]uint16
	slots := room[:0]
	for i := range x.gramSizes {
		var all bool
		if slots, all = x.grams.sift(slots, s.in.Name, &x.gramSizes[i]); !all {
			x.visitManyGrams(s)
			return
		}
	}
	for _, slot := range slots {
		s.visit(x.grams.trie.get(slotKey(slot)), IndexPattern)
	}
}

// sift adds to slots, once each, those of the name's grams that the sieve may
// have. It reports false when they have no room.
func (s *sieve) sift(slots []uint16, name string, l *lengthCount) (sifted []uint16, all bool) {
	var g gram
	for i := range len(name) {
		g = g.next(name[i], l.length)
		if i+1 < l.length || !l.ends.has(name[i]) {
			continue
		}
		slot := g.slot()
		if !s.may(slotKey(slot)) || slices.Contains(slots, slot) {
			continue
		}
		if len(slots) == cap(slots) {
			return slots, false
		}
		slots = append(slots, slot)
	}
	return slots, true
}

// visitManyGrams is visitGrams for a name with many grams that patterns have.
func (x *index) visitManyGrams(s *search) {
	var seen [1 << 16 / 64]uint64
	for _, l := range x.gramSizes {
		var g gram
		for i := range len(s.in.Name) {
			g = g.next(s.in.Name[i], l.length)
			slot := g.slot()
			bit := uint64(1) << (slot & 63)
			if i+1 < l.length || !x.grams.may(slotKey(slot)) || seen[slot>>6]&bit != 0 {
				continue
			}
			seen[slot>>6] |= bit
			s.visit(x.grams.trie.get(slotKey(slot)), IndexPattern)
		}
	}
}
