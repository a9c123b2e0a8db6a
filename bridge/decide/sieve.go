package decide

import "sync/atomic"

// sieve is a trie that is asked many keys which it has not: one word of memory
// tells of most of them. The zero sieve is empty.
type sieve struct {
	trie   trie
	screen screen
}

// get returns the posting of key, nil when there is none. It may not be changed.
func (s *sieve) get(key uint32) *posting {
	if !s.may(key) {
		return nil
	}
	return s.trie.get(key)
}

// at is get for who does not mind an empty posting.
func (s *sieve) at(key uint32) posting {
	if p := s.get(key); p != nil {
		return *p
	}
	return posting{}
}

// may reports whether the sieve may have the key.
func (s *sieve) may(key uint32) bool { return s.screen.may(key) }

// set replaces the posting of key, by nothing when it is empty.
func (s *sieve) set(o *owner, key uint32, p posting) {
	before := s.trie.count
	s.trie.set(o, key, p)
	s.screen.follow(key, before, s.trie.count, s.trie.each)
	if s.trie.count == 0 {
		*s = sieve{}
	}
}

// screen tells of most keys that they are not there. The zero screen has none.
type screen struct {
	filter *filter // nil: there is no key
	stale  int     // about how many keys of the filter are gone
}

func (s *screen) may(key uint32) bool { return s.filter != nil && s.filter.may(key) }

// follow notes that a key came or went, so that of before keys there are n; each gives
// all of them.
func (s *screen) follow(key uint32, before, n int, each func(func(key uint32))) {
	switch {
	case n == 0:
		*s = screen{}
	case n < before:
		if s.stale++; s.stale > s.filter.keys/2 {
			s.renew(n, each)
		}
	case n > before && (s.filter == nil || n > s.filter.keys):
		s.renew(n, each)
	case n > before && !s.filter.add(key) && s.stale > 0:
		s.stale-- // most likely the key was here before, as when its rule is pushed again
	}
}

// renew makes a filter of just the n keys that are there, with room for as many more.
func (s *screen) renew(n int, each func(func(key uint32))) {
	const few = 32
	s.filter, s.stale = newFilter(2*max(n, few)), 0
	each(func(key uint32) { s.filter.add(key) })
}

// filter is a set of keys that may seem to have a few more: a Bloom filter that has
// all bits of a key in one word. Versions of a table share it. Keys are only ever
// added, which costs other versions nothing but a look into their trie; who reads
// meanwhile and who edits at the same time do no harm, for words change atomically.
type filter struct {
	keys  int // as many it is made for
	words []atomic.Uint64
}

// newFilter makes the filter for some keys: 16 bits each, of which 4 are set, take a
// look in vain for one strange key in a hundred.
func newFilter(keys int) *filter {
	return &filter{keys: keys, words: make([]atomic.Uint64, (keys+3)/4)}
}

// at returns the word of key and its bits.
func (f *filter) at(key uint32) (word *atomic.Uint64, bits uint64) {
	h := uint64(key) * 0x9E3779B97F4A7C15
	bits = 1<<(h>>58) | 1<<(h>>52&63) | 1<<(h>>46&63) | 1<<(h>>40&63)
	return &f.words[uint64(key)*uint64(len(f.words))>>32], bits
}

func (f *filter) may(key uint32) bool {
	word, bits := f.at(key)
	return word.Load()&bits == bits
}

// add adds a key, and reports whether it was not yet there.
func (f *filter) add(key uint32) bool {
	word, bits := f.at(key)
	return word.Or(bits)&bits != bits
}
