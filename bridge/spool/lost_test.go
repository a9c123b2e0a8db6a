package spool

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What is missing behind the cursor is counted, wherever the damage is: what is read and
// what is lost are all that was answered. Four segments hold 1 to 4, 5 to 8, 9 to 12
// and 13 to 16; the numbers are what a second start finds too.
func TestMissingRecordsAreCounted(t *testing.T) {
	const size = 24 // of a record
	for name, c := range map[string]struct {
		acked uint64
		spoil func(t *testing.T, dir string)
		lost  uint64
		read  int
	}{
		"nothing":              {0, func(*testing.T, string) {}, 0, 16},
		"a segment is removed": {0, func(t *testing.T, dir string) { remove(t, segmentPath(dir, 5)) }, 4, 12},
		"it was acked":         {8, func(t *testing.T, dir string) { remove(t, segmentPath(dir, 5)) }, 0, 8},
		"the first is removed": {2, func(t *testing.T, dir string) { remove(t, segmentPath(dir, 1)) }, 2, 12},
		"cut between two":      {0, func(t *testing.T, dir string) { cut(t, segmentPath(dir, 5), headerSize+size) }, 3, 13},
		"cut to nothing":       {0, func(t *testing.T, dir string) { cut(t, segmentPath(dir, 5), 0) }, 4, 12},
		"a hole": {0, func(t *testing.T, dir string) {
			alter(t, segmentPath(dir, 5), func(b []byte) { clear(b[64+size : 64+2*size]) })
		}, 3, 13},
		"a header":        {0, func(t *testing.T, dir string) { alter(t, segmentPath(dir, 5), func(b []byte) { clear(b[:64]) }) }, 4, 12},
		"the last header": {0, func(t *testing.T, dir string) { alter(t, segmentPath(dir, 13), func(b []byte) { clear(b[:64]) }) }, 4, 12},
		"the last record": {0, func(t *testing.T, dir string) { alter(t, segmentPath(dir, 13), func(b []byte) { b[len(b)-8] ^= 1 }) }, 1, 15},
		"behind the last": {0, func(t *testing.T, dir string) { alter(t, segmentPath(dir, 13), func(b []byte) { b[64+size+16] ^= 1 }) }, 3, 13},
		"a cursor nobody can tell": {3, func(t *testing.T, dir string) {
			remove(t, segmentPath(dir, 1))
			create(t, dir+"/cursor", []byte("scribble"))
		}, 0, 12},
		"a directory in its place": {0, func(t *testing.T, dir string) {
			remove(t, segmentPath(dir, 5))
			if err := os.Mkdir(segmentPath(dir, 5), 0o700); err != nil {
				t.Fatal(err)
			}
		}, 4, 12},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			logRun(t, dir, headerSize+4*size, strings.Split("abcdefghijklmnop", ""), c.acked)
			c.spoil(t, dir)
			for range 2 {
				if read := len(readAsBridge(t, dir)); read != c.read {
					t.Errorf("%d are read", read)
				}
				s, err := Open(Options{Dir: dir, Sync: SyncOff})
				if err != nil {
					t.Fatal(err)
				}
				if lost := s.Stats().Lost; lost != c.lost {
					t.Errorf("%d are lost, want %d", lost, c.lost)
				}
				mustAppend(t, s, "later")
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				c.read++
			}
		})
	}
}

func cut(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// A sequence that a failed append has used up is no lost record, also for the next run.
func TestSequenceLeftOutIsNotLost(t *testing.T) {
	d := newMemDisk()
	s := still(t, d, Options{})
	mustAppend(t, s, "one")
	d.setFail(failing(syscall.EIO, "write truncate"))
	if _, err := s.Append([]byte("two")); err == nil {
		t.Fatal("appended")
	}
	d.setFail(nil)
	if seq := mustAppend(t, s, "three"); seq != 3 {
		t.Fatalf("sequence %d", seq)
	}
	again := still(t, d.killed(), Options{})
	if lost := again.Stats().Lost; lost != 0 || texts(t, again) != "one three" {
		t.Errorf("%d lost, %q", lost, texts(t, again))
	}
}

// A reader that is sent back counts what it cannot read once.
func TestSkippedTwiceIsLostOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, Sync: SyncOff})
	for _, text := range []string{"one", "two", "three"} {
		mustAppend(t, s, text)
	}
	corrupt(t, segmentPath(dir, 1), headerSize+24+frameSize)
	r := s.Reader()
	for range 3 {
		if all := drain(t, r); len(all) != 1 || s.Stats().Lost != 2 {
			t.Errorf("%v, %d lost", all, s.Stats().Lost)
		}
		if err := r.Rewind(0); err != nil {
			t.Fatal(err)
		}
	}
}

// The headers order the log, whatever the names are, and what was not read is not deleted.
func TestSwappedNames(t *testing.T) {
	dir := t.TempDir()
	all := logRun(t, dir, headerSize+4*24, strings.Split("abcdefghijkl", ""), 0)
	b := fileBytes(t, segmentPath(dir, 1))
	create(t, segmentPath(dir, 1), fileBytes(t, segmentPath(dir, 5)))
	create(t, segmentPath(dir, 5), b)
	if got := readAsBridge(t, dir); !slices.Equal(got, all) {
		t.Errorf("the bridge reads %+v", got)
	}
	if got := foundBy(t, dir, Records); !slices.Equal(got, all) {
		t.Errorf("the tools read %+v", got)
	}
	before := fileBytes(t, segmentPath(dir, 5))
	if _, err := Repair(dir, false, nil); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(before, fileBytes(t, segmentPath(dir, 5))) {
		t.Error("a repair has written over a segment with a name that is not its own")
	}
}

// A segment of another run with sequences that were read already is not read, and so
// it is set aside, where the tools find it.
func TestSequencesOfTwoRuns(t *testing.T) {
	dir := t.TempDir()
	old := logRun(t, dir, 0, []string{"one", "two"}, 0)
	b := fileBytes(t, segmentPath(dir, 1))
	remove(t, segmentPath(dir, 1))
	remove(t, dir+"/cursor")
	now := logRun(t, dir, 0, []string{"eins", "zwei", "drei"}, 3)
	create(t, segmentPath(dir, 100), b) // as from a backup
	if got := foundBy(t, dir, LostRecords); !slices.Equal(got, now) && !slices.Equal(got, old) {
		t.Errorf("in the log: %+v", got)
	}
	s, err := Open(Options{Dir: dir, Sync: SyncOff, Retain: 1})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.removeAcked(time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := foundBy(t, dir, LostRecords); !slices.Equal(got, now) && !slices.Equal(got, old) {
		t.Errorf("set aside: %+v", got)
	}
}

// A file that cannot be read stays where it is while it may be read in its place
// later, and is set aside, not deleted, when it may not.
func TestUnreadSegment(t *testing.T) {
	d := newMemDisk()
	s := still(t, d, Options{SegmentBytes: headerSize + 2*24})
	for _, text := range []string{"1", "2", "3", "4", "5", "6"} {
		mustAppend(t, s, text)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := segmentPath("spool", 3)
	d.setFail(func(op, on string) error {
		if on == path && op == "open" {
			return syscall.EACCES
		}
		return nil
	})
	again := still(t, d, Options{Retain: 1})
	if st := again.Stats(); texts(t, again) != "1 2 5 6" || st.Lost != 2 || st.Damaged != 1 {
		t.Errorf("%q, %+v", texts(t, again), st)
	}
	step := func(acked uint64, aside int) {
		t.Helper()
		if err := errors.Join(again.ack(Cursor{Seq: acked}), again.removeAcked(time.Now())); err != nil {
			t.Fatal(err)
		}
		if n := len(d.files(damagedSuffix)); n != aside || aside == 0 && d.names[path] == nil {
			t.Errorf("acked up to %d: %d are set aside", acked, n)
		}
	}
	step(2, 0)
	d.setFail(nil)
	if third := still(t, d.killed(), Options{}); texts(t, third) != "3 4 5 6" || third.Stats().Lost != 0 {
		t.Errorf("a later start reads %q", texts(t, third))
	}
	step(5, 1)
}

// The newest segment cannot be read, or not to its end. What this run appends is behind all that the next
// one may read of it, and each event is counted once.
func TestUnreadNewestSegment(t *testing.T) {
	big := strings.Repeat(".", 300<<10) // three to a read
	for name, c := range map[string]struct {
		op    string
		after int // so many that go well
		reads int // events
	}{
		"at all": {"open", 0, 0}, "its header": {"read", 0, 0}, "its middle": {"read", 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			before := newMemDisk()
			s := still(t, before, Options{SegmentBytes: 4 << 20})
			for range 6 {
				mustAppend(t, s, big)
			}
			if err := s.ack(Cursor{Seq: 1, SpoolID: s.id}); err != nil {
				t.Fatal(err)
			}
			d, path, did := before.killed(), segmentPath("spool", 1), 0
			d.setFail(func(op, on string) error {
				if on != path || op != c.op {
					return nil
				}
				if did++; did <= c.after {
					return nil
				}
				return syscall.EIO
			})
			again := still(t, d, Options{Retain: 1})
			seq := mustAppend(t, again, "new")
			mustAppend(t, again, "newer")
			if err := again.removeAcked(time.Now()); err != nil {
				t.Fatal(err)
			}
			if st := again.Stats(); st.Events != uint64(c.reads+2) || st.Damaged != 1 || st.Lost > 1 || d.names[path] == nil {
				t.Errorf("%+v", st)
			}
			d.setFail(nil)
			later := d.killed()
			next := still(t, later, Options{})
			want := strings.Repeat(big+" ", 5) + "new newer"
			if st := next.Stats(); texts(t, next) != want || st.Events != 7 || st.Lost != 0 || st.Damaged != 0 {
				t.Errorf("the next start: %+v", st)
			}
			if n := next.Reader().Count(4, seq); n != 3 {
				t.Errorf("%d events behind 4, up to %d", n, seq)
			}
			later.names[segmentPath("spool", seq)].data[headerSize+frameSize] ^= 1
			if texts(t, next); next.Stats().Lost != 2 {
				t.Errorf("damage behind the sequences left out: %+v", next.Stats())
			}
			if err := again.ack(Cursor{Seq: seq}); err != nil {
				t.Fatal(err)
			}
			for range 2 { // once to note when it was acked
				if err := again.removeAcked(time.Now().Add(time.Second)); err != nil {
					t.Fatal(err)
				}
			}
			if len(d.files(damagedSuffix)) != 1 || again.Stats().Events != 1 {
				t.Errorf("what was passed is not set aside: %+v", again.Stats())
			}
		})
	}
}

// No file keeps the spool from opening, and none makes it wait.
func TestStrangeFiles(t *testing.T) {
	link := func(to string) func(string) error {
		return func(path string) error { return os.Symlink(to, path) }
	}
	for name, make := range map[string]func(path string) error{
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"device":    link("/dev/zero"),
		"full":      link("/dev/full"),
		"dangling":  link("nowhere/at/all"),
		"huge": func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<40))
		},
	} {
		for _, file := range []string{cursorName, "00000000000000000002.seg", "00000000000000000009.seg", "x.seg", "18446744073709551614.seg"} {
			t.Run(name+" "+file, func(t *testing.T) {
				dir := t.TempDir()
				logRun(t, dir, headerSize+24, []string{"one", "two", "three"}, 0)
				path := filepath.Join(dir, file)
				_ = os.Remove(path)
				if err := make(path); err != nil {
					t.Fatal(err)
				}
				in, err := Inspect(dir, nil)
				if err != nil || len(in.Problems) == 0 && name != "huge" && name != "dangling" {
					t.Errorf("%+v, %v", in, err)
				}
				want := "one two three"
				if file == "00000000000000000002.seg" {
					want = "one three"
				}
				s := open(t, Options{Dir: dir, Sync: SyncOff})
				if got := texts(t, s); got != want {
					t.Errorf("read %q", got)
				}
				for range 3 {
					mustAppend(t, s, "more")
				}
				if got := texts(t, s); got != want+" more more more" {
					t.Errorf("read %q", got)
				}
			})
		}
	}
}

// A segment that is followed by more zeros than any has is damaged, and read.
func TestHugeSegment(t *testing.T) {
	dir := t.TempDir()
	logRun(t, dir, 0, []string{"one", "two"}, 0)
	cut(t, segmentPath(dir, 1), 5<<30)
	s := open(t, Options{Dir: dir, Sync: SyncOff})
	if st := s.Stats(); texts(t, s) != "one two" || st.Damaged != 1 {
		t.Errorf("%q, %+v", texts(t, s), st)
	}
	if in, err := Inspect(dir, nil); err != nil || len(in.Damaged()) != 1 || in.Waiting != 2 {
		t.Errorf("%+v, %v", in, err)
	}
}

// A name that is near an overflow takes no sequences away.
func TestNamesThatNoSegmentHas(t *testing.T) {
	dir := t.TempDir()
	all := logRun(t, dir, 0, []string{"one", "two"}, 0)
	for _, name := range []string{"18446744073709551615.seg", "18446744073709551614.seg", "00000000000000009999.seg"} {
		create(t, filepath.Join(dir, name), fileBytes(t, segmentPath(dir, 1)))
	}
	all = append(all, logRun(t, dir, 0, []string{"three", "four", "five"}, 0)...)
	if got := readAsBridge(t, dir); !slices.Equal(got, all) {
		t.Errorf("got %+v", got)
	}
	s := open(t, Options{Dir: dir, Sync: SyncOff})
	if lost := s.Stats().Lost; lost != 0 {
		t.Errorf("%d are lost", lost)
	}
}

// A cursor that is ahead of the log makes nobody believe in records there never were.
func TestCursorAhead(t *testing.T) {
	for _, acked := range []uint64{100, maxSequence + 1, 1<<64 - 1} {
		dir := t.TempDir()
		logRun(t, dir, 0, []string{"one", "two"}, acked)
		s := open(t, Options{Dir: dir, Sync: SyncOff})
		if st := s.Stats(); st.Tail != 2 || st.Lost != 0 {
			t.Errorf("%+v", st)
		}
		if seq := mustAppend(t, s, "three"); seq != 101 && acked == 100 || seq != 3 && acked != 100 {
			t.Errorf("sequence %d behind cursor %d", seq, acked)
		}
	}
}
