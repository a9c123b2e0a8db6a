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
	for _, l := range x.prefixLengths {
		if l.length > len(name) {
			return
		}
		for ; at < l.length; at++ {
			h = h.with(name[at])
		}
		s.visitKey(x.prefixes, h.key(), IndexPrefix)
	}
}

// lengths counts texts by their length, ordered by that. It is never changed,
// only replaced.
type lengths []lengthCount

type lengthCount struct{ length, count int }

// with returns the lengths with n texts more, or less, of a length.
func (l lengths) with(length, n int) lengths {
	i, found := slices.BinarySearchFunc(l, length, func(c lengthCount, length int) int { return cmp.Compare(c.length, length) })
	l = slices.Clone(l)
	if !found {
		return slices.Insert(l, i, lengthCount{length, n})
	}
	if l[i].count += n; l[i].count == 0 {
		return slices.Delete(l, i, i+1)
	}
	return l
}
