package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bintubridge/bridge/forward"
	"bintubridge/bridge/spool"
	"bintubridge/subjects"
)

// writeSpools makes the spools of the present format anew. Those of a released version
// stay as they are for ever: a new format gets a new folder.
var writeSpools = flag.Bool("write-spools", false, "write testdata/spool/v1 again")

const spools = "../../testdata/spool/v1"

// fixtures are the spools in testdata and how each was made.
func fixtures() map[string]func(t *testing.T, dir string) {
	return map[string]func(*testing.T, string){
		"clean":        func(t *testing.T, dir string) { fill(t, dir, 5, 0); fill(t, dir, 2, 0) },
		"cursor":       func(t *testing.T, dir string) { fill(t, dir, 5, 4); fill(t, dir, 2, 0) },
		"torn":         func(t *testing.T, dir string) { fill(t, dir, 3, 0); edit(t, first(dir), cutTail) },
		"preallocated": func(t *testing.T, dir string) { fill(t, dir, 3, 2); edit(t, first(dir), addZeros) },
		"damaged": func(t *testing.T, dir string) {
			fill(t, dir, 6, 1)
			fill(t, dir, 2, 0)
			edit(t, first(dir), func(b []byte) []byte { return flip(b, recordOffset(3)+20) })
		},
		"header": func(t *testing.T, dir string) {
			fill(t, dir, 3, 0)
			edit(t, first(dir), func(b []byte) []byte { return flip(b, 2) })
		},
		"header-lost": func(t *testing.T, dir string) {
			fill(t, dir, 3, 0)
			edit(t, first(dir), func(b []byte) []byte { return flip(b, 42) })
		},
		// A power cut took the fourth record and left the two behind it; the next
		// run gave their sequences to others. A bridge that sees them does not.
		"reused": func(t *testing.T, dir string) {
			fill(t, dir, 6, 1)
			var whole []byte
			edit(t, first(dir), func(b []byte) []byte { whole = b; return b[:recordOffset(4)] })
			fill(t, dir, 3, 0)
			clear(whole[recordOffset(4):recordOffset(5)])
			edit(t, first(dir), func([]byte) []byte { return whole })
		},
		// The bridge has passed a damaged segment and set it aside.
		"aside": func(t *testing.T, dir string) {
			fill(t, dir, 5, 0)
			edit(t, first(dir), func(b []byte) []byte { return flip(b, recordOffset(2)+20) })
			if err := os.Rename(first(dir), first(dir)+".1795000000000000000.damaged"); err != nil {
				t.Fatal(err)
			}
			fill(t, dir, 7, 6)
		},
		"traced": func(t *testing.T, dir string) { put(t, dir, 0, eventRecord(0), tracedRecord(1), eventRecord(2)) },
	}
}

// fill lets the bridge's spool append n events, and ack the first of them.
func fill(t *testing.T, dir string, n, acked int) {
	t.Helper()
	records := make([][]byte, n)
	for i := range records {
		records[i] = eventRecord(i)
	}
	put(t, dir, acked, records...)
}

func put(t *testing.T, dir string, acked int, records ...[]byte) {
	t.Helper()
	s, err := spool.Open(spool.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range records {
		if _, err := s.Append(record); err != nil {
			t.Fatal(err)
		}
	}
	r := s.Reader()
	for range acked {
		seq, id, _, err := r.Next()
		if err == nil {
			err = r.Ack(seq, id, 40+seq)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(r.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// eventRecord is a record as the bridge writes it.
func eventRecord(i int) []byte { return recordOf(i, "", "") }

// tracedRecord is one whose request carried a trace context.
func tracedRecord(i int) []byte {
	return recordOf(i, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
}

func recordOf(i int, parent, state string) []byte {
	at := fmt.Sprintf("2026-11-23T09:00:%02d.000000Z", i)
	env := forward.Envelope{
		Subject: []byte("stream.publish_done"), Type: []byte("bintu.publish_done"), Time: []byte(at),
		Source: []byte("/bridge/edge-1"), About: []byte("show"),
		TraceParent: []byte(parent), TraceState: []byte(state),
	}
	return fmt.Appendf(env.AppendRecord(nil), `%sreceived_at":"%s","bridge":"edge-1","call":"publish_done","name":"show","custom":{"i":"%d"}}`,
		subjects.NoIDPrefix, at, i)
}

func first(dir string) string { return filepath.Join(dir, "00000000000000000001.seg") }

func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// recordOffset is where the nth record begins: all are of one size.
func recordOffset(n int) int {
	return 64 + (n-1)*((16+len(eventRecord(0))+7)&^7)
}

func flip(b []byte, at int) []byte { b[at] ^= 0x20; return b }

func cutTail(b []byte) []byte { return b[:len(b)-40] }

func addZeros(b []byte) []byte { return append(b, make([]byte, 2048)...) }

// Every version reads the spools of every released one: the tool, and the bridge.
func TestReleasedFormats(t *testing.T) {
	for name, build := range fixtures() {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(spools, name)
			if *writeSpools {
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
				build(t, filepath.Join(dir, "spool"))
			}
			before := contents(t, dir)
			for file, args := range map[string][]string{
				"inspect.txt": {"inspect"}, "inspect.json": {"inspect", "-o", "json"}, "verify.txt": {"verify"},
				"export.jsonl": {"export"}, "lost.jsonl": {"export", "--lost"},
			} {
				golden(t, filepath.Join(dir, file), call(t, append(append([]string{"spool"}, args...), dir)...))
			}
			if after := contents(t, dir); after != before {
				t.Errorf("reading has changed the folder:\n%s\nwas\n%s", after, before)
			}
			compareWithBridge(t, dir)
		})
	}
}

// call runs the tool and returns what it wrote, and its exit code when that is not 0.
func call(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	code := callTool(t.Context(), streams{&out, &errs}, func(string) string { return "" }, args)
	text := out.String() + errs.String()
	if code != 0 {
		text += fmt.Sprintf("exit code %d\n", code)
	}
	return text
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *writeSpools {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// contents lists the spool's files with size and time of change.
func contents(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "spool"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, e.Name(), info.Size(), info.ModTime())
	}
	return b.String()
}

// compareWithBridge looks whether the bridge itself reads what the tool says it will send.
func compareWithBridge(t *testing.T, fixture string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(fixture, "spool"))); err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(call(t, "spool", "export", "--unacked", dir)) {
		var e exported
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if !e.Lost {
			want = append(want, e.ID)
		}
	}
	if got := bridgeReads(t, dir); !slices.Equal(got, want) {
		t.Errorf("the bridge reads %q, the tool %q", got, want)
	}
}

// bridgeReads returns the ids of what the bridge would send.
func bridgeReads(t *testing.T, dir string) []string {
	t.Helper()
	s, err := spool.Open(spool.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	r := s.Reader()
	var ids []string
	for {
		seq, id, payload, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if payload == nil {
			break
		}
		ids = append(ids, string(subjects.AppendID(nil, id, seq)))
	}
	if err := errors.Join(r.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	return ids
}
