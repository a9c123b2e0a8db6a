package spool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func segments(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// written returns the bytes of a segment with these payloads, and where each record ends.
func written(t testing.TB, texts ...string) (data []byte, ends []int) {
	h := header{first: 1, id: "test", created: time.Unix(0, 0)}
	data = h.encode()
	for i, text := range texts {
		data = appendFrame(data, h.salt, uint64(i+1), []byte(text))
		ends = append(ends, len(data))
	}
	return data, ends
}

func TestTornTail(t *testing.T) {
	texts := []string{"first", "the second one", "third"}
	data, ends := written(t, texts...)
	for cut := range len(data) {
		dir := t.TempDir()
		path := segmentPath(dir, 1)
		if err := os.WriteFile(path, data[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		whole := 0
		for _, end := range ends {
			if end <= cut {
				whole++
			}
		}
		if got := payloads(t, dir); strings.Join(got, ",") != strings.Join(texts[:whole], ",") {
			t.Fatalf("cut at %d: got %q", cut, got)
		}
		if kept, err := filepath.Glob(filepath.Join(dir, "*"+damagedSuffix)); err != nil || len(kept) > 0 {
			t.Fatalf("cut at %d: taken for damage: %v %v", cut, kept, err)
		}
		if whole > 0 {
			if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, data[:ends[whole-1]]) {
				t.Fatalf("cut at %d: the segment is not cut back to its last record: %v", cut, err)
			}
		}
	}
}

func TestFlippedBits(t *testing.T) {
	texts := []string{"first", "the second one", "third"}
	data, ends := written(t, texts...)
	for at := range data {
		dir := t.TempDir()
		bad := bytes.Clone(data)
		bad[at] ^= 0x40
		if err := os.WriteFile(segmentPath(dir, 1), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		got := payloads(t, dir)
		whole := 0 // records before the damage
		if at < 24 || 48 <= at && at < headerSize {
			whole = len(texts) // all of the header but id and creation can be rebuilt
		} else if at >= headerSize {
			for whole < len(ends) && ends[whole] <= at {
				whole++
			}
			start := append([]int{headerSize}, ends...)[whole]
			if at >= start+frameSize+len(texts[whole]) {
				whole = len(texts) // padding carries nothing
			}
		}
		if strings.Join(got, ",") != strings.Join(texts[:whole], ",") {
			t.Errorf("flipped at %d: got %q, want %q", at, got, texts[:whole])
		}
	}
}

// A segment whose header is damaged is forwarded all the same, under its ids, when
// the header can be proven; the file stays as it is, and is set aside in the end.
func TestDamagedHeader(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func([]byte)
		want  string // of the first of two segments of one run
	}{
		"magic":                       {func(b []byte) { clear(b[:8]) }, "1 2 3"},
		"version":                     {func(b []byte) { b[8] = 9 }, "1 2 3"},
		"checksum":                    {func(b []byte) { clear(b[12:16]) }, "1 2 3"},
		"first sequence":              {func(b []byte) { b[16] = 77 }, "1 2 3"},
		"id, but the other knows it":  {func(b []byte) { clear(b[24:40]) }, "1 2 3"},
		"creation, and nothing knows": {func(b []byte) { b[42] ^= 1 }, ""},
		"all of it":                   {func(b []byte) { clear(b[:headerSize]) }, ""},
		"and the second record":       {func(b []byte) { b[0]++; b[headerSize+24+frameSize] ^= 1 }, "1"},
		"and the first record":        {func(b []byte) { b[0]++; b[headerSize+frameSize] ^= 1 }, ""},
		"and torn":                    {func(b []byte) { b[0]++; clear(b[headerSize+48+4:]) }, "1 2"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newMemDisk()
			s := still(t, d, Options{SegmentBytes: headerSize + 3*24})
			for _, text := range []string{"1", "2", "3", "4"} {
				mustAppend(t, s, text)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			path := segmentPath("spool", 1)
			c.spoil(d.names[path].data)
			spoilt := slices.Clone(d.names[path].data)

			again := still(t, d, Options{Retain: 1})
			r := again.Reader()
			var got []string
			for {
				_, id, payload, err := r.Next()
				if err != nil {
					t.Fatal(err)
				}
				if payload == nil {
					break
				}
				if id != s.id {
					t.Errorf("%s has id %q, want %q", payload, id, s.id)
				}
				got = append(got, string(payload))
			}
			if all := strings.TrimSpace(c.want + " 4"); strings.Join(got, " ") != all {
				t.Errorf("got %q, want %q", got, all)
			}
			if st := again.Stats(); st.Damaged+st.Quarantined != 1 || st.Lost != uint64(4-len(got)) {
				t.Errorf("the damage does not show as it is: %+v", st)
			}
			mustAppend(t, again, "5")
			if err := again.ack(Cursor{Seq: again.Tail()}); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := again.removeAcked(time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			aside := d.files(damagedSuffix)
			if len(aside) != 1 || !bytes.Equal(d.names[aside[0]].data, spoilt) {
				t.Errorf("the original is not kept as it was: %v", aside)
			}
			if err := errors.Join(r.Close(), again.Close()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A disk that does not give a damaged segment a second time keeps nobody from
// starting, and takes nothing away.
func TestDamagedHeaderOnAFailingDisk(t *testing.T) {
	d := newMemDisk()
	s := still(t, d, Options{})
	mustAppend(t, s, "one")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := segmentPath("spool", 1)
	d.names[path].data[0]++
	opened := 0
	d.setFail(func(op, on string) error {
		if op == "open" && on == path {
			opened++
		}
		if op == "read" && on == path && opened > 1 {
			return syscall.EIO
		}
		return nil
	})
	again := still(t, d, Options{})
	d.setFail(nil)
	if got := texts(t, again); got != "" || opened < 2 {
		t.Errorf("got %q, opened %d times", got, opened)
	}
	if aside := d.files(damagedSuffix); len(aside) != 0 || again.Stats().Damaged != 1 {
		t.Errorf("set aside are %v", aside)
	}
	mustAppend(t, again, "two")
	if got := texts(t, again); got != "two" {
		t.Errorf("got %q", got)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedSegmentIsKeptAndTheOthersGoOn(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, SegmentBytes: 128, Sync: SyncOff})
	for i := range 12 {
		mustAppend(t, s, fmt.Sprintf("event %02d", i))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	paths := segments(t, dir)
	if len(paths) < 4 {
		t.Fatalf("want several segments, got %v", paths)
	}
	corrupt(t, paths[1], headerSize+frameSize)

	again := open(t, Options{Dir: dir, SegmentBytes: 128, Sync: SyncOff})
	r := again.Reader()
	got := drain(t, r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if len(got) == 0 || got[0].payload != "event 00" || got[len(got)-1].payload != "event 11" {
		t.Fatalf("got %v", got)
	}
	if len(got) >= 12 {
		t.Fatal("a damaged record was returned")
	}
	kept, err := filepath.Glob(filepath.Join(dir, "*"+damagedSuffix))
	if err != nil || len(kept) != 1 {
		t.Errorf("the damaged segment is not kept: %v %v", kept, err)
	}
}

func corrupt(t testing.TB, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff}, at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDamageWhileRunningDoesNotBlockTheReader(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, SegmentBytes: 128, Sync: SyncOff})
	for i := range 12 {
		mustAppend(t, s, fmt.Sprintf("event %02d", i))
	}
	corrupt(t, segments(t, dir)[0], headerSize+frameSize)
	r := s.Reader()
	defer r.Close()
	got := drain(t, r)
	if len(got) == 0 || got[len(got)-1].payload != "event 11" {
		t.Fatalf("got %v", got)
	}
	if st := s.Stats(); st.Lost != uint64(12-len(got)) || st.Damaged != 1 {
		t.Errorf("%d of 12 read, but the stats say %+v", len(got), st)
	}
}

// What is no record of this segment at this place is not read as one, however
// well it is made: a publisher may put the bytes of a record into a payload.
func TestForeignRecords(t *testing.T) {
	own := header{first: 1, id: "own", created: time.Unix(0, 0)}
	other := header{first: 1, id: "other", created: time.Unix(0, 0)}
	head := own.encode()
	other.encode()
	first := appendFrame(nil, own.salt, 1, []byte("first"))
	for name, second := range map[string][]byte{
		"of another segment": appendFrame(nil, other.salt, 2, []byte("foreign")),
		"of another place":   appendFrame(nil, own.salt, 3, []byte("foreign")),
		"read before":        appendFrame(nil, own.salt, 1, []byte("foreign")),
	} {
		dir := t.TempDir()
		if err := os.WriteFile(segmentPath(dir, 1), slices.Concat(head, first, second), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := payloads(t, dir); len(got) != 1 || got[0] != "first" {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// Damage in the middle stays as it is; only what one write left at the end is cut.
func TestTornOrDamaged(t *testing.T) {
	data, ends := written(t, "first", "second", "third")
	long, _ := written(t, "first", strings.Repeat("y", 3000))
	between, _ := written(t, "first", strings.Repeat("y", 3000), "third")
	for name, c := range map[string]struct {
		bytes []byte
		torn  bool
	}{
		"last record half there":            {data[:ends[2]-9], true},
		"a sector of the last is missing":   {zero(long, 1024, sectorSize), true},
		"one in the middle misses a sector": {zero(between, 1024, sectorSize), false},
		"its first sector is missing":       {zero(long, ends[0], sectorSize-ends[0]), true},
		"less than a sector is missing":     {zero(long, 1024, sectorSize-1), false},
		"reserved and never written":        {append(append([]byte{}, data...), make([]byte, 4096)...), true},
		"a record in the middle is bad":     {flip(data, ends[0]+frameSize), false},
		"its length is zero":                {zero(data, ends[0], 4), false},
		"its length is huge":                {fill(data, ends[0], 4), false},
		"nothing but zeros":                 {make([]byte, 4096), true},
		"no header, but records":            {zero(data, 0, headerSize), false},
		"half a header":                     {data[:30], true},
		"the last record is bad, and whole": {flip(data, ends[1]+frameSize), false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newMemDisk()
			path := segmentPath("spool", 1)
			d.names[path] = &memFile{data: c.bytes, dirty: map[int]bool{}}
			s := still(t, d, Options{})
			kept := s.Stats().Damaged + s.Stats().Quarantined
			if (kept == 0) != c.torn {
				t.Errorf("%d damaged", kept)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if f := d.names[path]; f != nil && !c.torn && len(f.data) != len(c.bytes) {
				t.Error("damage was cut off")
			} else if f != nil && c.torn && len(f.data) > ends[2] && len(f.data) >= len(c.bytes) {
				t.Error("not cut back")
			}
		})
	}
}

func flip(data []byte, at int) []byte {
	data = append([]byte{}, data...)
	data[at] ^= 1
	return data
}

func zero(data []byte, at, n int) []byte {
	data = append([]byte{}, data...)
	clear(data[at : at+n])
	return data
}

func fill(data []byte, at, n int) []byte {
	data = append([]byte{}, data...)
	for i := range n {
		data[at+i] = 0xff
	}
	return data
}
