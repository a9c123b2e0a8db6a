package documents

import (
	"bytes"
	"log/slog"
	"slices"
)

// Table is what the documents of a bucket mean: of each key the newest version that compiles, of
// those that the bucket keeps. So it is the same for every instance, and after a restart.
type Table[T any] struct {
	what    string // a document is, as in "chat room"
	compile func(Document) (T, error)
	log     *slog.Logger
	rows    map[string]row[T]
}

// row is a key.
type row[T any] struct {
	newest  Document
	inForce Document // of newest and the versions before it; no Revision is none
	value   T        // of inForce
}

// NewTable returns an empty one. Errors of compile are logged: they may hold no secrets.
func NewTable[T any](what string, compile func(Document) (T, error), log *slog.Logger) *Table[T] {
	return &Table[T]{what, compile, log, map[string]row[T]{}}
}

// Apply takes all documents, and returns what is in force by key, and the keys whose newest version
// is not, in order. What has not changed is not compiled again.
func (t *Table[T]) Apply(all []Document) (inForce map[string]T, refused []string) {
	rows := make(map[string]row[T], len(all))
	inForce = make(map[string]T, len(all))
	for _, d := range all {
		r, known := t.rows[d.Key]
		if !known || !same(r.newest, d) {
			r = t.read(d, r)
		}
		rows[d.Key] = r
		if r.inForce.Revision > 0 {
			inForce[d.Key] = r.value
		}
		if r.inForce.Revision != d.Revision {
			refused = append(refused, d.Key)
		}
	}
	t.rows = rows
	slices.Sort(refused)
	return inForce, refused
}

// read finds the newest version that compiles. What is in force may be one of them.
func (t *Table[T]) read(d Document, last row[T]) row[T] {
	r := row[T]{newest: d}
	var problem error
	for _, version := range append([]Document{d}, d.Earlier...) {
		if same(version, last.inForce) {
			r.inForce, r.value = version, last.value
			break
		}
		value, err := t.compile(version)
		if err == nil {
			r.inForce, r.value = version, value
			break
		}
		if version.Revision == d.Revision {
			problem = err
		}
	}
	switch {
	case problem == nil:
	case r.inForce.Revision > 0:
		t.log.Error("a "+t.what+" is not understood; its last good version stays in force", "key", d.Key, "revision", d.Revision, "in_force", r.inForce.Revision, "error", problem)
	default:
		t.log.Error("a "+t.what+" is not understood, and has no good version: nothing is sent for it", "key", d.Key, "revision", d.Revision, "error", problem)
	}
	return r
}

// same tells versions apart by their text too: a bucket that is made anew counts from 1 again.
func same(a, b Document) bool { return a.Revision == b.Revision && bytes.Equal(a.Value, b.Value) }
