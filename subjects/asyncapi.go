package subjects

import (
	_ "embed" // the document without its schemas
	"encoding/json"
	"fmt"
	"strings"
)

//go:embed asyncapi.template.json
var asyncAPITemplate []byte

// AsyncAPI returns the AsyncAPI 3.0 document of the public contract: subjects, headers
// and the schemas of their messages. It fails only when an embedded file is broken.
func AsyncAPI() ([]byte, error) {
	var doc map[string]any
	if err := json.Unmarshal(asyncAPITemplate, &doc); err != nil {
		return nil, fmt.Errorf("asyncapi: %w", err)
	}
	components, _ := doc["components"].(map[string]any)
	schemas, ok := components["schemas"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("asyncapi: the template has no components.schemas")
	}
	for name, text := range map[string]string{
		"event": eventSchema, "session": sessionSchema, "rule": ruleSchema, "subscription": subscriptionSchema,
	} {
		var schema map[string]any
		if err := json.Unmarshal([]byte(text), &schema); err != nil {
			return nil, fmt.Errorf("asyncapi: schema %s: %w", name, err)
		}
		addSchema(schemas, name, schema)
	}
	return json.MarshalIndent(doc, "", "  ")
}

// addSchema puts a schema, and those it defines for itself, among schemas. A reference in
// an AsyncAPI document goes from the root of the document, so definitions move there.
func addSchema(schemas map[string]any, name string, schema map[string]any) {
	definitions, _ := schema["$defs"].(map[string]any)
	for _, key := range []string{"$schema", "$id", "$defs"} {
		delete(schema, key)
	}
	schemas[name] = schema
	turnReferences(schema, name)
	for defined, s := range definitions {
		turnReferences(s, name)
		schemas[name+"-"+defined] = s
	}
}

func turnReferences(v any, name string) {
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			if text, isText := member.(string); isText && key == "$ref" {
				v[key] = strings.Replace(text, "#/$defs/", "#/components/schemas/"+name+"-", 1)
				continue
			}
			turnReferences(member, name)
		}
	case []any:
		for _, item := range v {
			turnReferences(item, name)
		}
	}
}
