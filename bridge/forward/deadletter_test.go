package forward

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
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
