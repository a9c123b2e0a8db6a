// Package packed has a map of texts that Go's garbage collector need not look
// into: a million entries stand in 65,536 blocks of bytes that have no pointers.
// To mark a million small objects it takes a second of a busy processor, in turns
// that everybody else waits for.
package packed

import "iter"

// Map is a persistent map from texts to texts, of a few kilobytes at most: copies of it
// keep what they have when it changes. A change copies the four nodes above the block of
// its key, a kilobyte, and adds to the block, behind what the copies have of it; when that
// is full, the block is copied, of a million short entries another kilobyte or two. The
// zero Map is empty. Any number of goroutines may read copies of a Map while one of them
// is changed.
//
// Each method gets the hash of the key, all 64 bits of it, seeded where somebody
// else chooses the keys.
type Map struct {
	root  *inner[inner[inner[node]]]
	count int
}

// Owner says which edit made a part of a Map: what it made itself nobody else
// has, and it is changed in place. An edit ends with the last use of its Owner;
// a copy of the Map from before that end may change with it.
type Owner struct {
	room  uint32 // of a new block, in entries; 0: as it comes
	first *Owner // of its line; nil: the Owner itself
}

// NewOwner returns the Owner of an edit that makes room for so many entries, up to a
// quarter of a billion.
func NewOwner(expected int) *Owner {
	const blocks, most = 1 << (4 * stepBits), 1 << 12
	room := expected / blocks * 5 / 4 // they are not spread evenly
	return &Owner{room: uint32(min(room, most))}
}

// Next returns the Owner of the edit that follows. On each Map, edits of one line must
// follow each other, each beginning with what the one before left: they write into the
// same memory, behind what copies of the Map have of it.
func (o *Owner) Next() *Owner { return &Owner{first: o.line()} }

func (o *Owner) line() *Owner {
	if o.first == nil {
		return o
	}
	return o.first
}

// A hash leads to its block in four steps of so many bits each.
const (
	stepBits = 4
	fanOut   = 1 << stepBits
)

func step(hash uint64, depth int) int { return int(hash >> (depth * stepBits) & (fanOut - 1)) }

type inner[K any] struct {
	owner *Owner
	kids  [fanOut]*K
}

// kid returns the next node on the way, nil where there is none.
func (i *inner[K]) kid(hash uint64, depth int) *K {
	if i == nil {
		return nil
	}
	return i.kids[step(hash, depth)]
}

type node struct {
	owner  *Owner
	owned  uint16 // the blocks that the owner made, a bit each
	lined  uint16 // those that its line made
	blocks [fanOut]block
}

// block returns the block of a hash, nil when there is none.
func (m *Map) block(hash uint64) *block {
	n := m.root.kid(hash, 0).kid(hash, 1).kid(hash, 2)
	if n == nil {
		return nil
	}
	return &n.blocks[step(hash, 3)]
}

// Len returns how many keys the map has.
func (m *Map) Len() int { return m.count }

// Get returns the value of key, and whether there is one.
func (m *Map) Get(hash uint64, key string) (value string, ok bool) {
	b := m.block(hash)
	if b == nil {
		return "", false
	}
	start := b.find(hash, key)
	if start == 0 {
		return "", false
	}
	_, value, _ = b.entry(start)
	return value, true
}

// Put sets the value of key.
func (m *Map) Put(o *Owner, hash uint64, key string, value []byte) {
	n, i := m.own(o, hash)
	b, bit := &n.blocks[i], uint16(1)<<i
	old := b.find(hash, key)
	isNew, owned := old == 0, n.owned&bit != 0
	if isNew {
		m.count++
	}
	text := len(key) + len(value)
	switch {
	case isNew && owned && b.hasSlot():
		b.add(hash, key, value)
	case n.lined&bit != 0 && b.hasRoom(text):
		b.addLate(hash, key, uint32(len(value)), value)
		if isNew {
			b.entries++
		}
	default:
		n.rebuild(o, i, old, isNew && owned, text)
		b.add(hash, key, value)
	}
}

// Delete takes out a key, and reports whether the map had it.
func (m *Map) Delete(o *Owner, hash uint64, key string) bool {
	value, ok := m.Get(hash, key)
	if !ok {
		return false
	}
	if m.count--; m.count == 0 {
		m.root = nil
		return true
	}
	n, i := m.own(o, hash)
	b := &n.blocks[i]
	switch {
	case b.entries == 1:
		*b = block{}
	case n.lined&(1<<i) != 0 && b.hasRoom(len(key)):
		b.addLate(hash, key, gone, nil)
		b.entries--
	default: // often the key comes back
		n.rebuild(o, i, b.find(hash, key), false, len(key)+len(value))
	}
	return true
}

// rebuild makes a block a copy of what it was, but for the entry that begins at without,
// with room for one that is added and has so much text, and for some that follow it.
func (n *node) rebuild(o *Owner, i int, without uint32, addsMuch bool, text int) {
	const later = 4 // changes that a block takes before it is copied again
	b := &n.blocks[i]
	entries := uint32(b.entries)
	more, slots := uint32(1+later), slotsFor(entries+1)
	switch {
	case o.room > entries:
		more, slots = o.room-entries, slotsFor(o.room)
	case addsMuch:
		more, slots = entries+1, slotsFor(2*entries+1)
	}
	*b = b.rebuilt(without, slots, int(more)*(tagSize+lengths+text))
	n.owned |= 1 << i
	n.lined |= 1 << i
}

// All gives every key and its value, in no order.
func (m *Map) All() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for b := range m.blocks {
			for _, start := range b.live {
				if key, value, _ := b.entry(start); !yield(key, value) {
					return
				}
			}
		}
	}
}

func (m *Map) blocks(yield func(*block) bool) {
	for i := range m.root.all {
		for j := range i.all {
			for n := range j.all {
				for b := range n.blocks {
					if !yield(&n.blocks[b]) {
						return
					}
				}
			}
		}
	}
}

func (i *inner[K]) all(yield func(*K) bool) {
	if i == nil {
		return
	}
	for _, kid := range i.kids {
		if kid != nil && !yield(kid) {
			return
		}
	}
}

// own makes the nodes above a block ones of the edit, and returns the lowest and where
// it has the block.
func (m *Map) own(o *Owner, hash uint64) (*node, int) {
	m.root = m.root.own(o)
	upper := &m.root.kids[step(hash, 0)]
	*upper = (*upper).own(o)
	lower := &(*upper).kids[step(hash, 1)]
	*lower = (*lower).own(o)
	n := &(*lower).kids[step(hash, 2)]
	*n = (*n).own(o)
	return *n, step(hash, 3)
}

func (i *inner[K]) own(o *Owner) *inner[K] {
	switch {
	case i == nil:
		return &inner[K]{owner: o}
	case i.owner == o:
		return i
	}
	own := *i
	own.owner = o
	return &own
}

func (n *node) own(o *Owner) *node {
	switch {
	case n == nil:
		return &node{owner: o}
	case n.owner == o:
		return n
	}
	own := *n
	own.owner, own.owned = o, 0
	if n.owner.line() != o.line() {
		own.lined = 0
	}
	return &own
}
