// Package schematest holds bytes against the JSON Schemas of the contract, for tests.
package schematest

import (
	"bytes"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Compile returns what checks data against a schema, formats too. Data that is no JSON ends the
// test: it would look refused for what it says.
func Compile(t testing.TB, schema []byte) (check func(data []byte) error) {
	t.Helper()
	return compile(t, schema, "")
}

// CompilePart is Compile for the schema of this name in an AsyncAPI document.
func CompilePart(t testing.TB, asyncapi []byte, name string) (check func(data []byte) error) {
	t.Helper()
	return compile(t, asyncapi, "#/components/schemas/"+name)
}

func compile(t testing.TB, document []byte, part string) func([]byte) error {
	t.Helper()
	const url = "contract.json"
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		t.Fatalf("the schema is no JSON: %v", err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(url, doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(url + part)
	if err != nil {
		t.Fatal(err)
	}
	return func(data []byte) error {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("no JSON: %v: %s", err, data)
		}
		return schema.Validate(value)
	}
}
