package rulestore

import (
	"hash/maphash"
	"iter"
	"slices"

	"bintubridge/bridge/decide"
)

// record is the version of a document that is in force.
type record struct {
	doc      *decide.Document
	revision uint64
	tag      uint32 // of the key, which most others of its part have not
}

// shards is into how many parts documents are split: of a million, one part has
// 60, and is copied in a microsecond, also while the collector wants to be told
// of each pointer.
const shards = 16384

// documents are the records by key. A frozen copy costs next to nothing: parts
// are shared with it until they change. A part is a plain list: of so few it
// takes half the memory of a map, and half the pointers. It belongs to one
// goroutine, except for get while nobody changes it.
type documents struct {
	seed   maphash.Seed
	parts  [shards][]record
	shared [shards]bool // with a frozen copy
	count  int
	room   int // of a new part
}

// newDocuments makes room for about as many documents as are expected.
func newDocuments(expected int) *documents {
	return &documents{seed: maphash.MakeSeed(), room: expected / shards}
}

// place returns the part of a key, and where the key's record stands there; at
// the end when there is none.
func (d *documents) place(key string) (part, at int, tag uint32) {
	hash := maphash.String(d.seed, key)
	part, tag = int(hash%shards), uint32(hash>>32)
	records := d.parts[part]
	for at = range records {
		if r := &records[at]; r.tag == tag && r.doc.Key() == key {
			return part, at, tag
		}
	}
	return part, len(records), tag
}

func (d *documents) get(key string) record {
	if part, at, _ := d.place(key); at < len(d.parts[part]) {
		return d.parts[part][at]
	}
	return record{}
}

func (d *documents) put(r record) {
	part, at, tag := d.place(r.doc.Key())
	r.tag = tag
	d.own(part)
	if at < len(d.parts[part]) {
		d.parts[part][at] = r
		return
	}
	d.parts[part] = append(d.parts[part], r)
	d.count++
}

func (d *documents) remove(key string) {
	part, at, _ := d.place(key)
	if at == len(d.parts[part]) {
		return
	}
	d.own(part)
	d.parts[part] = slices.Delete(d.parts[part], at, at+1)
	d.count--
}

// own makes a part one that may be changed.
func (d *documents) own(part int) {
	switch {
	case d.parts[part] == nil:
		d.parts[part] = make([]record, 0, d.room)
	case d.shared[part]:
		d.parts[part] = slices.Clone(d.parts[part])
	}
	d.shared[part] = false
}

func (d *documents) all() iter.Seq[record] { return frozen{parts: d.parts[:], count: d.count}.all() }

// freeze returns the records as they are now.
func (d *documents) freeze() frozen {
	f := frozen{parts: make([][]record, shards), count: d.count}
	copy(f.parts, d.parts[:])
	for i := range d.shared {
		d.shared[i] = true
	}
	return f
}

// frozen is records that never change.
type frozen struct {
	parts [][]record
	count int
}

func (f frozen) all() iter.Seq[record] {
	return func(yield func(record) bool) {
		for _, part := range f.parts {
			for _, r := range part {
				if !yield(r) {
					return
				}
			}
		}
	}
}
