package spool

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// logged is a record as Append took it: the oracle of these tests.
type logged struct {
	id   string
	seq  uint64
	text string
}

// logRun appends the payloads in one run of the spool and acks as many of the
// log's records.
func logRun(t testing.TB, dir string, segmentBytes int64, payloads []string, acked uint64) []logged {
	t.Helper()
	s, err := Open(Options{Dir: dir, Sync: SyncOff, SegmentBytes: segmentBytes})
	if err != nil {
		t.Fatal(err)
	}
	var all []logged
	for _, p := range payloads {
		seq, err := s.Append([]byte(p))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, logged{s.id, seq, p})
	}
	if acked > 0 {
		if err := s.ack(Cursor{Seq: acked, SpoolID: s.id, StreamSeq: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

// readAsBridge opens a copy of the log as the bridge does and reads it all.
func readAsBridge(t testing.TB, dir string) []logged {
	t.Helper()
	s, err := Open(Options{Dir: copyLog(t, dir), Sync: SyncOff})
	if err != nil {
		t.Fatal(err)
	}
	r := s.Reader()
	var all []logged
	for {
		seq, id, payload, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if payload == nil {
			break
		}
		all = append(all, logged{id, seq, string(payload)})
	}
	if err := errors.Join(r.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	return all
}

func copyLog(t testing.TB, dir string) string {
	t.Helper()
	to, err := os.MkdirTemp(t.TempDir(), "copy")
	if err == nil {
		err = os.CopyFS(to, os.DirFS(dir))
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// foundBy collects what Records or LostRecords finds.
func foundBy(t testing.TB, dir string, find func(string, func(Record) error) error) []logged {
	t.Helper()
	var all []logged
	err := find(dir, func(r Record) error {
		all = append(all, logged{r.SpoolID, r.Seq, string(r.Payload)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// damagedLog is a log with damage, and what was logged to it.
type damagedLog struct {
	dir      string
	all      []logged
	original map[string][]byte // segments as they were before any damage
	acked    uint64
}

// drawLog writes a log in one to three runs of the bridge, with damage behind each of them.
func drawLog(rt *rapid.T, t *testing.T) *damagedLog {
	dir, err := os.MkdirTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	l := &damagedLog{dir: dir, original: map[string][]byte{}}
	text := rapid.OneOf(rapid.StringMatching(`[a-c]{1,40}`), rapid.StringOfN(rapid.SampledFrom([]rune{0, 1, 8}), 1, 60, -1))
	for range rapid.IntRange(1, 3).Draw(rt, "runs") {
		payloads := rapid.SliceOfN(text, 1, 12).Draw(rt, "payloads")
		acked := rapid.Uint64Range(0, 8).Draw(rt, "acked")
		run := logRun(t, dir, rapid.SampledFrom([]int64{200, 1 << 20}).Draw(rt, "segment bytes"), payloads, acked)
		l.all, l.acked = append(l.all, run...), max(l.acked, acked)
		for _, path := range l.segments(t) {
			b := fileBytes(t, path)
			if h, err := decodeHeader(b); err == nil && h.id == run[0].id {
				l.original[path] = b
			}
		}
		for range rapid.IntRange(0, 2).Draw(rt, "damages") {
			l.damage(rt, t)
		}
	}
	return l
}

// damage spoils a segment behind its header.
func (l *damagedLog) damage(rt *rapid.T, t *testing.T) {
	path := rapid.SampledFrom(l.segments(t)).Draw(rt, "file")
	b := fileBytes(t, path)
	if len(b) <= headerSize {
		return
	}
	from := rapid.IntRange(headerSize, len(b)-1).Draw(rt, "from")
	to := min(len(b), from+rapid.IntRange(1, 80).Draw(rt, "length"))
	switch rapid.IntRange(0, 3).Draw(rt, "kind") {
	case 0:
		b[from] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
	case 1:
		clear(b[from:to])
	case 2:
		copy(b[from:to], rapid.SliceOfN(rapid.Byte(), 80, 80).Draw(rt, "junk"))
	case 3:
		b = b[:from]
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (l *damagedLog) segments(t testing.TB) []string {
	paths, _, err := listFolder(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// whole returns the records that are still in their file as they were written, and
// which of them a repair has to put back: not acked, and of a sequence that no
// later segment has begun behind.
func (l *damagedLog) whole(t testing.TB) (whole, back []logged) {
	paths := l.segments(t)
	limit := uint64(1 << 62)
	for _, path := range slices.Backward(paths) {
		original, now := l.original[path], fileBytes(t, path)
		h, err := decodeHeader(original)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range wholeIn(original, now, h.id, l.all) {
			whole = append(whole, w)
			if w.seq > l.acked && w.seq < limit {
				back = append(back, w)
			}
		}
		if len(bytes.TrimRight(now, "\x00")) > headerSize {
			limit = h.first
		}
	}
	return whole, back
}

func wholeIn(original, now []byte, id string, all []logged) []logged {
	var whole []logged
	for off := headerSize; off < len(original); {
		n := int(binary.LittleEndian.Uint32(original[off:]))
		seq := binary.LittleEndian.Uint64(original[off+8:])
		if off+frameLen(n) <= len(now) && bytes.Equal(original[off:off+frameSize+n], now[off:off+frameSize+n]) {
			i := slices.IndexFunc(all, func(w logged) bool { return w.id == id && w.seq == seq })
			whole = append(whole, all[i])
		}
		off += frameLen(n)
	}
	return whole
}

func fileBytes(t testing.TB, path string) []byte {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// inOrder sorts records such that sets can be compared.
func inOrder(all []logged) []logged {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b logged) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.id, b.id))
	})
	return all
}

// Whatever happens to the records of a log: all that are still whole are found, and no
// others; after a repair the bridge reads what it read before and the whole ones
// behind damage that it has not passed, in order, each once; and a crash between two
// steps of the repair costs nothing.
func TestRepairSavesWhatIsWhole(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := drawLog(rt, t)
		whole, back := l.whole(t)
		if got := foundBy(t, l.dir, Records); !slices.Equal(inOrder(got), inOrder(whole)) {
			rt.Fatalf("found\n%+v, whole are\n%+v", got, whole)
		}
		before, crashed := readAsBridge(t, l.dir), copyLog(t, l.dir)
		for _, w := range before {
			if !slices.Contains(back, w) {
				back = append(back, w)
			}
		}
		if _, err := Repair(l.dir, false, nil); err != nil {
			rt.Fatal(err)
		}
		after := readAsBridge(t, l.dir)
		if !slices.Equal(after, inOrder(back)) {
			rt.Fatalf("after the repair the bridge reads\n%+v, want\n%+v", after, inOrder(back))
		}
		if _, err := Repair(l.dir, false, nil); err != nil {
			rt.Fatal(err)
		}
		if again := readAsBridge(t, l.dir); !slices.Equal(again, after) {
			rt.Fatalf("after a second repair the bridge reads\n%+v, not\n%+v", again, after)
		}

		repairAndCrash(rt, t, crashed)
		if got := inOrder(foundBy(t, crashed, Records)); len(slices.Compact(slices.Clone(got))) != len(got) {
			rt.Fatalf("after the crash of a repair records are found twice: %+v", got)
		}
		for _, w := range before {
			if !slices.Contains(readAsBridge(t, crashed), w) {
				rt.Fatalf("the crash of a repair has lost %+v", w)
			}
		}
		if _, err := Repair(crashed, false, nil); err != nil {
			rt.Fatal(err)
		}
		if again := readAsBridge(t, crashed); !slices.Equal(again, after) {
			rt.Fatalf("repaired after a crash of the repair:\n%+v\nwithout:\n%+v", again, after)
		}
	})
}

// repairAndCrash carries out some steps of the repair of one segment.
func repairAndCrash(rt *rapid.T, t *testing.T, dir string) {
	r, err := newRepairer(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.log.seen {
		m, err := r.mend(i)
		if err != nil {
			t.Fatal(err)
		}
		if m == nil || m.out.Left != "" {
			continue
		}
		steps := m.steps()
		for _, step := range steps[:rapid.IntRange(0, len(steps)).Draw(rt, "steps")] {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
}

// A run that starts behind damage gives no sequence away that a whole record
// behind the damage has: a repair puts them back, whatever was appended meanwhile. What
// cannot be read is not waited for.
func TestSequencesBehindDamageAreKept(t *testing.T) {
	dir := t.TempDir()
	all := logRun(t, dir, 0, []string{"one", "two", "three", "four", "five"}, 2)
	alter(t, segmentPath(dir, 1), func(b []byte) { b[headerSize+2*24+frameSize] ^= 1 })
	s, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Events != 0 || st.Tail != 2 {
		t.Errorf("%d events wait for JetStream, tail %d", st.Events, st.Tail)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	later := logRun(t, dir, 0, []string{"six", "seven"}, 0)
	if _, err := Repair(dir, false, nil); err != nil {
		t.Fatal(err)
	}
	if got, want := readAsBridge(t, dir), slices.Concat(all[3:], later); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A damaged segment is read, and repaired when all are read.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	logRun(t, dir, 0, []string{"one", "two", "three"}, 1)
	logRun(t, dir, 0, []string{"four", "five"}, 0)
	alter(t, segmentPath(dir, 1), func(b []byte) { b[headerSize+24+frameSize] ^= 1 })
	var told [][2]int
	watch := func(done, of int) { told = append(told, [2]int{done, of}) }
	if _, err := Inspect(dir, watch); err != nil {
		t.Fatal(err)
	}
	if want := [][2]int{{1, 2}, {2, 2}}; !slices.Equal(told, want) {
		t.Errorf("Inspect told %v, want %v", told, want)
	}
	told = nil
	if _, err := Repair(dir, false, watch); err != nil {
		t.Fatal(err)
	}
	if want := [][2]int{{1, 2}, {2, 2}, {3, 3}}; !slices.Equal(told, want) {
		t.Errorf("Repair told %v, want %v", told, want)
	}
}

// A log that was emptied goes on behind its cursor.
func TestTailOfAnEmptyLog(t *testing.T) {
	dir := t.TempDir()
	logRun(t, dir, 0, []string{"one", "two"}, 2)
	remove(t, segmentPath(dir, 1))
	s := open(t, Options{Dir: dir})
	if st := s.Stats(); st.Tail != 2 || st.Events != 0 {
		t.Errorf("tail %d, %d events", st.Tail, st.Events)
	}
}

// Arbitrary bytes over a segment, or in its place, never panic, and every record
// that is found was written.
func FuzzRepair(f *testing.F) {
	f.Add(uint16(0), uint16(0), []byte("bintuspl"))
	f.Add(uint16(90), uint16(500), []byte{1, 0, 0, 0, 0, 0, 0, 0, 3})
	f.Add(uint16(64), uint16(300), bytes.Repeat([]byte{0xff}, 64))
	f.Add(uint16(12), uint16(65000), make([]byte, 8))
	f.Fuzz(func(t *testing.T, at, size uint16, junk []byte) {
		dir := t.TempDir()
		all := logRun(t, dir, 0, []string{"one", "two two", "three three three", "four", "five"}, 1)
		b := fileBytes(t, segmentPath(dir, 1))
		b = b[:min(len(b), int(size))]
		b = append(b, make([]byte, max(0, int(at)-len(b)))...)
		b = append(b[:at], append(junk, b[min(len(b), int(at)+len(junk)):]...)...)
		if err := os.WriteFile(segmentPath(dir, 1), b, 0o600); err != nil {
			t.Fatal(err)
		}
		check := func(when string, records []logged) {
			for i, r := range records {
				if !slices.Contains(all, r) || i > 0 && records[i-1].seq >= r.seq {
					t.Fatalf("%s: %+v", when, records)
				}
			}
		}
		check("found", foundBy(t, dir, Records))
		check("lost", foundBy(t, dir, LostRecords))
		if _, err := Inspect(dir, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := Repair(dir, false, nil); err != nil {
			t.Fatal(err)
		}
		check("repaired", readAsBridge(t, dir))
	})
}
