package rulestore

import (
	"slices"
	"strings"
)

const (
	// maxInvalidShown bounds Status.Invalid.
	maxInvalidShown = 100
	// minInvalidShown is how far it may shrink, while there are more, before
	// they are looked through for the next ones.
	minInvalidShown = maxInvalidShown / 2
)

// refusals are the newest versions of documents that were refused, by key.
type refusals struct {
	all   map[string]InvalidDocument
	first []InvalidDocument // the first of all by key, ordered; never changed in place
}

func newRefusals() *refusals { return &refusals{all: map[string]InvalidDocument{}} }

func (r *refusals) has(key string) bool { _, ok := r.all[key]; return ok }

// told reports whether this version of a document is among them.
func (r *refusals) told(key string, revision uint64) bool {
	d, ok := r.all[key]
	return ok && d.Revision == revision
}

func (r *refusals) add(d InvalidDocument) {
	// Not even the last one shown goes after it, and others may go in between.
	beyond := len(r.first) < len(r.all) && (len(r.first) == 0 || r.first[len(r.first)-1].Key < d.Key)
	r.all[d.Key] = d
	if beyond {
		return
	}
	i, found := r.find(d.Key)
	switch {
	case found:
		r.first = slices.Clone(r.first)
		r.first[i] = d
	case i < maxInvalidShown:
		r.first = slices.Insert(slices.Clone(r.first), i, d)
		r.first = r.first[:min(len(r.first), maxInvalidShown)]
	}
}

func (r *refusals) remove(key string) {
	if !r.has(key) {
		return
	}
	delete(r.all, key)
	i, found := r.find(key)
	if !found {
		return
	}
	r.first = slices.Delete(slices.Clone(r.first), i, i+1)
	if len(r.first) < min(minInvalidShown, len(r.all)) {
		r.refill()
	}
}

func (r *refusals) find(key string) (int, bool) {
	return slices.BinarySearchFunc(r.first, key, func(d InvalidDocument, key string) int { return strings.Compare(d.Key, key) })
}

// refill makes first as long as it may be.
func (r *refusals) refill() {
	first := make([]InvalidDocument, 0, maxInvalidShown+1)
	for key, d := range r.all {
		if len(first) == maxInvalidShown && key > first[maxInvalidShown-1].Key {
			continue
		}
		i, _ := slices.BinarySearchFunc(first, key, func(d InvalidDocument, key string) int { return strings.Compare(d.Key, key) })
		first = slices.Insert(first, i, d)
		first = first[:min(len(first), maxInvalidShown)]
	}
	r.first = first
}
