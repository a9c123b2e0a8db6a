// Package packed has a map of texts that Go's garbage collector need not look
// into: a million entries stand in 65,536 blocks of bytes that have no pointers.
// A collector that marks a million small objects takes a second of a busy
// processor for it, in turns that everybody else waits for.
package packed

import (
	"encoding/binary"
	"iter"
	"unsafe"
)

// Map is a persistent map from texts to texts, of a few kilobytes at most: a
// change copies the block of its key and the three nodes above it, which are two
// kilobytes of a million short ones, and copies of the Map from before keep theirs. The zero Map is empty. Any number of
// goroutines may read copies of a Map while one of them is changed.
//
// Each method gets the hash of the key, all 64 bits of it, seeded where somebody
// else chooses the keys.
type Map struct {
	root  *inner[inner[node]]
	count int
}

// Owner says which edit made a part of a Map: what it made itself nobody else
// has, and it is changed in place. An edit ends with the last use of its Owner;
// a copy of the Map from before that end may change with it.
type Owner struct{ _ byte }

const (
	innerBits = 6
	nodeBits  = 4
)

type inner[K any] struct {
	owner *Owner
	kids  [1 << innerBits]*K
}

type node struct {
	owner  *Owner
	owned  uint16 // the blocks that the owner made, a bit each
	blocks [1 << nodeBits]block
}

// at returns the way to the block of a hash.
func at(hash uint64) (inRoot, inInner, inNode int) {
	const innerMask, nodeMask = 1<<innerBits - 1, 1<<nodeBits - 1
	return int(hash & innerMask), int(hash >> innerBits & innerMask), int(hash >> (2 * innerBits) & nodeMask)
}

// Len returns how many keys the map has.
func (m *Map) Len() int { return m.count }

// Get returns the value of key, and whether there is one.
func (m *Map) Get(hash uint64, key string) (value string, ok bool) {
	if m.root == nil {
		return "", false
	}
	inRoot, inInner, inNode := at(hash)
	i := m.root.kids[inRoot]
	if i == nil || i.kids[inInner] == nil {
		return "", false
	}
	b := i.kids[inInner].blocks[inNode]
	slot := b.find(hash, key)
	if slot < 0 {
		return "", false
	}
	_, value, _ = b.entry(b.start(slot))
	return value, true
}

// Put sets the value of key.
func (m *Map) Put(o *Owner, hash uint64, key string, value []byte) {
	n, i := m.own(o, hash)
	b := n.blocks[i]
	slot := b.find(hash, key)
	if slot < 0 {
		m.count++
	}
	if slot < 0 && n.owned&(1<<i) != 0 && b.hasRoom() {
		n.blocks[i] = b.add(hash, key, value)
		return
	}
	slots := slotsFor(b.entries() + 1)
	if slot < 0 && n.owned&(1<<i) != 0 {
		slots *= 2 // an edit that adds much comes again
	}
	n.blocks[i] = b.without(slot, slots, entrySize(key, value)).add(hash, key, value)
	n.owned |= 1 << i
}

// Delete takes out a key, and reports whether the map had it.
func (m *Map) Delete(o *Owner, hash uint64, key string) bool {
	if _, ok := m.Get(hash, key); !ok {
		return false
	}
	if m.count--; m.count == 0 {
		m.root = nil
		return true
	}
	n, i := m.own(o, hash)
	b := n.blocks[i]
	n.owned |= 1 << i
	if b.entries() == 1 {
		n.blocks[i] = nil
	} else {
		n.blocks[i] = b.without(b.find(hash, key), slotsFor(b.entries()-1), 0)
	}
	return true
}

// All gives every key and its value, in no order.
func (m *Map) All() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for b := range m.blocks {
			if !b.all(yield) {
				return
			}
		}
	}
}

func (m *Map) blocks(yield func(block) bool) {
	for i := range m.root.all {
		for n := range i.all {
			for _, b := range n.blocks {
				if !yield(b) {
					return
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
	inRoot, inInner, inNode := at(hash)
	m.root = m.root.own(o)
	i := m.root.kids[inRoot].own(o)
	m.root.kids[inRoot] = i
	n := i.kids[inInner].own(o)
	i.kids[inInner] = n
	return n, inNode
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
	return &own
}

// block is a hash table in bytes; nil is empty. All numbers are little-endian and of
// 4 bytes:
//
//	offset  what
//	     0  number of entries
//	     4  number of slots
//	     8  slots: the upper half of an entry's hash, and where the entry begins; 0: free
//	        entries: length of the key, length of the value, the key, the value
//
// An entry has the slot that its hash points to, or the first free one behind it.
type block []byte

const (
	headSize  = 8
	slotSize  = 8
	lengths   = 8
	tagOf     = 32 // bits of the hash below the tag
	roomFor   = 3  // entries
	slotsEach = 4
)

// slotsFor is how many slots n entries want.
func slotsFor(n int) int { return n*slotsEach/roomFor + 1 }

func entrySize(key string, value []byte) int { return lengths + len(key) + len(value) }

func (b block) number(at int) int { return int(binary.LittleEndian.Uint32(b[at:])) }

func (b block) set(at, number int) { binary.LittleEndian.PutUint32(b[at:], uint32(number)) }

func (b block) entries() int {
	if b == nil {
		return 0
	}
	return b.number(0)
}

func (b block) slots() int { return b.number(4) }

// hasRoom reports whether one more entry may have a slot.
func (b block) hasRoom() bool { return b != nil && slotsFor(b.entries()+1) <= b.slots() }

func (b block) start(slot int) int { return b.number(headSize + slot*slotSize + 4) }

// entry returns the entry that begins at a byte. Its texts are the block's bytes, which
// stay as they are: an entry is only ever added, and taken out of a copy.
func (b block) entry(at int) (key, value string, end int) {
	from := at + lengths
	middle := from + b.number(at)
	end = middle + b.number(at+4)
	text := b[from:end]
	whole := unsafe.String(unsafe.SliceData(text), len(text)) //nolint:gosec // G103: see above
	return whole[:middle-from], whole[middle-from:], end
}

// find returns the slot of key, -1 when there is none.
func (b block) find(hash uint64, key string) int {
	if b == nil {
		return -1
	}
	tag, slots := uint32(hash>>tagOf), b.slots()
	for slot := home(tag, slots); ; slot = next(slot, slots) {
		at := headSize + slot*slotSize
		start := b.number(at + 4)
		if start == 0 {
			return -1
		}
		if uint32(b.number(at)) == tag {
			if k, _, _ := b.entry(start); k == key {
				return slot
			}
		}
	}
}

func home(tag uint32, slots int) int { return int(uint64(tag) * uint64(slots) >> 32) }

func next(slot, slots int) int {
	if slot++; slot < slots {
		return slot
	}
	return 0
}

// add appends an entry that the block has not, but has room for.
func (b block) add(hash uint64, key string, value []byte) block {
	b.take(uint32(hash>>tagOf), len(b))
	b.set(0, b.entries()+1)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(key)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
	b = append(b, key...)
	return append(b, value...)
}

// take gives an entry the first free slot from its home on.
func (b block) take(tag uint32, start int) {
	slots := b.slots()
	for slot := home(tag, slots); ; slot = next(slot, slots) {
		if at := headSize + slot*slotSize; b.number(at+4) == 0 {
			b.set(at, int(tag))
			b.set(at+4, start)
			return
		}
	}
}

// without returns a copy with so many slots that has not the entry of a slot, -1 for
// none, and memory for more bytes.
func (b block) without(gone, slots, more int) block {
	from := headSize // of the entries
	if b != nil {
		from += b.slots() * slotSize
	}
	size := headSize + slots*slotSize
	c := make(block, size, size+max(len(b)-from, 0)+more)
	c.set(4, slots)
	if b == nil {
		return c
	}
	for slot := range b.slots() {
		start := b.start(slot)
		if start == 0 || slot == gone {
			continue
		}
		_, _, end := b.entry(start)
		c.take(uint32(b.number(headSize+slot*slotSize)), len(c))
		c.set(0, c.entries()+1)
		c = append(c, b[start:end]...)
	}
	return c
}

func (b block) all(yield func(key, value string) bool) bool {
	if b == nil {
		return true
	}
	for at := headSize + b.slots()*slotSize; at < len(b); {
		key, value, end := b.entry(at)
		if !yield(key, value) {
			return false
		}
		at = end
	}
	return true
}
