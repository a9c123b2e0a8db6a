package packed

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// block is a hash table in bytes, with the changes since it was made behind it. All
// numbers are little-endian and of 4 bytes:
//
//	slots    the upper half of an entry's hash, and where the entry begins; 0: free
//	entries  length of the key, length of the value, the key, the value
//	late     the upper half of the hash, and an entry; its key's last one counts
//
// An entry has the slot that its hash points to, or the first free one behind it. The
// zero block is empty.
//
// What a copy of a block has stays as it is: late entries go behind it, into memory that
// only the block's line of edits writes to.
type block struct {
	bytes   []byte
	late    uint32 // where the late entries begin
	slots   uint16
	entries uint16 // keys; so many that it is too small would be a billion in the map
}

const (
	slotSize = 8
	lengths  = 8
	tagSize  = 4
	tagOf    = 32             // bits of the hash below the tag
	gone     = math.MaxUint32 // length of the value of a late entry that takes its key out
	maxLate  = 8              // late entries, for each look-up reads all of their keys
)

// slotsFor is how many slots n entries want.
func slotsFor(n uint32) uint32 { return n*4/3 + 1 }

func (b *block) number(at uint32) uint32 { return binary.LittleEndian.Uint32(b.bytes[at:]) }

func (b *block) end() uint32 { return uint32(len(b.bytes)) }

func (b *block) start(slot uint32) uint32 { return b.number(slot*slotSize + 4) }

func (b *block) isGone(start uint32) bool { return b.number(start+4) == gone }

// entry returns the entry that begins at a byte. Its texts are the block's bytes, which
// stay as they are.
func (b *block) entry(start uint32) (key, value string, end uint32) {
	from := start + lengths
	middle := from + b.number(start)
	end = middle
	if size := b.number(start + 4); size != gone {
		end += size
	}
	text := b.bytes[from:end]
	whole := unsafe.String(unsafe.SliceData(text), len(text)) //nolint:gosec // G103: see above
	return whole[:middle-from], whole[middle-from:], end
}

// find returns where the key's entry begins, 0 when it has none.
func (b *block) find(hash uint64, key string) (start uint32) {
	if b.entries == 0 {
		return 0
	}
	if late, _ := b.findLate(key); late != 0 {
		if b.isGone(late) {
			return 0
		}
		return late
	}
	tag := uint32(hash >> tagOf)
	for slot := b.home(tag); ; slot = b.next(slot) {
		start := b.start(slot)
		if start == 0 {
			return 0
		}
		if b.number(slot*slotSize) == tag {
			if k, _, _ := b.entry(start); k == key {
				return start
			}
		}
	}
}

// findLate returns where the key's last late entry begins, 0 when it has none, and how
// many late entries there are of all keys.
func (b *block) findLate(key string) (start uint32, late int) {
	for at := b.late; at < b.end(); late++ {
		k, _, end := b.entry(at + tagSize)
		if k == key {
			start = at + tagSize
		}
		at = end
	}
	return start, late
}

func (b *block) home(tag uint32) uint32 { return uint32(uint64(tag) * uint64(b.slots) >> tagOf) }

func (b *block) next(slot uint32) uint32 {
	if slot++; slot < uint32(b.slots) {
		return slot
	}
	return 0
}

// hasSlot reports whether one more entry may have a slot.
func (b *block) hasSlot() bool {
	return slotsFor(uint32(b.entries)+1) <= uint32(b.slots) && b.late == b.end()
}

// add appends an entry of a key that the block has not, but has a slot for.
func (b *block) add(hash uint64, key string, value []byte) {
	b.take(uint32(hash >> tagOf))
	b.append(key, uint32(len(value)), value)
	b.late = b.end()
}

// take gives the entry that is appended next the first free slot from its home on.
func (b *block) take(tag uint32) {
	slot := b.home(tag)
	for b.start(slot) != 0 {
		slot = b.next(slot)
	}
	at := b.bytes[slot*slotSize:]
	binary.LittleEndian.PutUint32(at, tag)
	binary.LittleEndian.PutUint32(at[4:], b.end())
	b.entries++
}

func (b *block) append(key string, size uint32, value []byte) {
	b.bytes = binary.LittleEndian.AppendUint32(b.bytes, uint32(len(key)))
	b.bytes = binary.LittleEndian.AppendUint32(b.bytes, size)
	b.bytes = append(b.bytes, key...)
	b.bytes = append(b.bytes, value...)
}

// hasRoom reports whether a late entry with so much text fits behind the others. One that
// does not would have them copied.
func (b *block) hasRoom(text int) bool {
	_, late := b.findLate("")
	return late < maxLate && cap(b.bytes)-len(b.bytes) >= tagSize+lengths+text
}

// addLate appends a late entry: the value of a key, or that it is gone.
func (b *block) addLate(hash uint64, key string, size uint32, value []byte) {
	b.bytes = binary.LittleEndian.AppendUint32(b.bytes, uint32(hash>>tagOf))
	b.append(key, size, value)
}

// rebuilt returns a copy with so many slots, and memory for more bytes, of all entries but
// the one that begins at without.
func (b *block) rebuilt(without, slots uint32, more int) block {
	texts := 0
	for _, start := range b.live {
		_, _, end := b.entry(start)
		texts += int(end - start)
	}
	table := int(slots * slotSize)
	c := block{bytes: make([]byte, table, table+texts+more), slots: uint16(slots)}
	for tag, start := range b.live {
		if start == without {
			continue
		}
		_, _, end := b.entry(start)
		c.take(tag)
		c.bytes = append(c.bytes, b.bytes[start:end]...)
	}
	c.late = c.end()
	return c
}

// live gives the tags of all entries that count, and where they begin.
func (b *block) live(yield func(tag, start uint32) bool) {
	changed := b.late < b.end()
	for slot := range uint32(b.slots) {
		start := b.start(slot)
		if start == 0 {
			continue
		}
		if changed {
			key, _, _ := b.entry(start)
			if later, _ := b.findLate(key); later != 0 {
				continue
			}
		}
		if !yield(b.number(slot*slotSize), start) {
			return
		}
	}
	for at := b.late; at < b.end(); {
		start := at + tagSize
		key, _, end := b.entry(start)
		if last, _ := b.findLate(key); last == start && !b.isGone(start) && !yield(b.number(at), start) {
			return
		}
		at = end
	}
}
