package decide

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bintubridge/subjects"
	"bintubridge/subjects/schematest"
)

// rulesOf puts members of a rule into a document.
func rulesOf(members string) string { return `{"rules":[{"effect":"allow",` + members + `}]}` }

var schemaDocuments = []string{
	`{"rules":[]}`,
	rulesOf(`"id":"a.b-c_1","priority":-2147483648`),
	rulesOf(`"calls":["publish","publish_update","connect"],"name":["*","a"],"app":["live"],"addr":["17.31.0.0/16","::1","::ffff:192.0.2.1"]`),
	rulesOf(`"custom":{"team":["red",""],"key":{"sha256":["` + strings.Repeat("aB", 32) + `"]},"a b":{"present":false}}`),
	rulesOf(`"token":{"type":"hmac","field":"token","keys":["k1"],"bind":["call","name","pageurl"]}`),
	rulesOf(`"token":{"type":"jwt","field":"jwt","keys":["k1","k2"],"alg":["EdDSA","HS256"],"claims":{"sub":{"equals":"name"},"net":{"cidr_contains":"addr"},"role":{"in":["a"]},"rooms":{"contains":"app"}}}`),
	rulesOf(`"when":"custom.tier == 'pro'","not_before":"2026-11-01T00:00:00Z","expires_at":"2026-12-01T00:00:00.5+01:00","shadow":true,"reason":""`),
}

// TestDocumentsFitTheSchema has documents that a bridge takes: the repository's, and
// one for each condition.
func TestDocumentsFitTheSchema(t *testing.T) {
	fits := schematest.Compile(t, subjects.RuleSchema())
	documents := schemaDocuments
	files, err := filepath.Glob("../../testdata/rules/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no rule documents", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, string(text))
	}
	for _, text := range documents {
		if _, err := Compile("d", []byte(text)); err != nil {
			t.Errorf("no document: %v", err)
		}
		if err := fits([]byte(text)); err != nil {
			t.Errorf("%v: %s", err, text)
		}
	}
}

// TestSchemaRefusesWrongDocuments has what neither takes.
func TestSchemaRefusesWrongDocuments(t *testing.T) {
	fits := schematest.Compile(t, subjects.RuleSchema())
	for _, text := range []string{
		`[]`, `{}`, `{"rules":null}`, `{"rules":[],"more":1}`, `{"rules":[1]}`, `{"rules":[{"id":"a"}]}`, `{"rules":[{"effect":"alow"}]}`,
		rulesOf(`"id":""`), rulesOf(`"id":"a/b"`), rulesOf(`"Calls":["play"]`), rulesOf(`"calls":[]`), rulesOf(`"calls":["done"]`), rulesOf(`"calls":"play"`),
		rulesOf(`"priority":2147483648`), rulesOf(`"priority":"1"`), rulesOf(`"name":[""]`), rulesOf(`"name":null`), rulesOf(`"app":["a*"]`),
		rulesOf(`"addr":["example.com"]`), rulesOf(`"addr":["fe80::1%eth0"]`), rulesOf(`"custom":{}`), rulesOf(`"custom":{"a":"b"}`), rulesOf(`"custom":{"":["b"]}`),
		rulesOf(`"custom":{"a":{}}`), rulesOf(`"custom":{"a":{"sha256":["abc"]}}`), rulesOf(`"custom":{"a":{"present":1}}`), rulesOf(`"custom":{"a":{"regex":["."]}}`),
		rulesOf(`"token":{"type":"none"}`), rulesOf(`"token":{"type":"hmac","field":"t","keys":["k"]}`), rulesOf(`"token":{"type":"hmac","field":"t","keys":["k"],"bind":["custom"]}`),
		rulesOf(`"token":{"type":"jwt","field":"t","keys":["k"],"alg":["none"]}`), rulesOf(`"token":{"type":"jwt","field":"t","keys":[],"alg":["EdDSA"]}`),
		rulesOf(`"when":""`), rulesOf(`"when":1`), rulesOf(`"expires_at":"tomorrow"`), rulesOf(`"expires_at":0`), rulesOf(`"shadow":"yes"`),
		rulesOf(`"reason":"` + strings.Repeat("r", 257) + `"`),
	} {
		if _, err := Compile("d", []byte(text)); err == nil {
			t.Errorf("a bridge takes %s", text)
		}
		if err := fits([]byte(text)); err == nil {
			t.Errorf("the schema takes %s", text)
		}
	}
}

// FuzzSchemaTakesWhatCompiles holds the promise of the schema: it refuses no document
// that a bridge takes.
func FuzzSchemaTakesWhatCompiles(f *testing.F) {
	for _, text := range schemaDocuments {
		f.Add([]byte(text))
	}
	fits := schematest.Compile(f, subjects.RuleSchema())
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := Compile("d", text); err != nil {
			return
		}
		if err := fits(text); err != nil {
			t.Fatalf("%v: %q", err, text)
		}
	})
}
