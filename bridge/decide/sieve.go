package decide

// sieve is a trie that is asked many keys of which it has few: one bit tells of
// most that it has not.
type sieve struct {
	owner *owner
	bits  [1 << sieveBits / 64]uint64
	stale int // keys removed since the bits were last set anew
	trie  trie
}

const sieveBits = 16

// may reports whether the sieve may have the key.
func (s *sieve) may(key uint32) bool {
	bit := key >> (32 - sieveBits)
	return s.bits[bit>>6]&(1<<(bit&63)) != 0
}

func (s *sieve) own(o *owner) *sieve {
	switch {
	case s == nil:
		return &sieve{owner: o}
	case s.owner == o:
		return s
	}
	own := *s
	own.owner = o
	return &own
}

// at returns the posting of key. The nil sieve is empty.
func (s *sieve) at(key uint32) posting {
	if s == nil || !s.may(key) {
		return posting{}
	}
	return s.trie.at(key)
}

// with returns the sieve with another posting of key; nil when nothing is left.
func (s *sieve) with(o *owner, key uint32, p posting) *sieve {
	s = s.own(o)
	s.trie.set(o, key, p)
	if s.trie.count == 0 {
		return nil
	}
	if !p.empty() {
		s.mark(key)
		return s
	}
	// The bit stays: another key may have it. When many may be nobody's, all are
	// found again.
	const few = 16
	if s.stale++; s.stale > few+s.trie.count/2 {
		s.stale, s.bits = 0, [len(s.bits)]uint64{}
		s.trie.each(s.mark)
	}
	return s
}

func (s *sieve) mark(key uint32) {
	bit := key >> (32 - sieveBits)
	s.bits[bit>>6] |= 1 << (bit & 63)
}
