package forward

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever a crash has left at the end of the file, a letter is a line of its own.
func TestLettersBeginOnTheirOwnLine(t *testing.T) {
	for name, before := range map[string]string{
		"no file":         "",
		"whole":           `{"id":"a-1"}` + "\n",
		"torn":            `{"id":"a-1"}` + "\n" + `{"id":"a-2","ev`,
		"no end of line":  `{"id":"a-1"}`,
		"nothing but one": "\n",
	} {
		t.Run(name, func(t *testing.T) {
			g := graveyard{filepath.Join(t.TempDir(), "dead"), maxDeadBytes}
			if before != "" {
				if err := os.WriteFile(g.path, []byte(before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, id := range []string{"b-1", "b-2"} {
				if err := g.add(deadLetter{ID: id, Record: []byte("x")}); err != nil {
					t.Fatal(err)
				}
			}
			content, err := os.ReadFile(g.path)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(content), before) || g.size() != int64(len(content)) {
				t.Errorf("%q, size %d", content, g.size())
			}
			lines := bytes.Split(bytes.TrimSuffix(content, []byte("\n")), []byte("\n"))
			for i, id := range []string{"b-1", "b-2"} {
				var letter deadLetter
				if err := json.Unmarshal(lines[len(lines)-2+i], &letter); err != nil || letter.ID != id {
					t.Errorf("%v in %q", err, content)
				}
			}
		})
	}
}

// A redrive takes the file away at any time, reads it to its end and removes it. Every letter
// is in what it has read, or in the file that is left.
func TestLettersDuringRedrives(t *testing.T) {
	const letters = 80
	dir := t.TempDir()
	g := graveyard{filepath.Join(dir, "dead"), maxDeadBytes}
	var read bytes.Buffer
	redrive := func() {
		if os.Rename(g.path, g.path+".taken") != nil {
			return // there is none
		}
		content, err := os.ReadFile(g.path + ".taken")
		if err := errors.Join(err, os.Remove(g.path+".taken")); err != nil {
			t.Error(err)
		}
		read.Write(content)
	}
	done := make(chan struct{})
	var redrives sync.WaitGroup
	redrives.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				redrive()
			}
		}
	})
	for i := range letters {
		if err := g.add(deadLetter{ID: "a-" + strconv.Itoa(i), Record: []byte("x")}); err != nil {
			t.Error(err)
		}
	}
	close(done)
	redrives.Wait()
	redrive()
	for i := range letters {
		if !strings.Contains(read.String(), `"a-`+strconv.Itoa(i)+`"`) {
			t.Errorf("letter %d is lost", i)
		}
	}
}

// A file that takes nothing holds the queue for a minute. Then events are lost until it does.
func TestBury(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "missing")
		log := &cursorLog{}
		f := &Forwarder{log: log, dead: graveyard{filepath.Join(dir, "dead"), maxDeadBytes}, logger: slog.New(slog.DiscardHandler)}
		seq := uint64(0)
		bury := func() error {
			seq++
			return f.bury(&entry{seq: seq, spoolID: "own", cause: errRecord})
		}
		hold := func() {
			t.Helper()
			for began := time.Now(); time.Since(began) < buryFor; time.Sleep(maxBackoff) {
				if err := bury(); !errors.Is(err, fs.ErrNotExist) {
					t.Fatalf("after %s: %v", time.Since(began), err)
				}
				seq-- // it is tried again
			}
		}
		want := func(acked, lost, dead uint64) {
			t.Helper()
			if st := f.Stats(); log.seq != acked || st.Lost != lost || st.Dead != dead || (st.DeadError == "") != (f.unburied == unburied{}) {
				t.Errorf("acked %d, %+v", log.seq, st)
			}
		}
		hold()
		want(0, 0, 0)
		for range 3 {
			if err := bury(); err != nil {
				t.Fatal(err)
			}
		}
		want(3, 3, 0)
		time.Sleep(time.Hour) // no poison comes
		hold()
		want(3, 3, 0)
		if err := errors.Join(os.Mkdir(dir, 0o700), bury(), os.RemoveAll(dir)); err != nil {
			t.Fatal(err)
		}
		want(4, 3, 1)
		hold()
		want(4, 3, 1)
	})
}

// The file never grows beyond its bound, and takes letters again when it is moved away.
func TestFullGraveyard(t *testing.T) {
	g := graveyard{filepath.Join(t.TempDir(), "dead"), 1000}
	letter := deadLetter{ID: "a-1", Record: make([]byte, 100)}
	added := 0
	for range 20 {
		switch err := g.add(letter); {
		case err == nil:
			added++
		case !errors.Is(err, errDeadFull):
			t.Fatal(err)
		}
	}
	if added < 2 || added > 9 || g.size() > g.max {
		t.Errorf("%d letters, %d bytes", added, g.size())
	}
	if err := os.Rename(g.path, g.path+".redriving"); err != nil {
		t.Fatal(err)
	}
	if err := g.add(letter); err != nil {
		t.Error(err)
	}
}
