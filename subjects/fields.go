package subjects

import "hash/maphash"

// Field is one decoded key and value.
type Field struct{ Key, Value string }

// Fields is an ordered set of fields: the first value of a key is its value,
// whatever follows. The zero value is empty and ready. A set that is Reset and
// filled again does not allocate, and looking up stays cheap for any number of
// fields, because a publisher chooses how many there are.
type Fields struct {
	list  []Field
	index []int32 // open addressing: position in list + 1, 0 is free; used past linearFields
	seed  maphash.Seed
}

// linearFields is the size up to which a scan beats the hash index.
const linearFields = 8

// Reset empties the set and keeps its memory.
func (f *Fields) Reset() {
	clear(f.list)
	f.list = f.list[:0]
}

// Len returns the number of fields.
func (f *Fields) Len() int { return len(f.list) }

// List returns the fields in the order they were added. It is the set's own
// memory: values may be replaced in place, keys may not.
func (f *Fields) List() []Field { return f.list }

// Get returns the value of key and whether there is one.
func (f *Fields) Get(key string) (string, bool) {
	if i, _ := f.find(key); i >= 0 {
		return f.list[i].Value, true
	}
	return "", false
}

// Add appends a field and reports true, or reports false and changes nothing
// when the key is already there.
func (f *Fields) Add(key, value string) bool {
	i, slot := f.find(key)
	if i >= 0 {
		return false
	}
	f.list = append(f.list, Field{key, value})
	switch n := len(f.list); {
	case n <= linearFields:
	case n == linearFields+1 || 2*n > len(f.index):
		f.reindex()
	default:
		f.index[slot] = int32(n)
	}
	return true
}

// find returns the position of key, or -1 and the free index slot it would take.
func (f *Fields) find(key string) (pos, slot int) {
	if len(f.list) <= linearFields {
		for i := range f.list {
			if f.list[i].Key == key {
				return i, 0
			}
		}
		return -1, 0
	}
	mask := len(f.index) - 1
	slot = int(maphash.String(f.seed, key)) & mask
	for f.index[slot] != 0 {
		if i := int(f.index[slot]) - 1; f.list[i].Key == key {
			return i, slot
		}
		slot = (slot + 1) & mask
	}
	return -1, slot
}

func (f *Fields) reindex() {
	size := 4 * linearFields
	for size < 4*len(f.list) {
		size *= 2
	}
	if size > cap(f.index) {
		f.index = make([]int32, size)
		f.seed = maphash.MakeSeed()
	}
	f.index = f.index[:size]
	clear(f.index)
	for i := range f.list {
		slot := int(maphash.String(f.seed, f.list[i].Key)) & (size - 1)
		for f.index[slot] != 0 {
			slot = (slot + 1) & (size - 1)
		}
		f.index[slot] = int32(i + 1)
	}
}
