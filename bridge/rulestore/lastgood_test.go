package rulestore

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// keptVersions is a bucket's history of one key.
type keptVersions struct {
	jetstream.KeyValue
	list []jetstream.KeyValueEntry
}

func (k keptVersions) History(context.Context, string, ...jetstream.WatchOpt) ([]jetstream.KeyValueEntry, error) {
	return k.list, nil
}

// keptVersion is one of them, with a document that is refused.
type keptVersion struct {
	jetstream.KeyValueEntry
	revision uint64
}

func (v keptVersion) Key() string                     { return "acme" }
func (v keptVersion) Value() []byte                   { return []byte("bad") }
func (v keptVersion) Revision() uint64                { return v.revision }
func (v keptVersion) Created() time.Time              { return time.Time{} }
func (v keptVersion) Operation() jetstream.KeyValueOp { return jetstream.KeyValuePut }

// A short history says that nothing good was there, but not one that was read while
// pushes took versions off its other end.
func TestShortHistory(t *testing.T) {
	const limit, newest = 5, 8
	for _, tt := range []struct {
		name      string
		revisions []uint64
		known     bool
	}{
		{"of the key from its begin", []uint64{7, 8}, true},
		{"of a key that is gone", nil, true},
		{"cut off at its limit", []uint64{4, 5, 6, 7, 8}, false},
		{"pushed to while it was read", []uint64{7, 8, 9}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var kept keptVersions
			for _, revision := range tt.revisions {
				kept.list = append(kept.list, keptVersion{revision: revision})
			}
			good, known, err := history(t.Context(), kept, InvalidDocument{Key: "acme", Revision: newest}, limit, newLedger(0))
			if err != nil || good.doc != nil || known != tt.known {
				t.Errorf("known %v, want %v (%v, %v)", known, tt.known, good, err)
			}
		})
	}
}
