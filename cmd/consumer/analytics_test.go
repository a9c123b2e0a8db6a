package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"bintubridge/consumers/analytics"
	"bintubridge/subjects"
)

// The report is made of what the database has of the time asked for.
func TestReport(t *testing.T) {
	dsn := "sqlite://" + filepath.Join(t.TempDir(), "new", "a.db")
	store, err := analytics.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	deny := &subjects.Decision{Effect: subjects.EffectDeny, Rule: "acme/x"}
	recent := subjects.Event{ID: "a-1", ReceivedAt: time.Now().Add(-time.Minute), Call: "publish", Addr: "192.0.2.1", Decision: deny}
	old := subjects.Event{ID: "a-2", ReceivedAt: time.Now().Add(-2 * time.Hour), Call: "publish", Addr: "192.0.2.2", Decision: deny}
	if err := store.WriteEvents(t.Context(), []*subjects.Event{&recent, &old}); err != nil {
		t.Fatal(err)
	}
	environ := []string{"CONSUMER_ANALYTICS_DSN=" + dsn}
	page := filepath.Join(t.TempDir(), "report.html")
	var text bytes.Buffer
	if err := execute(t.Context(), newRoot(environ), &text, "analytics", "report", "--since", "1h"); err != nil {
		t.Fatal(err)
	}
	if err := execute(t.Context(), newRoot(environ), io.Discard, "analytics", "report", "--html", page); err != nil {
		t.Fatal(err)
	}
	expectJSONReport(t, environ)
	html, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if got := text.String(); !strings.Contains(got, "192.0.2.1") || strings.Contains(got, "192.0.2.2") {
		t.Errorf("of the last hour:\n%s", got)
	}
	if got := string(html); !strings.Contains(got, "192.0.2.1") || !strings.Contains(got, "192.0.2.2") || !strings.Contains(got, "<svg") {
		t.Errorf("of the last day:\n%s", got)
	}
	if err := execute(t.Context(), newRoot([]string{"CONSUMER_ANALYTICS_DSN=mysql://s3cret"}), io.Discard, "analytics", "report"); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a wrong DSN: %v", err)
	}
}

// expectJSONReport holds the names of the fields, which scripts rely on.
func expectJSONReport(t *testing.T, environ []string) {
	t.Helper()
	var text bytes.Buffer
	if err := execute(t.Context(), newRoot(environ), &text, "analytics", "report", "--since", "1h", "-o", "json"); err != nil {
		t.Fatal(err)
	}
	var report map[string]any
	if err := json.Unmarshal(text.Bytes(), &report); err != nil {
		t.Fatalf("%v: %s", err, text.String())
	}
	refusals, _ := report["refusals"].([]any)
	if len(refusals) != 1 || report["events"] != 1.0 || report["refused"] != 1.0 {
		t.Fatalf("got %s", text.String())
	}
	refusal, _ := refusals[0].(map[string]any)
	if last, err := time.Parse(time.RFC3339, fmt.Sprint(refusal["last"])); err != nil || time.Since(last) > time.Hour {
		t.Errorf("last %v, %v", last, err)
	}
	delete(refusal, "last")
	if want := map[string]any{"rule": "acme/x", "addr": "192.0.2.1", "call": "publish", "refused": 1.0}; !reflect.DeepEqual(refusal, want) {
		t.Errorf("got %v, want %v", refusal, want)
	}
	for _, list := range []string{"audience", "streams", "days", "uptime"} {
		if _, ok := report[list].([]any); !ok {
			t.Errorf("%s is no list: %v", list, report[list])
		}
	}
	for _, args := range [][]string{{"-o", "xml"}, {"-o", "json", "--html", "page.html"}} {
		if err := execute(t.Context(), newRoot(environ), io.Discard, append([]string{"analytics", "report"}, args...)...); err == nil || !strings.Contains(err.Error(), "--output") {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// A path that was mistyped is an error, and nothing is made of it; so is a time to come.
func TestReportOfNothing(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "typo")
	environ := []string{"CONSUMER_ANALYTICS_DSN=sqlite://" + filepath.Join(folder, "a.db")}
	if err := execute(t.Context(), newRoot(environ), io.Discard, "analytics", "report"); !errors.Is(err, analytics.ErrNoDatabase) || !strings.Contains(err.Error(), "there is no database at "+folder) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder: %v", err)
	}
	if err := execute(t.Context(), newRoot(environ), io.Discard, "analytics", "report", "--since", "-1h"); err == nil || !strings.Contains(err.Error(), "--since -1h0m0s") {
		t.Errorf("a time to come: %v", err)
	}
}
