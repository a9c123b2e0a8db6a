package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// hostileTexts would forge a line, or give orders to the terminal that shows it.
var hostileTexts = map[string]string{
	"a line of its own":    "x\ntime=2026-01-01T00:00:00Z level=ERROR msg=forged",
	"CR LF":                "x\r\nlevel=ERROR msg=forged",
	"a member":             `x","level":"ERROR","msg":"forged`,
	"an attribute":         `x" level=ERROR msg=forged y="`,
	"NUL":                  "x\x00y",
	"escape sequence":      "\x1b[2J\x1b]0;owned\x07",
	"C1 escape sequence":   "\u009b2J",
	"DEL and backspace":    "\x7f\b\b",
	"turned around":        "\u202egpj.exe",
	"line separators":      "a\u2028b\u2029c\u0085d",
	"broken UTF-8":         "\xff\xfe\x80",
	"a tag character":      "\U000E0001x",
	"nothing to complain":  "Käse – 東京 🎥",
	"longer than a buffer": strings.Repeat("\u202e", 5000),
}

// plain fails when a line has what cannot be printed, or is not the one line it should be.
func plain(t *testing.T, name, out string) {
	t.Helper()
	line, found := strings.CutSuffix(out, "\n")
	if !found || strings.Contains(line, "\n") || !utf8.ValidString(line) {
		t.Errorf("%s: not one line: %q", name, out)
	}
	if i := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("%s: %q is left in %q", name, line[i:min(len(line), i+4)], line)
	}
}

var quoted = regexp.MustCompile(`"(\\.|[^"\\])*"`)

// Whatever stands in a text, a log line is one line, can be printed, and says so much and
// no more.
func TestLogLinesCannotBeForged(t *testing.T) {
	for _, format := range []LogFormat{LogText, LogJSON} {
		for name, text := range hostileTexts {
			var out bytes.Buffer
			log := NewLog(Config{LogFormat: format}, &out)
			for place, tell := range map[string]func(){
				"value":   func() { log.Warn("m", "k", text) },
				"message": func() { log.Warn("nats: " + text) },
				"error":   func() { log.Warn("m", "error", errors.New(text)) },
				"list":    func() { log.Warn("m", "objects", []string{text}) },
				"key":     func() { log.Warn("m", slog.String(text, "v")) },
			} {
				out.Reset()
				tell()
				plain(t, name+" as "+place, out.String())
				if format == LogText {
					if said := quoted.ReplaceAllString(out.String(), ""); strings.Count(said, "level=") != 1 || strings.Contains(said, "forged") {
						t.Errorf("%s as %s: %s", name, place, out.String())
					}
					continue
				}
				var line map[string]any
				if err := json.Unmarshal(out.Bytes(), &line); err != nil || line["level"] != "WARN" {
					t.Errorf("%s as %s: %v %v", name, place, line, err)
				}
				if want := strings.ToValidUTF8(text, "\uFFFD"); place == "value" && name != "a tag character" && name != "broken UTF-8" && line["k"] != want {
					t.Errorf("%s: %q reads as %q", name, want, line["k"])
				}
			}
		}
	}
}

// failing is a full disk.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestLogWritesAreReported(t *testing.T) {
	for _, line := range []string{"plain\n", "\u202e\n"} {
		if n, err := (printable{failing{}}).Write([]byte(line)); n != 0 || err == nil {
			t.Errorf("%q: %d, %v", line, n, err)
		}
		var out bytes.Buffer
		if n, err := (printable{&out}).Write([]byte(line)); n != len(line) || err != nil {
			t.Errorf("%q: %d, %v", line, n, err)
		}
	}
}
