package decide

import "slices"

// hashMap is a persistent map: a trie over the bits of the keys' hashes, with a
// few entries at each end. The zero map is empty. A hash is seeded where
// somebody else chooses what is looked up.
type hashMap[V any] struct {
	entries []entry[V] // never changed, only replaced
	kids    *kids[V]   // nil, or instead of entries
}

type entry[V any] struct {
	hash  uint64
	key   string
	value V
}

const (
	hashBits  = 6
	hashMask  = 1<<hashBits - 1
	hashDepth = 64 / hashBits
	// maxEntries is how many stand together before they are spread over kids,
	// and minEntries how many come back together.
	maxEntries = 12
	minEntries = 4
)

type kids[V any] struct {
	owner *owner
	count int // of entries below
	maps  [1 << hashBits]hashMap[V]
}

// get returns the value of key, nil when there is none. It may not be changed.
func (m *hashMap[V]) get(hash uint64, key string) *V {
	for bits := hash; m.kids != nil; bits >>= hashBits {
		m = &m.kids.maps[bits&hashMask]
	}
	for i := range m.entries {
		if e := &m.entries[i]; e.hash == hash && e.key == key {
			return &e.value
		}
	}
	return nil
}

// put sets the value of key.
func (m *hashMap[V]) put(o *owner, hash uint64, key string, value V) {
	m.set(o, entry[V]{hash, key, value}, 0, m.get(hash, key) == nil)
}

func (m *hashMap[V]) set(o *owner, e entry[V], depth int, added bool) {
	for ; m.kids != nil; depth++ {
		m.kids = m.kids.own(o)
		if added {
			m.kids.count++
		}
		m = m.kids.at(e.hash, depth)
	}
	if !added {
		m.entries = slices.Clone(m.entries)
		m.entries[m.position(e.hash, e.key)] = e
		return
	}
	entries := make([]entry[V], len(m.entries)+1)
	entries[copy(entries, m.entries)] = e
	m.entries = entries
	if len(entries) <= maxEntries || depth >= hashDepth {
		return
	}
	m.entries, m.kids = nil, &kids[V]{owner: o, count: len(entries)}
	for _, e := range entries {
		m.kids.at(e.hash, depth).set(o, e, depth+1, true)
	}
}

// remove takes out a key that the map has.
func (m *hashMap[V]) remove(o *owner, hash uint64, key string) { m.drop(o, hash, key, 0) }

func (m *hashMap[V]) drop(o *owner, hash uint64, key string, depth int) {
	if m.kids == nil {
		i := m.position(hash, key)
		m.entries = slices.Concat(m.entries[:i], m.entries[i+1:])
		return
	}
	m.kids = m.kids.own(o)
	m.kids.at(hash, depth).drop(o, hash, key, depth+1)
	m.kids.count--
	if m.kids.count > minEntries {
		return
	}
	var entries []entry[V]
	m.each(func(e *entry[V]) { entries = append(entries, *e) })
	m.entries, m.kids = entries, nil
}

func (m *hashMap[V]) position(hash uint64, key string) int {
	return slices.IndexFunc(m.entries, func(e entry[V]) bool { return e.hash == hash && e.key == key })
}

// len returns how many keys the map has.
func (m *hashMap[V]) len() int {
	if m.kids == nil {
		return len(m.entries)
	}
	return m.kids.count
}

// each calls f for every entry.
func (m *hashMap[V]) each(f func(*entry[V])) {
	for i := range m.entries {
		f(&m.entries[i])
	}
	if m.kids == nil {
		return
	}
	for i := range m.kids.maps {
		m.kids.maps[i].each(f)
	}
}

func (k *kids[V]) own(o *owner) *kids[V] {
	if k.owner == o {
		return k
	}
	own := *k
	own.owner = o
	return &own
}

func (k *kids[V]) at(hash uint64, depth int) *hashMap[V] {
	return &k.maps[hash>>(depth*hashBits)&hashMask]
}
