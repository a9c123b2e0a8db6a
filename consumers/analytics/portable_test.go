package analytics

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// newerThan340 is what SQLite learned after 3.40, of what a view might want. An older one makes
// NULL of an unknown modifier without a word.
var newerThan340 = regexp.MustCompile(`(?i)'(subsec|subsecond|ceiling|floor)'|\b(timediff|octet_length|concat|concat_ws|string_agg|unhex|jsonb\w*|json_pretty|unistr|percentile\w*|median|if)\s*\(|[^a-z]%[efgGIklpPRTuU]`)

// The views are for every program that reads SQLite, that of Debian 12 (3.40) too.
func TestMigrationsUseNothingNew(t *testing.T) {
	for _, query := range []string{`unixepoch(x, 'subsec')`, `concat(a, b)`, `strftime('%F', x)`} {
		if !newerThan340.MatchString(query) {
			t.Errorf("%s is not found", query)
		}
	}
	steps, err := dialect{migrations: "sqlite"}.steps()
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range steps {
		if found := newerThan340.FindString(step); found != "" {
			t.Errorf("migration %d has %q", i+1, found)
		}
	}
}

// The command sqlite3 of this machine, whatever its version, reads the same as this program.
func TestViewsInTheCommand(t *testing.T) {
	command, err := exec.LookPath("sqlite3")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("sqlite3 is not installed")
		}
		t.Skip("sqlite3 is not installed")
	}
	path := filepath.Join(t.TempDir(), "a.db")
	s := open(t, "sqlite://"+path)
	if err := s.WriteSessions(t.Context(), pointers(
		play("p-1", "lobby", nine, 90*time.Second+250*time.Millisecond), play("p-2", "lobby", nine.Add(time.Hour), 1500*time.Millisecond),
		publish("q-1", "lobby", nine, 10*time.Minute), publish("q-2", "lobby", nine.Add(20*time.Minute), 10*time.Minute),
	)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for query, want := range map[string]string{
		"SELECT watch_seconds FROM watch_by_day":                                                      "91.75",
		"SELECT watch_seconds FROM top_streams":                                                       "91.75",
		"SELECT round(live_seconds, 3), round(span_seconds, 3), round(uptime, 3) FROM publish_uptime": "1200.0|1800.0|0.667",
	} {
		got, err := exec.CommandContext(ctx, command, "-readonly", path, query).CombinedOutput()
		if err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s: %s, want %s (%v)", query, got, want, err)
		}
	}
}
