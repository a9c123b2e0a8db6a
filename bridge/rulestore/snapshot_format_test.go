package rulestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
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
		docs.put(judge(v, docs).doc, v.revision)
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
