package rulestore

import (
	"bytes"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bintubridge/bridge/decide"
	"bintubridge/subjects"

	"pgregory.net/rapid"
)

// A store that has a snapshot decides by it with NATS down.
func TestSnapshotRestart(t *testing.T) {
	opts := quick(t)
	f := newFixture(t, opts, defaultBucket())
	f.put("acme", allow("cam"))
	f.put("bad", allow("kept"))
	f.wait("kept", true)
	revision := f.put("bad", "{}")
	eventually(t, "document refused", func() bool { return f.store.Status().InvalidCount == 1 })
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	f.nats.stop()

	f.open(opts)
	s := f.store.Status()
	if !allowed(f.store, "cam") || !allowed(f.store, "kept") {
		t.Error("the snapshot's rules are not in force")
	}
	if s.Source != SourceSnapshot || !s.Loaded || s.Revision != revision || s.Documents != 2 || s.Age > patience {
		t.Errorf("status %+v", s)
	}
	f.nats.start()
	_, f.js = f.nats.connect()
	f.follow()
	if !allowed(f.store, "kept") || f.store.Status().InvalidCount != 1 {
		t.Error("the last good version did not survive the restart")
	}
}

// What the snapshot has and the bucket has no more goes with the first load.
func TestSnapshotIsSwept(t *testing.T) {
	opts := quick(t)
	f := newFixture(t, opts, defaultBucket())
	f.put("gone", allow("gone"))
	f.put("acme", allow("cam"))
	f.wait("cam", true)
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.kv.Purge(f.ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	f.open(opts)
	if !allowed(f.store, "gone") {
		t.Fatal("the snapshot is not in force")
	}
	f.follow()
	if allowed(f.store, "gone") || !allowed(f.store, "cam") {
		t.Error("the snapshot was not swept")
	}
}

// The snapshot is written while the store runs, not only by Close.
func TestSnapshotIsWrittenAlong(t *testing.T) {
	opts := quick(t)
	f := newFixture(t, opts, defaultBucket())
	revision := f.put("acme", allow("cam"))
	eventually(t, "snapshot on disk", func() bool {
		data, err := os.ReadFile(opts.SnapshotPath)
		if err != nil {
			return false
		}
		snap, err := decode(data)
		if err != nil {
			t.Fatal(err) // replaced whole or not at all
		}
		return snap.revision == revision && len(snap.documents) == 1
	})
}

// A snapshot that cannot be used is told and left alone, until the bucket's rules are in
// force and take its place.
func TestSnapshotOfNoUse(t *testing.T) {
	bucket := &fixture{t: t, nats: startNATS(t), ctx: t.Context()}
	_, bucket.js = bucket.nats.connect()
	bucket.create(defaultBucket())
	revision := bucket.put("acme", allow("fresh"))
	good := sampleSnapshot().encode()
	other := sampleSnapshot()
	other.bucket = "others"
	future := bytes.Clone(good)
	future[8]++
	for name, data := range map[string][]byte{
		"empty": {}, "text": []byte("hello"), "cut": good[:len(good)-1], "future": future, "another bucket": other.encode(),
	} {
		t.Run(name, func(t *testing.T) {
			f := &fixture{t: t, log: &logBuffer{}}
			opts := quick(t)
			if err := os.MkdirAll(filepath.Dir(opts.SnapshotPath), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(opts.SnapshotPath, data, 0o600); err != nil {
				t.Fatal(err)
			}
			f.open(opts)
			if s := f.store.Status(); s.Source != SourceNone || s.Loaded || allowed(f.store, "cam") {
				t.Errorf("status %+v", s)
			}
			if f.log.count("snapshot ignored") != 1 {
				t.Error("not told in the log")
			}
			if err := f.store.Close(); err != nil {
				t.Error(err)
			}
			if left, err := os.ReadFile(opts.SnapshotPath); err != nil || !bytes.Equal(left, data) {
				t.Error("the file was touched, though nothing better is known")
			}

			f.nats, f.ctx = bucket.nats, t.Context()
			f.open(opts)
			f.follow()
			f.wait("fresh", true)
			if err := f.store.Close(); err != nil {
				t.Error(err)
			}
			if s, err := ReadSnapshot(opts.SnapshotPath); err != nil || s.Revision != revision || len(s.Documents) != 1 {
				t.Errorf("the file was not replaced: %+v, %v", s, err)
			}
		})
	}
}

// A document that this version refuses is left out, the others are in force.
func TestSnapshotWithRefusedDocument(t *testing.T) {
	snap := sampleSnapshot()
	snap.documents = append(snap.documents, version{key: "newer", data: []byte(`{"rules":[{"effect":"allow","of_tomorrow":true}]}`)})
	f := openSnapshot(t, quick(t), snap)
	if s := f.store.Status(); s.Documents != 2 || s.InvalidCount != 1 || !allowed(f.store, "cam") {
		t.Errorf("status %+v", s)
	}
	if f.log.count(" key=newer ") != 1 {
		t.Error("the log does not name it")
	}
}

func openSnapshot(t *testing.T, opts Options, snap *file) *fixture {
	t.Helper()
	f := &fixture{t: t, log: &logBuffer{}}
	if err := prepareFolder(opts.SnapshotPath); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(opts.SnapshotPath, snap.encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	f.open(opts)
	return f
}

// A restart does not make old rules young.
func TestSnapshotKeepsAge(t *testing.T) {
	opts := quick(t)
	opts.StaleAfter, opts.StaleDeny = time.Hour, true
	for _, tt := range []struct {
		name    string
		contact time.Time
		want    decide.Decision
	}{
		{"young", time.Now().Add(-time.Minute), decide.Decision{Effect: decide.Allow, Rule: "acme/r"}},
		{"old", time.Now().Add(-2 * time.Hour), decide.Decision{Reason: ReasonStale}},
		{"of a clock that was ahead", time.Now().Add(2 * time.Hour), decide.Decision{Effect: decide.Allow, Rule: "acme/r"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			snap := sampleSnapshot()
			snap.contact = tt.contact
			f := openSnapshot(t, opts, snap)
			in := decide.Input{Call: subjects.Publish, Name: "cam"}
			d, revision, age := f.store.Decide(&in, time.Now())
			if want := max(time.Since(tt.contact), 0); d != tt.want || revision != 42 || age > (want+patience).Milliseconds() || age < (want-patience).Milliseconds() {
				t.Errorf("got %+v of revision %d, age %d ms", d, revision, age)
			}
			// Long after, the clock that was ahead has bought no time.
			if d, _, _ := f.store.Decide(&in, time.Now().Add(90*time.Minute)); d.Reason != ReasonStale {
				t.Errorf("later: %+v", d)
			}
			if err := f.store.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Contact is saved also when no rule changes, before a kill could make the rules
// look stale.
func TestSnapshotContactIsRefreshed(t *testing.T) {
	opts := quick(t)
	opts.StaleAfter = 200 * time.Millisecond
	f := newFixture(t, opts, defaultBucket())
	f.put("acme", allow("cam"))
	f.wait("cam", true)
	contact := func() time.Time {
		data, err := os.ReadFile(opts.SnapshotPath)
		if err != nil {
			return time.Time{}
		}
		snap, err := decode(data)
		if err != nil {
			t.Fatal(err)
		}
		return snap.contact
	}
	eventually(t, "a snapshot", func() bool { return !contact().IsZero() })
	first := contact()
	eventually(t, "a younger snapshot of the same rules", func() bool { return contact().Sub(first) > opts.StaleAfter })
}

func TestOpenRefusesBadOptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, opts := range map[string]Options{
		"folder is a file": {SnapshotPath: filepath.Join(file, "rules.snapshot")},
		"bucket":           {Bucket: "a.b"},
		"stale":            {StaleAfter: -1},
	} {
		if store, err := Open(opts); err == nil {
			t.Errorf("%s: opened %v", name, store)
		}
	}
}

// A disk that fails is told and does not stop decisions; the next snapshot tries
// again.
func TestSnapshotWriteFails(t *testing.T) {
	opts := quick(t)
	f := newFixture(t, opts, defaultBucket())
	f.put("acme", allow("cam"))
	eventually(t, "a snapshot", func() bool { _, err := os.Stat(opts.SnapshotPath); return err == nil })
	folder := filepath.Dir(opts.SnapshotPath)
	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}
	f.put("acme", allow("cam2"))
	eventually(t, "failure told", func() bool { return f.store.Status().SnapshotErr != "" })
	f.wait("cam2", true)
	if err := os.Rename(folder+".away", folder); err != nil {
		t.Fatal(err)
	}
	f.put("acme", allow("cam3"))
	eventually(t, "no failure", func() bool { return f.store.Status().SnapshotErr == "" })
}

// What changed just before Close is written, wherever the saver stands, and of
// many changes while it rests the rules as they are at the end.
func TestSaverCloseWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.snapshot")
	for last := range uint64(50) {
		var revision atomic.Uint64
		s := startSaver(path, time.Hour, func() *snapshot {
			return &snapshot{snapshotHeader: snapshotHeader{revision: revision.Load()}}
		}, slog.New(slog.DiscardHandler))
		for r := range last + 1 {
			revision.Store(r)
			s.changed()
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if snap, err := decode(data); err != nil || snap.revision != last {
			t.Fatalf("got %+v, %v, want revision %d", snap, err, last)
		}
	}
}

// A frozen copy stays as it was, and the records go on, whatever is changed: also when
// a document becomes one that is kept in the other way.
func TestFrozenDocuments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type shot struct {
			frozen frozen
			want   map[string]record
		}
		var shots []shot
		docs, want := newDocuments(0), map[string]record{}
		check := func(what string, f frozen, want map[string]record) {
			got := map[string]record{}
			for r := range f.all() {
				got[r.key] = record{key: r.key, source: r.source, revision: r.revision}
			}
			if !maps.Equal(got, want) || f.count() != len(want) {
				t.Fatalf("%s: got %d: %v, want %v", what, f.count(), got, want)
			}
		}
		texts := rapid.SampledFrom([]string{
			`{"rules":[]}`, allow("cam"), `{"rules":[{"effect":"allow","name":["cam*"]}]}`, strings.Repeat(" ", maxPacked) + allow("cam"),
		})
		for revision := range uint64(rapid.IntRange(1, 60).Draw(t, "steps")) {
			key := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "key")
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				docs.remove(key)
				delete(want, key)
			case 1:
				shots = append(shots, shot{docs.freeze(), maps.Clone(want)})
			default:
				source := texts.Draw(t, "text")
				docs.put(judge(version{key: key, data: []byte(source)}, docs).doc, revision)
				want[key] = record{key: key, source: source, revision: revision}
			}
			check("now", frozen{docs.packed, docs.parts[:], docs.kept}, want)
			got := docs.get(key)
			doc := got.document()
			got.compiled = nil
			if got != want[key] || docs.count() != len(want) {
				t.Fatalf("%s is %+v of %d, want %+v of %d", key, got, docs.count(), want[key], len(want))
			}
			if (doc == nil) != got.none() || doc != nil && (doc.Key() != key || doc.Source() != got.source) {
				t.Fatalf("%s is the document %+v, want %+v", key, doc, got)
			}
		}
		for _, s := range shots {
			check("frozen", s.frozen, s.want)
		}
	})
}
