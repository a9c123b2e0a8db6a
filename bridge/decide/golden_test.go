package decide

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bintubridge/subjects"
)

// TestGoldenDecisions holds the documents under testdata/rules to the decisions
// under testdata/rules/expected. They are the contract with those who write
// rules: a change here changes what their documents mean.
func TestGoldenDecisions(t *testing.T) {
	const folder = "../../testdata/rules"
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no rule documents: %v", err)
	}
	for _, file := range files {
		key := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(key, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			table := NewTable(1, Defaults{}, []*Document{mustCompile(t, key, string(data))})
			expected, err := os.ReadFile(filepath.Join(folder, "expected", filepath.Base(file)))
			if err != nil {
				t.Fatal(err)
			}
			var cases []struct {
				Why, Call, Name, App, Addr string
				Custom                     [][2]string
				At                         time.Time
				Effect, Rule, Reason       string
			}
			if err := json.Unmarshal(expected, &cases); err != nil || len(cases) == 0 {
				t.Fatalf("%d cases: %v", len(cases), err)
			}
			for _, c := range cases {
				in := Input{Call: subjects.ParseCall(c.Call), Name: c.Name, App: c.App, Addr: c.Addr, Custom: &subjects.Fields{}}
				for _, pair := range c.Custom {
					in.Custom.Add(pair[0], pair[1])
				}
				got := table.Decide(&in, c.At)
				if got.Effect.String() != c.Effect || got.Rule != c.Rule || got.Reason != c.Reason {
					t.Errorf("%s: got %+v, want %s %s %q", c.Why, got, c.Effect, c.Rule, c.Reason)
				}
			}
		})
	}
}
