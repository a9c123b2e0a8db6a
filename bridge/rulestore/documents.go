package rulestore

import (
	"encoding/binary"
	"hash/maphash"
	"iter"
	"slices"

	"bintubridge/bridge/decide"
	"bintubridge/bridge/packed"
)

// record is the version of a document that is in force. The zero record is none.
type record struct {
	key, source string
	revision    uint64
	compiled    *decide.Document // nil: it is packed, see document
}

func recordOf(doc *decide.Document, revision uint64) record {
	return record{key: doc.Key(), source: doc.Source(), revision: revision, compiled: doc}
}

func (r record) none() bool { return r.source == "" } // no document is without a text

// document returns the document, nil when there is none. A packed one is compiled again,
// which takes a few microseconds.
func (r record) document() *decide.Document {
	if r.none() || r.compiled != nil {
		return r.compiled
	}
	doc, _ := decide.Compile(r.key, []byte(r.source)) // it has compiled before
	return doc
}

// same reports whether two records of a key are of the same document.
func (r record) same(other record) bool { return r.source == other.source }

// maxPacked is the longest text, in bytes, of a document that is packed. Each change of
// another one may copy it.
const maxPacked = 1 << 10

// documents are the records by key. Of a document that tables do not hold on to,
// only the text is kept, packed; so are most of a million. A frozen copy costs next to
// nothing: what it has is shared with it until it changes. It belongs to one goroutine,
// except for get while nobody changes it.
type documents struct {
	seed   maphash.Seed
	packed packed.Map // revision and text, by key
	owner  *packed.Owner
	parts  [shards][]kept
	shared [shards]bool // with a frozen copy
	kept   int
}

// shards is into how many parts the others are split, by hashes of their keys: of a
// million, one part has 60, and is copied in a microsecond, also while the collector
// wants to be told of each pointer. A part is a plain list: of so few it takes half the
// memory of a map, and half the pointers.
const shards = 16384

type kept struct {
	doc      *decide.Document
	revision uint64
	tag      uint32 // of the key, which most others of its part have not
}

// newDocuments makes room for about as many documents as are expected.
func newDocuments(expected int) *documents {
	return &documents{seed: maphash.MakeSeed(), owner: packed.NewOwner(expected)}
}

func (d *documents) hash(key string) uint64 { return maphash.String(d.seed, key) }

func (d *documents) count() int { return d.packed.Len() + d.kept }

// find returns where the key's document stands in its part, -1 when it does not.
func (d *documents) find(hash uint64, key string) int {
	if d.kept == 0 {
		return -1
	}
	tag := uint32(hash >> 32)
	return slices.IndexFunc(d.parts[hash%shards], func(k kept) bool { return k.tag == tag && k.doc.Key() == key })
}

func (d *documents) get(key string) record {
	hash := d.hash(key)
	if text, ok := d.packed.Get(hash, key); ok {
		return unpack(key, text)
	}
	if at := d.find(hash, key); at >= 0 {
		k := d.parts[hash%shards][at]
		return recordOf(k.doc, k.revision)
	}
	return record{}
}

func unpack(key, text string) record {
	return record{key: key, source: text[8:], revision: binary.LittleEndian.Uint64([]byte(text[:8]))}
}

func (d *documents) put(doc *decide.Document, revision uint64) {
	hash := d.hash(doc.Key())
	if doc.Bare() && len(doc.Source()) <= maxPacked {
		d.drop(hash, doc.Key())
		text := binary.LittleEndian.AppendUint64(make([]byte, 0, 8+maxPacked), revision)
		d.packed.Put(d.owner, hash, doc.Key(), append(text, doc.Source()...))
		return
	}
	d.packed.Delete(d.owner, hash, doc.Key())
	list := d.own(hash)
	k := kept{doc: doc, revision: revision, tag: uint32(hash >> 32)}
	if at := d.find(hash, doc.Key()); at >= 0 {
		(*list)[at] = k
		return
	}
	*list = append(*list, k)
	d.kept++
}

func (d *documents) remove(key string) {
	if hash := d.hash(key); !d.packed.Delete(d.owner, hash, key) {
		d.drop(hash, key)
	}
}

// drop takes out a document that is not packed.
func (d *documents) drop(hash uint64, key string) {
	if at := d.find(hash, key); at >= 0 {
		list := d.own(hash)
		*list = slices.Delete(*list, at, at+1)
		d.kept--
	}
}

// own makes a part one that may be changed.
func (d *documents) own(hash uint64) *[]kept {
	list := &d.parts[hash%shards]
	if d.shared[hash%shards] {
		*list = slices.Clone(*list)
		d.shared[hash%shards] = false
	}
	return list
}

func (d *documents) all() iter.Seq[record] { return frozen{d.packed, d.parts[:], d.kept}.all() }

// freeze returns the records as they are now.
func (d *documents) freeze() frozen {
	d.owner = d.owner.Next()
	for i := range d.shared {
		d.shared[i] = true
	}
	return frozen{d.packed, slices.Clone(d.parts[:]), d.kept}
}

// frozen is records that never change.
type frozen struct {
	packed packed.Map
	parts  [][]kept
	kept   int
}

func (f frozen) count() int { return f.packed.Len() + f.kept }

func (f frozen) all() iter.Seq[record] {
	return func(yield func(record) bool) {
		for key, text := range f.packed.All() {
			if !yield(unpack(key, text)) {
				return
			}
		}
		for _, part := range f.parts {
			for _, k := range part {
				if !yield(recordOf(k.doc, k.revision)) {
					return
				}
			}
		}
	}
}
