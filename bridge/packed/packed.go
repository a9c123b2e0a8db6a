// Package packed has a map of texts that Go's garbage collector need not look
// into: a million entries stand in 65,536 blocks of bytes that have no pointers.
// To mark a million small objects it takes a second of a busy processor, in turns
// that everybody else waits for.
package packed

import (
	"encoding/binary"
	"iter"
	"unsafe"
)

// Map is a persistent map from texts to texts, of a few kilobytes at most: a
// change copies the block of its key and the three nodes above it, some three
// kilobytes of a million short entries, and copies of the Map from before keep
// theirs. The zero Map is empty. Any number of goroutines may read copies of a
// Map while one of them is changed.
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
type Owner struct {
	room uint32 // of a new block, in entries
}

// NewOwner returns the Owner of an edit that makes room for so many entries.
func NewOwner(expected int) *Owner {
	const blockBits = 2*innerBits + nodeBits
	return &Owner{room: uint32(expected >> blockBits * 5 / 4)} // they are not spread evenly
}

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
	b := &i.kids[inInner].blocks[inNode]
	slot, ok := b.find(hash, key)
	if !ok {
		return "", false
	}
	_, value, _ = b.entry(b.start(slot))
	return value, true
}

// Put sets the value of key.
func (m *Map) Put(o *Owner, hash uint64, key string, value []byte) {
	n, i := m.own(o, hash)
	b, owned := &n.blocks[i], n.owned&(1<<i) != 0
	slot, there := b.find(hash, key)
	if !there {
		m.count++
	}
	if there || !owned || !b.hasRoom() {
		more := uint32(0) // entries that the copy has room for
		if !there && owned {
			more = b.entries // an edit that adds much comes again
		}
		more = max(1, more, o.room-min(o.room, b.entries))
		*b = b.rebuilt(slot, there, slotsFor(b.entries+more), int(more)*(lengths+len(key)+len(value)))
		n.owned |= 1 << i
	}
	b.add(hash, key, value)
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
	n.owned |= 1 << i
	b := &n.blocks[i]
	if b.entries == 1 {
		*b = block{}
	} else {
		slot, _ := b.find(hash, key)
		_, _, end := b.entry(b.start(slot))
		// Often the key comes back, with a value that is a little longer.
		*b = b.rebuilt(slot, true, slotsFor(b.entries), int(end-b.start(slot))+slack)
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

func (m *Map) blocks(yield func(*block) bool) {
	for i := range m.root.all {
		for n := range i.all {
			for b := range n.blocks {
				if !yield(&n.blocks[b]) {
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

// block is a hash table in bytes. All numbers are little-endian and of 4 bytes:
//
//	slots    the upper half of an entry's hash, and where the entry begins; 0: free
//	entries  length of the key, length of the value, the key, the value
//
// An entry has the slot that its hash points to, or the first free one behind it. The
// zero block is empty.
type block struct {
	bytes   []byte
	slots   uint32
	entries uint32
}

const (
	slotSize = 8
	slack    = 32
	lengths  = 8
	tagOf    = 32 // bits of the hash below the tag
)

// slotsFor is how many slots n entries want.
func slotsFor(n uint32) uint32 { return n*4/3 + 1 }

func (b *block) number(at uint32) uint32 { return binary.LittleEndian.Uint32(b.bytes[at:]) }

// hasRoom reports whether one more entry may have a slot.
func (b *block) hasRoom() bool { return slotsFor(b.entries+1) <= b.slots }

func (b *block) start(slot uint32) uint32 { return b.number(slot*slotSize + 4) }

// entry returns the entry that begins at a byte. Its texts are the block's bytes, which
// stay as they are: an entry is only ever added, and taken out of a copy.
func (b *block) entry(at uint32) (key, value string, end uint32) {
	from := at + lengths
	middle := from + b.number(at)
	end = middle + b.number(at+4)
	text := b.bytes[from:end]
	whole := unsafe.String(unsafe.SliceData(text), len(text)) //nolint:gosec // G103: see above
	return whole[:middle-from], whole[middle-from:], end
}

// find returns the slot of key, and whether it has one.
func (b *block) find(hash uint64, key string) (slot uint32, ok bool) {
	if b.entries == 0 {
		return 0, false
	}
	tag := uint32(hash >> tagOf)
	for slot = b.home(tag); ; slot = b.next(slot) {
		start := b.start(slot)
		if start == 0 {
			return 0, false
		}
		if b.number(slot*slotSize) == tag {
			if k, _, _ := b.entry(start); k == key {
				return slot, true
			}
		}
	}
}

func (b *block) home(tag uint32) uint32 { return uint32(uint64(tag) * uint64(b.slots) >> tagOf) }

func (b *block) next(slot uint32) uint32 {
	if slot++; slot < b.slots {
		return slot
	}
	return 0
}

// add appends an entry that the block has not, but has room for.
func (b *block) add(hash uint64, key string, value []byte) {
	b.take(uint32(hash >> tagOf))
	b.bytes = binary.LittleEndian.AppendUint32(b.bytes, uint32(len(key)))
	b.bytes = binary.LittleEndian.AppendUint32(b.bytes, uint32(len(value)))
	b.bytes = append(b.bytes, key...)
	b.bytes = append(b.bytes, value...)
}

// take gives the entry that is appended next the first free slot from its home on.
func (b *block) take(tag uint32) {
	slot := b.home(tag)
	for b.start(slot) != 0 {
		slot = b.next(slot)
	}
	at := b.bytes[slot*slotSize:]
	binary.LittleEndian.PutUint32(at, tag)
	binary.LittleEndian.PutUint32(at[4:], uint32(len(b.bytes)))
	b.entries++
}

// rebuilt returns a copy with so many slots, and memory for more bytes, of all entries but
// that of the slot gone, if there is one.
func (b *block) rebuilt(gone uint32, isGone bool, slots uint32, more int) block {
	texts := len(b.bytes) - int(b.slots*slotSize)
	c := block{bytes: make([]byte, slots*slotSize, int(slots*slotSize)+texts+more), slots: slots}
	for slot := range b.slots {
		start := b.start(slot)
		if start == 0 || isGone && slot == gone {
			continue
		}
		_, _, end := b.entry(start)
		c.take(b.number(slot * slotSize))
		c.bytes = append(c.bytes, b.bytes[start:end]...)
	}
	return c
}

func (b *block) all(yield func(key, value string) bool) bool {
	for at := b.slots * slotSize; int(at) < len(b.bytes); {
		key, value, end := b.entry(at)
		if !yield(key, value) {
			return false
		}
		at = end
	}
	return true
}
