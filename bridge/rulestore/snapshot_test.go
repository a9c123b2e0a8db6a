package rulestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bintubridge/bridge/decide"
	"bintubridge/subjects"

	"pgregory.net/rapid"
)

// file is a snapshot file as a test writes and reads it: the documents need not
// be good ones.
type file struct {
	snapshotHeader
	documents []version
}

func sampleSnapshot() *file {
	return &file{
		snapshotHeader{
			bucket:   "rules",
			created:  time.Unix(0, 1_800_000_000_000_000_001),
			contact:  time.Unix(0, 1_800_000_001_000_000_000),
			revision: 42,
		},
		[]version{
			{key: "acme", data: []byte(allow("cam")), message: message{revision: 40}},
			{key: "empty", data: []byte(`{"rules":[]}`), message: message{revision: 7}},
		},
	}
}

// encode is the format once more, written from its drawing.
func (f *file) encode() []byte {
	le := binary.LittleEndian
	b := le.AppendUint32([]byte("bbrules\n"), 1)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, unixNano(f.created))
	b = le.AppendUint64(b, unixNano(f.contact))
	b = le.AppendUint64(b, f.revision)
	b = le.AppendUint32(b, uint32(len(f.documents)))
	b = appendText(b, f.bucket)
	for _, d := range f.documents {
		b = le.AppendUint64(b, d.revision)
		b = appendText(b, d.key)
		b = appendText(b, string(d.data))
	}
	return resum(b)
}

func decode(data []byte) (*file, error) {
	f := &file{}
	header, err := decodeSnapshot(bytes.NewReader(data), int64(len(data)), func(v version) { f.documents = append(f.documents, v) })
	f.snapshotHeader = header
	return f, err
}

// What the saver writes is what the drawing says, in any order of documents.
func TestSnapshotFormat(t *testing.T) {
	want := sampleSnapshot()
	docs := newDocuments(0)
	for _, v := range want.documents {
		docs.put(record{doc: judge(v, docs).doc, revision: v.revision})
	}
	var b bytes.Buffer
	sum, err := (&snapshot{snapshotHeader: want.snapshotHeader, documents: docs.freeze()}).encode(&b)
	if err != nil {
		t.Fatal(err)
	}
	data := b.Bytes()
	binary.LittleEndian.PutUint32(data[sumAt:], sum)
	got, err := decode(data)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got.documents, func(a, b version) int { return strings.Compare(a.key, b.key) })
	if !reflect.DeepEqual(got, want) || len(data) != len(want.encode()) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestSnapshotRoundTrip(t *testing.T) {
	for name, want := range map[string]*file{"full": sampleSnapshot(), "nothing seen": {snapshotHeader: snapshotHeader{bucket: "rules"}}} {
		got, err := decode(want.encode())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

func TestSnapshotDamage(t *testing.T) {
	whole := sampleSnapshot().encode()
	for i := range whole {
		for _, bit := range []byte{0x01, 0x80, 0xff} {
			damaged := bytes.Clone(whole)
			damaged[i] ^= bit
			if _, err := decode(damaged); err == nil {
				t.Errorf("byte %d changed by %02x was not noticed", i, bit)
			}
		}
		if _, err := decode(whole[:i]); err == nil {
			t.Errorf("cut at %d was not noticed", i)
		}
	}
	if _, err := decode(append(bytes.Clone(whole), 0)); !errors.Is(err, errCorrupt) {
		t.Errorf("a byte too many: %v", err)
	}
	if _, err := decode(resum(append(bytes.Clone(whole), 0))); !errors.Is(err, errCorrupt) {
		t.Errorf("a byte too many, with the right sum: %v", err)
	}
	future := bytes.Clone(whole)
	binary.LittleEndian.PutUint32(future[8:], snapshotVersion+1)
	if _, err := decode(future); !errors.Is(err, errFormat) {
		t.Errorf("a future version: %v", err)
	}
}

// resum makes the checksum right, so that damage gets past it.
func resum(data []byte) []byte {
	if len(data) >= checkedFrom {
		binary.LittleEndian.PutUint32(data[sumAt:], crc32.Checksum(data[checkedFrom:], crc32.MakeTable(crc32.Castagnoli)))
	}
	return data
}

// Damage that the checksum does not show is still no panic, and what decodes is
// exactly what encodes to the same bytes.
func FuzzDecodeSnapshot(f *testing.F) {
	whole := sampleSnapshot().encode()
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(append(bytes.Clone(whole), 0))
	f.Add((&file{}).encode())
	huge := bytes.Clone(whole)
	binary.LittleEndian.PutUint32(huge[40:], 1<<31)
	f.Add(huge)
	f.Fuzz(func(t *testing.T, data []byte) {
		data = resum(bytes.Clone(data))
		snap, err := decode(data)
		if err != nil {
			if !errors.Is(err, errCorrupt) && !errors.Is(err, errFormat) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		if again := snap.encode(); !bytes.Equal(again, data) {
			t.Errorf("decoded %x, encoded %x", data, again)
		}
	})
}

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

func TestSnapshotOfNoUse(t *testing.T) {
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

// A frozen copy stays as it was, and the records go on, whatever is changed.
func TestFrozenDocuments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type shot struct {
			frozen frozen
			want   map[string]uint64
		}
		var shots []shot
		docs, want := newDocuments(0), map[string]uint64{}
		check := func(what string, f frozen, want map[string]uint64) {
			got := map[string]uint64{}
			for r := range f.all() {
				got[r.doc.Key()] = r.revision
			}
			if !maps.Equal(got, want) || f.count != len(want) {
				t.Fatalf("%s: got %d: %v, want %v", what, f.count, got, want)
			}
		}
		for revision := range uint64(rapid.IntRange(1, 60).Draw(t, "steps")) {
			key := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "key")
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				docs.remove(key)
				delete(want, key)
			case 1:
				shots = append(shots, shot{docs.freeze(), maps.Clone(want)})
			default:
				docs.put(record{doc: judge(version{key: key, data: []byte(`{"rules":[]}`)}, docs).doc, revision: revision})
				want[key] = revision
			}
			check("now", frozen{parts: docs.parts[:], count: docs.count}, want)
		}
		for _, s := range shots {
			check("frozen", s.frozen, s.want)
		}
	})
}
