package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"bintubridge/bridge/bridgetest"
)

// screen is a pseudo terminal, and what was written to it.
type screen struct {
	*os.File
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func openScreen(t *testing.T) *screen {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	var number, unlocked uint32
	control(t, master, syscall.TIOCSPTLCK, &unlocked)
	control(t, master, syscall.TIOCGPTN, &number)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{File: slave}
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			s.mu.Lock()
			s.text.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return // the other end is closed
			}
		}
	}()
	t.Cleanup(func() {
		_ = slave.Close()
		<-read
		_ = master.Close()
	})
	return s
}

func control(t *testing.T, f *os.File, request uintptr, value *uint32) {
	t.Helper()
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 { //nolint:gosec // the call's way
		t.Fatal(errno)
	}
}

// all returns what was written so far.
func (s *screen) all(t *testing.T) string {
	t.Helper()
	const mark = "<mark>"
	if _, err := s.WriteString(mark); err != nil {
		t.Fatal(err)
	}
	bridgetest.Eventually(t, "all is read", func() bool { return strings.HasSuffix(s.String(), mark) })
	return strings.TrimSuffix(s.String(), mark)
}

// Progress is on a terminal, and goes when the command ends. It is nowhere else.
func TestProgressIsForTerminals(t *testing.T) {
	server := startAll(t)
	folder := t.TempDir()
	for i := range 30 {
		writeFile(t, filepath.Join(folder, fmt.Sprintf("k%d.json", i)), `{"rules":[]}`)
	}
	environ := map[string]string{"NATS_URL": server.URL()}
	command := func(out, err io.Writer, args ...string) {
		t.Helper()
		if code := callTool(t.Context(), streams{out: out, err: err}, func(name string) string { return environ[name] }, args); code != 0 {
			t.Fatalf("%v: exit code %d", args, code)
		}
	}
	for range 30 {
		if _, err := server.JetStream().Publish(t.Context(), "stream.play", []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	letters := filepath.Join(t.TempDir(), "letters.jsonl")
	var text bytes.Buffer
	command(&text, io.Discard, "spool", "export", filepath.Join(spools, "clean"))
	writeFile(t, letters, text.String())
	damaged := filepath.Join(t.TempDir(), "damaged")
	if err := os.CopyFS(damaged, os.DirFS(filepath.Join(spools, "damaged"))); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		args  []string
		both  bool   // standard output is the terminal, too
		shown string // "" is nothing
	}{
		{"import", []string{"rules", "import", folder}, false, "of 30 documents"},
		{"quiet", []string{"rules", "import", folder, "--quiet"}, false, ""},
		{"JSON", []string{"rules", "import", folder, "-o", "json"}, false, ""},
		{"lines on the same terminal", []string{"rules", "import", folder}, true, ""},
		{"export", []string{"rules", "export", filepath.Join(folder, "out")}, false, "of 30 documents"},
		{"replay", []string{"rules", "replay", "--put", "k1=", "--since", "1h"}, false, "of 30 events"},
		{"replay as JSON", []string{"rules", "replay", "--put", "k1=", "--since", "1h", "-o", "json"}, false, ""},
		{"redrive", []string{"spool", "redrive", "--file", letters}, false, " line"},
		{"spool export", []string{"spool", "export", filepath.Join(spools, "clean")}, false, " record"},
		{"spool export as JSON", []string{"spool", "export", "-o", "json", filepath.Join(spools, "clean")}, false, ""},
		{"spool inspect", []string{"spool", "inspect", filepath.Join(spools, "clean")}, false, " segment"},
		{"spool verify", []string{"spool", "verify", filepath.Join(spools, "clean")}, false, " segment"},
		{"spool verify, quiet", []string{"spool", "verify", "-q", filepath.Join(spools, "clean")}, false, ""},
		{"spool verify as JSON", []string{"spool", "verify", "-o", "json", filepath.Join(spools, "clean")}, false, ""},
		{"spool repair", []string{"spool", "repair", damaged}, false, " segment"},
		{"spool repair as JSON", []string{"spool", "repair", "-o", "json", damaged}, false, ""},
		{"lint", []string{"rules", "lint"}, false, " document"},
		{"lint of a folder", []string{"rules", "lint", filepath.Join(folder, "out")}, false, " document"},
		{"lint as JSON", []string{"rules", "lint", "-o", "json"}, false, ""},
		{"spool export on the same terminal", []string{"spool", "export", filepath.Join(spools, "clean")}, true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := openScreen(t)
			var out io.Writer = s.File
			if !tt.both {
				out = io.Discard
			}
			command(out, s.File, tt.args...)
			text := s.all(t)
			if tt.shown == "" && strings.Contains(text, "\x1b") {
				t.Errorf("shown: %q", text)
			}
			if !strings.Contains(text, tt.shown) || tt.shown != "" && !strings.HasSuffix(text, "\r\x1b[K") {
				t.Errorf("want %q, and gone at the end: %q", tt.shown, text)
			}
		})
	}
	var errs bytes.Buffer
	command(io.Discard, &errs, "rules", "export", filepath.Join(folder, "more"))
	if errs.Len() > 0 {
		t.Errorf("where there is no terminal: %q", errs.String())
	}
}

// An evening shows how far it is by the same rules.
func TestProgressOfAnEvening(t *testing.T) {
	webhook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer webhook.Close()
	for _, test := range []struct {
		args  []string
		shown bool
	}{{nil, true}, {[]string{"-q"}, false}, {[]string{"-o", "json"}, false}} {
		s := openScreen(t)
		args := append([]string{"simulate", "--url", webhook.URL, "--duration", "1s", "--viewers", "1"}, test.args...)
		if code := callTool(t.Context(), streams{out: io.Discard, err: s.File}, func(string) string { return "" }, args); code != 0 {
			t.Fatalf("%v: exit code %d: %s", args, code, s.all(t))
		}
		if text := s.all(t); strings.Contains(text, "\x1b") != test.shown {
			t.Errorf("%v: %q", args, text)
		}
	}
}

// Colour is for a terminal whose owner wants it.
func TestColourIsForTerminals(t *testing.T) {
	server := startAll(t)
	if _, err := server.JetStream().Publish(t.Context(), "stream.play", []byte(`{"call":"play","decision":{"effect":"allow"}}`)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"": true, "1": false} {
		s := openScreen(t)
		environ := map[string]string{"NATS_URL": server.URL(), "NO_COLOR": name}
		code := callTool(t.Context(), streams{out: s.File, err: io.Discard}, func(name string) string { return environ[name] }, []string{"tail", "--no-follow"})
		if text := s.all(t); code != 0 || !strings.Contains(text, "play") || strings.Contains(text, "\x1b[32m") != want {
			t.Errorf("NO_COLOR=%s: exit code %d: %q", name, code, text)
		}
	}
}

// A stage begins to count anew; that of a spool's segments learns how many there are.
func TestProgressStages(t *testing.T) {
	p := &progress{}
	p.next("document", 2)
	p.add(2)
	p.next("event", 4)
	p.add(1)
	if s := p.now.Load(); s.count(time.Second) != "1 of 4 events, 25 %, 1/s" {
		t.Error(s.count(time.Second))
	}
	p.next("segment", 0)
	p.segments(1, 2)
	p.segments(2, 3)
	if s := p.now.Load(); s.count(time.Second) != "2 of 3 segments, 66 %, 2/s" {
		t.Error(s.count(time.Second))
	}
}

func TestProgressLine(t *testing.T) {
	for want, s := range map[string]*stage{
		"1200 of 4800 events, 25 %, 600/s": {what: "event", total: 4800},
		"1200 events, 600/s":               {what: "event"},
		"1200 of 1 event, 100 %, 600/s":    {what: "event", total: 1}, // more came than was counted
	} {
		s.done.Add(1200)
		if got := s.count(2 * time.Second); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
