package analytics

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bintubridge/subjects"
)

var update = flag.Bool("update", false, "write the golden reports anew")

// Both databases give the same report, and what publishers chose does no harm in it.
func TestReport(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		evil := `<script>alert("1")</script>` + "\x1b[31m"
		first, again := publish("q-1", "lobby", nine, 10*time.Minute), publish("q-2", "lobby", nine.Add(20*time.Minute), 10*time.Minute)
		again.PeakViewers, again.Reconnects, again.HowEnded = 3, 1, subjects.EndedTimeout
		if err := s.WriteSessions(t.Context(), pointers(
			play("before", "lobby", nine.Add(-24*time.Hour), 24*time.Hour+5*time.Minute), play("long ago", "gone", nine.Add(-48*time.Hour), time.Minute),
			play("p-1", "lobby", nine, 10*time.Minute), play("p-2", evil, nine.Add(5*time.Minute), 10*time.Minute), play("p-3", "lobby", nine.Add(6*time.Minute), 0), first, again,
		)); err != nil {
			t.Fatal(err)
		}
		deny := &subjects.Decision{Effect: "deny", Rule: "acme/x"}
		if err := s.WriteEvents(t.Context(), pointers(
			subjects.Event{ID: "a-0", ReceivedAt: nine.Add(-time.Hour), Call: "publish", Addr: "::2", Decision: deny},
			subjects.Event{ID: "a-1", ReceivedAt: nine, Call: "publish", Addr: "::1", Decision: deny},
			subjects.Event{ID: "a-2", ReceivedAt: nine, Call: "play", Addr: "::1", Decision: &subjects.Decision{Effect: "allow"}},
		)); err != nil {
			t.Fatal(err)
		}
		r, err := s.Report(t.Context(), nine.Add(-time.Minute), nine.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		var text, html bytes.Buffer
		if err := r.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		if err := r.WriteHTML(&html); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text.String()+html.String(), "\x1b") || strings.Contains(html.String(), "<script") {
			t.Error("a publisher's text is not escaped")
		}
		golden(t, "report.txt", text.Bytes())
		golden(t, "report.html", html.Bytes())
	})
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is\n%s", path, got)
	}
}

// An empty database has a report, too.
func TestEmptyReport(t *testing.T) {
	s := open(t, "sqlite://"+filepath.Join(t.TempDir(), "empty.db"))
	r, err := s.Report(t.Context(), nine.Add(-time.Hour), nine)
	if err != nil {
		t.Fatal(err)
	}
	var text, html bytes.Buffer
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "none") {
		t.Errorf("%v\n%s", err, text.String())
	}
	if err := r.WriteHTML(&html); err != nil || !strings.Contains(html.String(), "<polyline") {
		t.Errorf("%v\n%s", err, html.String())
	}
}
