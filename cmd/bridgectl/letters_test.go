package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func letterLine(id string) string {
	return fmt.Sprintf(`{"at":"2026-11-23T09:00:00Z","id":%q,"reason":"was too large","subject":"stream.x","event":{"id":%q}}`+"\n", id, id)
}

func newBox(t *testing.T, content string) *letterBox {
	t.Helper()
	b := &letterBox{path: filepath.Join(t.TempDir(), "dead-letters.jsonl")}
	write(t, b.path, content)
	return b
}

func write(t *testing.T, path, content string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(content)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// fileText is what the file holds, empty when there is none.
func fileText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

// The bridge writes on while letters are taken: into the file it had opened before, and
// into the new one. None is lost.
func TestTakeWhileTheBridgeWrites(t *testing.T) {
	b := newBox(t, "one\ntwo\n")
	old, err := os.OpenFile(b.path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	var seen []string
	err = b.take(func(line []byte) ([]byte, bool) {
		seen = append(seen, string(line))
		switch string(line) {
		case "one":
			write(t, b.path, "new file\n")
			if _, err := old.WriteString("old file\nwithout an end"); err != nil {
				t.Fatal(err)
			}
		case "two":
			return []byte("two, refused again"), false
		}
		return nil, true
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"one", "two", "old file", "without an end"}; !slices.Equal(seen, want) {
		t.Errorf("seen %q, want %q", seen, want)
	}
	if got, want := fileText(t, b.path), "new file\ntwo, refused again\n"; got != want {
		t.Errorf("the file holds %q, want %q", got, want)
	}
	if got, want := fileText(t, b.redriven()), "one\nold file\nwithout an end\n"; got != want {
		t.Errorf("redriven are %q, want %q", got, want)
	}
	if _, err := os.Stat(b.taken()); !errors.Is(err, os.ErrNotExist) {
		t.Error("the taken file is still there")
	}
}

func TestTwoRedrives(t *testing.T) {
	b := newBox(t, "one\n")
	err := b.take(func([]byte) ([]byte, bool) {
		err := b.take(func([]byte) ([]byte, bool) { t.Error("the second one has a letter too"); return nil, true })
		if err == nil || !strings.Contains(err.Error(), "another redrive works on") {
			t.Errorf("the second one: %v", err)
		}
		return nil, true
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What a killed redrive has left, even with a torn end, does not swallow what the
// bridge has written since.
func TestTakeAfterAKill(t *testing.T) {
	b := newBox(t, "three\n")
	write(t, b.taken(), "one\ntwo")
	if err := b.putBackTaken(); err != nil {
		t.Fatal(err)
	}
	write(t, b.path, "four\n")
	var seen []string
	if err := b.take(func(line []byte) ([]byte, bool) { seen = append(seen, string(line)); return nil, true }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"three", "one", "two", "four"}; !slices.Equal(seen, want) {
		t.Errorf("seen %q, want %q", seen, want)
	}
}

// A bridge that was killed while it wrote leaves a line without an end: what comes back
// does not stick to it.
func TestPutBackBehindATornLine(t *testing.T) {
	b := newBox(t, "one\ntor")
	if err := b.putBack([]byte("two\n")); err != nil {
		t.Fatal(err)
	}
	if got, want := fileText(t, b.path), "one\ntor\ntwo\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRedriveKeepsWhatIsNotAcked(t *testing.T) {
	tooLarge := &jetstream.APIError{ErrorCode: 10054, Description: "message size exceeds maximum allowed"}
	tests := map[string]struct {
		answers map[string]error // by id
		ids     []string
		asked   []string
		stays   []string // ids
		stopped bool
	}{
		"all acked":         {nil, nil, []string{"a-1", "a-2", "a-3"}, nil, false},
		"one refused":       {map[string]error{"a-2": tooLarge}, nil, []string{"a-1", "a-2", "a-3"}, []string{"a-2"}, false},
		"no stream":         {map[string]error{"a-2": jetstream.ErrNoStreamResponse}, nil, []string{"a-1", "a-2", "a-3"}, []string{"a-2"}, false},
		"too large to send": {map[string]error{"a-1": nats.ErrMaxPayload}, nil, []string{"a-1", "a-2", "a-3"}, []string{"a-1"}, false},
		"NATS goes away":    {map[string]error{"a-2": nats.ErrConnectionClosed}, nil, []string{"a-1", "a-2"}, []string{"a-2", "a-3"}, true},
		"no ack in time":    {map[string]error{"a-1": context.DeadlineExceeded}, nil, []string{"a-1"}, []string{"a-1", "a-2", "a-3"}, true},
		"by id":             {nil, []string{"a-2", "a-9"}, []string{"a-2"}, []string{"a-1", "a-3"}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, letterLine("a-1")+letterLine("a-2")+letterLine("a-1")+letterLine("a-3"))
			var asked []string
			r := redriver{ids: test.ids, through: map[string]bool{}}
			r.publish = func(_ context.Context, msg *nats.Msg, _ ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
				id := msg.Header.Get("Nats-Msg-Id")
				if len(asked) == 0 || !slices.Contains(asked, id) {
					asked = append(asked, id)
				}
				if err := test.answers[id]; err != nil {
					return nil, err
				}
				return &jetstream.PubAck{Stream: "EVENTS", Sequence: 1}, nil
			}
			if err := b.take(func(line []byte) ([]byte, bool) { return r.redrive(t.Context(), line) }); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(asked, test.asked) || (r.result.Stopped != "") != test.stopped {
				t.Errorf("asked for %q, want %q; stopped: %q", asked, test.asked, r.result.Stopped)
			}
			stays, gone := fileText(t, b.path), fileText(t, b.redriven())
			for _, id := range []string{"a-1", "a-2", "a-3"} {
				if got, want := strings.Contains(stays, id), slices.Contains(test.stays, id); got != want {
					t.Errorf("%s stays: %v, want %v", id, got, want)
				}
				if strings.Contains(gone, id) == strings.Contains(stays, id) {
					t.Errorf("%s is in both files or in none", id)
				}
			}
			for id, err := range test.answers {
				if told := strings.Contains(stays, err.Error()); told == test.stopped {
					t.Errorf("%s: the new reason %q is told: %v", id, err, told)
				}
			}
		})
	}
}

// What goes back is never more or less than the lines that were there.
func FuzzSortLines(f *testing.F) {
	f.Add([]byte("one\ntwo\n"), uint8(1))
	f.Add([]byte("\n\none"), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, every uint8) {
		var through, stay bytes.Buffer
		n := 0
		rest := sortLines(data, func(line []byte) ([]byte, bool) { n++; return line, every > 0 && n%int(every) == 0 }, &through, &stay)
		if bytes.Contains(rest, []byte("\n")) {
			t.Fatalf("a whole line is left: %q", rest)
		}
		got := len(through.Bytes()) + len(stay.Bytes()) + len(rest)
		blank := 0
		for line := range bytes.Lines(data) {
			if len(line) == 1 && line[0] == '\n' {
				blank++
			}
		}
		if got+blank != len(data) {
			t.Fatalf("%d bytes of %d, %d blank lines", got, len(data), blank)
		}
	})
}
