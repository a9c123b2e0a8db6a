package rulestore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"bintubridge/bridge/decide"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// keptVersions is a bucket's history of one key.
type keptVersions struct {
	jetstream.KeyValue
	list []jetstream.KeyValueEntry
	err  error
}

func (k keptVersions) History(context.Context, string, ...jetstream.WatchOpt) ([]jetstream.KeyValueEntry, error) {
	return k.list, k.err
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
// pushes took versions off its other end: then what was in force remains.
func TestShortHistory(t *testing.T) {
	const limit = 5
	for _, tt := range []struct {
		name      string
		revisions []uint64 // read
		newest    uint64   // of the key, behind that; 0: there is none
		remains   bool
	}{
		{"of the key from its begin", []uint64{7, 8}, 8, false},
		{"of a key that is gone", nil, 0, false},
		{"cut off at its limit", []uint64{4, 5, 6, 7, 8}, 8, true},
		{"pushed to while it was read", []uint64{7, 8, 9}, 9, false},
		{"pushed to while it was read, of which not all came", []uint64{7, 8}, 13, true},
		{"pushed away before it was read", nil, 13, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var kept keptVersions
			for _, revision := range tt.revisions {
				kept.list = append(kept.list, keptVersion{revision: revision})
			}
			js := &fakeServer{}
			js.info.Config.MaxMsgsPerSubject = limit
			js.info.State.Msgs = 10 * oneHistory
			js.info.State.Subjects = map[string]uint64{"$KV.rules.acme": tt.newest}
			n := &loading{
				follower: &follower{store: &Store{opts: Options{Bucket: "rules"}}, js: js},
				old:      newLedger(0), fresh: newLedger(0), edit: new(decide.Table).Edit(),
			}
			n.old.apply(judge(version{key: "acme", data: []byte(allow("cam")), message: message{revision: 1}}, n.old.docs))
			n.fresh.apply(judge(version{key: "acme", data: []byte("bad"), message: message{revision: 8}}, n.old.docs))
			stream, _ := js.Stream(t.Context(), "KV_rules")
			if err := n.findLastGood(t.Context(), kept, stream); err != nil {
				t.Fatal(err)
			}
			if r := n.fresh.docs.get("acme"); r.none() == tt.remains {
				t.Errorf("in force is %+v, remains %v", r, tt.remains)
			}
		})
	}
}

// A store that knows nothing yet finds the last good version of each document that was
// refused, however many they are.
func TestManyLastGoodVersions(t *testing.T) {
	f := &fixture{t: t, nats: startNATS(t), log: &logBuffer{}, ctx: t.Context()}
	_, f.js = f.nats.connect()
	f.create(defaultBucket())
	const documents = 300
	for i := range documents {
		f.put(fmt.Sprintf("doc.%d", i), allow(fmt.Sprintf("cam-%d", i)))
		f.put(fmt.Sprintf("doc.%d", i), "bad")
	}
	f.open(quick(t))
	f.follow()
	if s := f.store.Status(); s.Documents != documents || s.InvalidCount != documents {
		t.Errorf("%d documents are in force, %d refused; want %d of each", s.Documents, s.InvalidCount, documents)
	}
	for i := range documents {
		if name := fmt.Sprintf("cam-%d", i); !allowed(f.store, name) {
			t.Errorf("%s is not allowed", name)
		}
	}
}

// Histories are the same, asked for one by one, read among all, and known of a bucket that
// has one version of each key.
func TestReadersOfHistories(t *testing.T) {
	for _, tt := range []struct {
		name     string
		versions map[string][]string // "" deletes
		ones     bool
	}{
		{"one version each", map[string][]string{"a": {"bad"}, "b": {"bad"}}, true},
		{"several", map[string][]string{
			"good":  {allow("a"), allow("b"), "bad", "bad"},
			"cut":   {allow("a"), "bad", "bad", "bad", "bad", "bad"},
			"gone":  {allow("a"), "", "bad"},
			"back":  {"", allow("b"), "bad"},
			"fresh": {"bad"},
			"never": {},
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fixture{t: t, nats: startNATS(t), log: &logBuffer{}, ctx: t.Context()}
			_, f.js = f.nats.connect()
			f.create(defaultBucket())
			n := &loading{
				follower: &follower{store: &Store{opts: Options{Bucket: "rules"}}, js: f.js},
				old:      newLedger(0), fresh: newLedger(0),
			}
			for key, versions := range tt.versions {
				for _, text := range versions {
					if text == "" {
						if err := f.kv.Delete(f.ctx, key); err != nil {
							t.Fatal(err)
						}
						continue
					}
					n.fresh.invalid.add(InvalidDocument{Key: key, Revision: f.put(key, text)})
				}
			}
			stream, err := f.js.Stream(f.ctx, "KV_rules")
			if err != nil {
				t.Fatal(err)
			}
			info := stream.CachedInfo()
			n.fresh.reaches(info)
			fresh := func() map[string]*lineage {
				wanted := map[string]*lineage{}
				for key := range tt.versions {
					wanted[key] = &lineage{}
				}
				return wanted
			}
			each, among, ones := fresh(), fresh(), fresh()
			if err := errors.Join(n.readEach(f.ctx, f.kv, each), n.readAll(f.ctx, info.State.LastSeq, among)); err != nil {
				t.Fatal(err)
			}
			if got := n.onlyOnes(info, ones); got != tt.ones {
				t.Errorf("one version each: %v, want %v", got, tt.ones)
			}
			for key := range tt.versions {
				want := summary(each[key])
				if got := summary(among[key]); got != want {
					t.Errorf("%s: %s among all, %s by itself", key, got, want)
				}
				if got := summary(ones[key]); tt.ones && got != want {
					t.Errorf("%s: %s unread, %s read", key, got, want)
				}
			}
		})
	}
}

func summary(h *lineage) string {
	source := "nothing"
	if !h.good.none() {
		source = h.good.source
	}
	return fmt.Sprintf("%v, %d versions up to %d, settled %v, good %s of revision %d", h.read, h.versions, h.last, h.settled, source, h.good.revision)
}

// Without its histories a load is no base to go on from.
func TestHistoriesThatCannotBeRead(t *testing.T) {
	nc, js := startNATS(t).connect()
	nc.Close()
	var log logBuffer
	for _, messages := range []uint64{2, 100_000} { // read all, and ask for the one
		info := &jetstream.StreamInfo{State: jetstream.StreamState{Msgs: messages}}
		n := &loading{
			follower: &follower{store: &Store{opts: Options{Bucket: "rules"}}, js: js, log: slog.New(slog.NewTextHandler(&log, nil))},
			old:      newLedger(0), fresh: newLedger(0),
		}
		err := n.readHistories(t.Context(), keptVersions{err: nats.ErrConnectionClosed}, info, map[string]*lineage{"acme": {}})
		if err != nil || !n.partial {
			t.Errorf("of %d messages: %v, partial %v", messages, err, n.partial)
		}
	}
	if log.count("could not be read") != 2 {
		t.Error("not told in the log")
	}
}
