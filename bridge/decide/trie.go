package decide

// trie is a persistent table of postings by 32 bits of a hash. The texts behind
// the hashes are not kept: what meets under one key only brings rules up in
// vain, for all their conditions are checked. So a look-up touches few lines of
// memory, and a rule costs little of it. The zero trie is empty.
//
// It is extendible hashing in nodes of 32 refs: a leaf that is told apart by
// fewer than all bits of its node stands there under every ref that begins with
// these bits, and a full leaf is cut in two by one more bit. A change copies the
// nodes on its way and a leaf: they are small because each pointer in them costs
// a change many times as much while the garbage collector marks.
type trie struct {
	root  ref
	count int // of keys
}

// ref is a node, or else a leaf. Only an empty trie has neither.
type ref struct {
	node *node
	leaf *leaf
}

const (
	nodeBits  = 5
	nodeMask  = 1<<nodeBits - 1
	leafSize  = 62 // with the rest of a leaf a size class of the allocator
	leafMax   = 56 // so that a free slot is never far
	leafMarks = 6 * 64
)

type node struct {
	owner *owner
	refs  [1 << nodeBits]ref
}

// leaf has each key in the slot of its highest bits, or in a later one when that
// is taken. A posting stands beside its key: both are mostly one line of memory.
// All before the slots is one, too, and tells of most keys that they are not there.
type leaf struct {
	owner *owner
	count uint8
	bits  uint8                  // how many of its node's bits tell it apart
	marks [leafMarks / 64]uint64 // a bit of each key
	slots [leafSize]slot
}

type slot struct {
	posting posting // empty: the slot is free
	key     uint32
}

// get returns the posting of key, nil when there is none. It may not be changed.
func (t *trie) get(key uint32) *posting {
	r := &t.root
	for bits := key; r.node != nil; bits >>= nodeBits {
		r = &r.node.refs[bits&nodeMask]
	}
	if r.leaf == nil || !r.leaf.may(key) {
		return nil
	}
	if s := r.leaf.find(key); !s.posting.empty() {
		return &s.posting
	}
	return nil
}

// at is get for who does not mind an empty posting.
func (t *trie) at(key uint32) posting {
	if p := t.get(key); p != nil {
		return *p
	}
	return posting{}
}

// set replaces the posting of key, by nothing when it is empty.
func (t *trie) set(o *owner, key uint32, p posting) {
	way := t.descend(o, key)
	slot := way.leaf.find(key)
	had := !slot.posting.empty()
	switch {
	case had && p.empty():
		way.leaf.remove(slot)
		t.count--
		way.join(o)
	case had:
		slot.posting = p
	case p.empty():
	default:
		for way.leaf.count == leafMax {
			way.split(o)
			way = t.descend(o, key)
		}
		way.leaf.add(key, p)
		t.count++
	}
}

// way is where the way to a key ends. All on it belongs to the edit.
type way struct {
	up    *ref  // to node; of the whole trie when there is none
	node  *node // that has the leaf, nil when the leaf is the root
	index int   // of the leaf in node
	shift int   // bits of the key used above node
	leaf  *leaf
}

func (t *trie) descend(o *owner, key uint32) way {
	w := way{up: &t.root, shift: -nodeBits}
	r := &t.root
	for r.node != nil {
		if r.node.owner != o {
			own := *r.node
			own.owner = o
			r.node = &own
		}
		w.shift += nodeBits
		w.up, w.node, w.index = r, r.node, int(key>>w.shift&nodeMask)
		r = &r.node.refs[w.index]
	}
	switch {
	case r.leaf == nil:
		w.leaf = &leaf{owner: o}
		r.leaf = w.leaf
	case r.leaf.owner != o:
		own := *r.leaf
		own.owner = o
		w.put(&own, w.index)
	default:
		w.leaf = r.leaf
	}
	return w
}

// put makes a leaf that of all refs that begin as index does.
func (w *way) put(l *leaf, index int) {
	w.leaf = l
	if w.node == nil {
		*w.up = ref{leaf: l}
		return
	}
	step := 1 << l.bits
	for i := index & (step - 1); i < len(w.node.refs); i += step {
		w.node.refs[i] = ref{leaf: l}
	}
}

// split cuts the leaf in two, or gives it a node of its own.
func (w *way) split(o *owner) {
	full := w.leaf
	if w.node == nil || full.bits == nodeBits {
		below := &node{owner: o}
		full.bits = 0
		for i := range below.refs {
			below.refs[i].leaf = full
		}
		if w.node == nil {
			*w.up = ref{node: below}
		} else {
			w.node.refs[w.index] = ref{node: below}
		}
		return
	}
	halves := [2]*leaf{{owner: o, bits: full.bits + 1}, {owner: o, bits: full.bits + 1}}
	for i := range full.slots {
		s := &full.slots[i]
		halves[s.key>>w.shift>>full.bits&1].copy(s)
	}
	low := w.index &^ (1 << full.bits)
	w.put(halves[0], low)
	w.put(halves[1], low|1<<full.bits)
}

// join undoes splits whose halves have become small, and nodes of one leaf.
func (w *way) join(o *owner) {
	for w.node != nil && w.leaf.bits > 0 {
		other := w.node.refs[w.index^1<<(w.leaf.bits-1)].leaf
		if other == nil || other.bits != w.leaf.bits || other.count+w.leaf.count > leafMax/2 {
			return
		}
		whole := &leaf{owner: o, bits: w.leaf.bits - 1}
		for _, half := range [2]*leaf{w.leaf, other} {
			for i := range half.slots {
				whole.copy(&half.slots[i])
			}
		}
		w.put(whole, w.index)
	}
	if w.node != nil {
		if w.shift > 0 {
			w.leaf.bits = nodeBits
		}
		*w.up = ref{leaf: w.leaf}
	}
}

// each calls f for every key.
func (t *trie) each(f func(key uint32)) { t.root.each(f) }

func (r *ref) each(f func(key uint32)) {
	if r.leaf != nil {
		for i := range r.leaf.slots {
			if s := &r.leaf.slots[i]; !s.posting.empty() {
				f(s.key)
			}
		}
	}
	if r.node == nil {
		return
	}
	for i := range r.node.refs {
		if kid := &r.node.refs[i]; kid.leaf == nil || i>>kid.leaf.bits == 0 { // a leaf once
			kid.each(f)
		}
	}
}

// find returns the slot of key, or the free one that it would take.
func (l *leaf) find(key uint32) *slot {
	for i := scale(key, leafSize); ; i++ {
		if s := &l.slots[i%leafSize]; s.key == key || s.posting.empty() {
			return s
		}
	}
}

// may reports whether the leaf may have the key.
func (l *leaf) may(key uint32) bool {
	mark := scale(key, leafMarks)
	return l.marks[mark/64]&(1<<(mark%64)) != 0
}

// scale maps the highest bits of a key to 0 to n-1.
func scale(key, n uint32) uint32 { return key >> 16 * n >> 16 }

func (l *leaf) add(key uint32, p posting) {
	*l.find(key) = slot{posting: p, key: key}
	mark := scale(key, leafMarks)
	l.marks[mark/64] |= 1 << (mark % 64)
	l.count++
}

func (l *leaf) copy(s *slot) {
	if !s.posting.empty() {
		l.add(s.key, s.posting)
	}
}

// remove frees a slot, and finds new ones for the others.
func (l *leaf) remove(gone *slot) {
	gone.posting = posting{}
	slots := l.slots
	l.count, l.marks, l.slots = 0, [leafMarks / 64]uint64{}, [leafSize]slot{}
	for i := range slots {
		l.copy(&slots[i])
	}
}
