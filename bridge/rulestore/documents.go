package rulestore

import (
	"hash/maphash"
	"iter"
	"maps"

	"bintubridge/bridge/decide"
)

// record is the version of a document that is in force.
type record struct {
	doc      *decide.Document
	revision uint64
}

// shards is into how many parts documents are split: of a million, one part has
// 60, and is copied in a few microseconds, also while the collector wants to be
// told of each pointer.
const shards = 16384

// documents are the records by key. A frozen copy costs next to nothing: parts
// are shared with it until they change. It belongs to one goroutine, except for
// get while nobody changes it.
type documents struct {
	seed   maphash.Seed
	parts  [shards]map[string]record
	shared [shards]bool // with a frozen copy
	count  int
	room   int // of a new part
}

// newDocuments makes room for about as many documents as are expected.
func newDocuments(expected int) *documents {
	return &documents{seed: maphash.MakeSeed(), room: expected / shards}
}

func (d *documents) part(key string) uint64 { return maphash.String(d.seed, key) % shards }

func (d *documents) get(key string) record { return d.parts[d.part(key)][key] }

func (d *documents) put(r record) {
	key := r.doc.Key()
	part := d.own(key)
	before := len(part)
	part[key] = r
	d.count += len(part) - before
}

func (d *documents) remove(key string) {
	if d.get(key).doc == nil {
		return
	}
	delete(d.own(key), key)
	d.count--
}

// own returns the part of a key, to be changed.
func (d *documents) own(key string) map[string]record {
	i := d.part(key)
	switch {
	case d.parts[i] == nil:
		d.parts[i] = make(map[string]record, d.room)
	case d.shared[i]:
		d.parts[i] = maps.Clone(d.parts[i])
	}
	d.shared[i] = false
	return d.parts[i]
}

func (d *documents) all() iter.Seq[record] { return frozen{parts: d.parts[:], count: d.count}.all() }

// freeze returns the records as they are now.
func (d *documents) freeze() frozen {
	f := frozen{parts: make([]map[string]record, shards), count: d.count}
	copy(f.parts, d.parts[:])
	for i := range d.shared {
		d.shared[i] = true
	}
	return f
}

// frozen is records that never change.
type frozen struct {
	parts []map[string]record
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
