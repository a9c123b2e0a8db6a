package main

import (
	"os"
	"path/filepath"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
	"bintubridge/subjects/schematest"
)

// What the tool stores in the bucket of the rules, new, imported and rolled back, fits the schema of rule documents.
func TestStoredRulesFitTheSchema(t *testing.T) {
	fits := schematest.Compile(t, subjects.RuleSchema())
	server := startFor(t, bridgetest.User{Name: "tool", Publish: []string{">"}, Subscribe: []string{">"}})
	tool := func(args ...string) {
		t.Helper()
		if code, out, errs := runAs(t, server, "tool", args...); code != 0 {
			t.Fatalf("%v: exit code %d: %s%s", args, code, out, errs)
		}
	}
	documents := t.TempDir()
	files, err := filepath.Glob("../../testdata/rules/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../../testdata/tour/rules.json") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(documents, filepath.Base(file)), string(text))
	}
	tool("rules", "import", documents)
	first := filepath.Join(t.TempDir(), "first.json")
	writeFile(t, first, "\n{ \"rules\" : [ { \"id\" : \"a\", \"effect\":\"deny\", \"reason\":\"\\u003cno\\u003e\" } ] }\n")
	tool("rules", "put", "acme", first)
	writeFile(t, first, `{"rules":[]}`)
	tool("rules", "put", "acme", first)
	tool("rules", "rollback", "acme")

	kv, err := server.JetStream().KeyValue(t.Context(), subjects.BucketRules)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := kv.Keys(t.Context())
	if err != nil || len(keys) < 2 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	for _, key := range keys {
		versions, err := kv.History(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		for _, version := range versions {
			if err := fits(version.Value()); err != nil {
				t.Errorf("%s at %d: %v: %s", key, version.Revision(), err, version.Value())
			}
		}
	}
}
