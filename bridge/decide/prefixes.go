package decide

import (
	"cmp"
	"slices"
)

// prefixes finds patterns by what they begin with. A name is looked up once for
// each length that there is.

// prefixHash hashes a text from its first byte on, so that one pass over a name
// gives the hashes of all that it begins with.
type prefixHash uint64

func (h prefixHash) with(b byte) prefixHash { return (h ^ prefixHash(b)) * 0x100000001b3 } // FNV-1a

func (h prefixHash) key() uint32 {
	return uint32((uint64(h) ^ uint64(h)>>32) * 0x9E3779B97F4A7C15 >> 32)
}

// prefixKey returns the key of a whole text. The salt is where hashing begins.
func prefixKey(salt prefixHash, text string) uint32 {
	for i := range len(text) {
		salt = salt.with(text[i])
	}
	return salt.key()
}

// visitPrefixes offers what stands under each prefix of the name.
func (x *index) visitPrefixes(s *search, salt prefixHash) {
	name, at, h := s.in.Name, 0, salt
	for i := range x.prefixLengths {
		l := &x.prefixLengths[i]
		if l.length > len(name) {
			return
		}
		if !l.ends.has(name[l.length-1]) {
			continue
		}
		for ; at < l.length; at++ {
			h = h.with(name[at])
		}
		s.visit(x.prefixes.get(h.key()), IndexPrefix)
	}
}

// lengths counts texts by their length and last byte, ordered by length. It is never
// changed, only replaced.
type lengths []lengthCount

// lengthCount is the texts of one length. What a name has in the place of their last
// byte tells of most names, before they are hashed, that they have none of these texts.
type lengthCount struct {
	length int
	ends   byteSet
	counts *endCounts
}

// endCounts is how many texts there are for each last byte.
type endCounts struct {
	owner *owner
	of    [1 << 8]int32
}

func (c *endCounts) own(o *owner) *endCounts {
	if c.owner == o {
		return c
	}
	own := *c
	own.owner = o
	return &own
}

// byteSet is a set of bytes.
type byteSet [1 << 8 / 64]uint64

func (s *byteSet) has(b byte) bool { return s[b/64]&(1<<(b%64)) != 0 }

// with returns the lengths with n texts more, or less, of a length and last byte.
func (l lengths) with(o *owner, length int, end byte, n int) lengths {
	i, found := slices.BinarySearchFunc(l, length, func(c lengthCount, length int) int { return cmp.Compare(c.length, length) })
	l = slices.Clone(l)
	if !found {
		l = slices.Insert(l, i, lengthCount{length: length, counts: &endCounts{owner: o}})
	}
	c := &l[i]
	c.counts = c.counts.own(o)
	c.counts.of[end] += int32(n)
	c.ends[end/64] |= 1 << (end % 64)
	if c.counts.of[end] == 0 {
		c.ends[end/64] &^= 1 << (end % 64)
	}
	if c.ends == (byteSet{}) {
		return slices.Delete(l, i, i+1)
	}
	return l
}
