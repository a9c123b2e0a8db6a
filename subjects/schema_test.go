package subjects_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"bintubridge/subjects"
	"bintubridge/subjects/schematest"

	"pgregory.net/rapid"
)

func TestEventsFitTheSchema(t *testing.T) {
	fits := schematest.Compile(t, subjects.EventSchema())
	for name, e := range golden() {
		if err := fits(e.AppendJSON(nil)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		e := genEvent(anyBytes()).Draw(t, "event")
		data := e.AppendJSON(nil)
		if err := fits(data); err != nil {
			t.Fatalf("%v: %s", err, data)
		}
	})
}

// One change makes a good event a bad one; the last few keep it good.
func TestSchemaRefusesWrongEvents(t *testing.T) {
	tests := []struct {
		name, key string
		value     any // nil deletes the key
		good      bool
	}{
		{"no id", "id", nil, false},
		{"empty id", "id", "", false},
		{"id without sequence", "id", "bXk2", false},
		{"id with leading zeros", "id", "bXk2-01", false},
		{"no time", "received_at", nil, false},
		{"time without micros", "received_at", "2026-11-23T09:00:00Z", false},
		{"time that never was", "received_at", "2026-13-23T09:00:00.123456Z", false},
		{"time with a zone", "received_at", "2026-11-23T09:00:00.123456+01:00", false},
		{"no bridge", "bridge", nil, false},
		{"no call", "call", nil, false},
		{"no name", "name", nil, false},
		{"name a number", "name", 1, false},
		{"no app", "app", nil, false},
		{"no addr", "addr", nil, false},
		{"no clientid", "clientid", nil, false},
		{"clientid a number", "clientid", 123456, false},
		{"no custom", "custom", nil, false},
		{"custom a list", "custom", []string{}, false},
		{"custom with a number", "custom", map[string]any{"a": 1}, false},
		{"empty type", "type", "", false},
		{"bytes a fraction", "bytes_in", 1.5, false},
		{"bytes beyond 64 bits", "bytes_in", json.Number("18446744073709551615"), false},
		{"bytes a boolean", "bytes_out", true, false},
		{"bytes empty", "bytes_out", "", false},
		{"decision without rule", "decision", map[string]any{"effect": "allow", "reason": "", "revision": 1, "rules_age_ms": 1}, false},
		{"another effect", "decision", map[string]any{"effect": "maybe", "rule": "", "reason": "", "revision": 1, "rules_age_ms": 1}, false},
		{"negative revision", "decision", map[string]any{"effect": "deny", "rule": "", "reason": "", "revision": -1, "rules_age_ms": 1}, false},
		{"empty shadow", "shadow", []any{}, false},
		{"shadow without effect", "shadow", []any{map[string]any{"rule": "a/b"}}, false},
		{"empty extra", "extra", map[string]any{}, false},
		{"empty raw", "raw", "", false},
		{"a field of a later version", "region", map[string]any{"x": 1}, true},
		{"a number as text", "start", "18446744073709551615", true},
		{"a new field of the decision", "decision", map[string]any{"effect": "deny", "rule": "", "reason": "", "revision": 1, "rules_age_ms": 1, "cost": 2}, true},
	}
	fits := schematest.Compile(t, subjects.EventSchema())
	event := golden()["publish_done.json"]
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var object map[string]any
			if err := json.Unmarshal(event.AppendJSON(nil), &object); err != nil {
				t.Fatal(err)
			}
			if tt.value == nil {
				delete(object, tt.key)
			} else {
				object[tt.key] = tt.value
			}
			data, err := json.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			if err := fits(data); (err == nil) != tt.good {
				t.Errorf("error is %v, want a good event: %v", err, tt.good)
			}
		})
	}
}

// Every field of Event is in the schema, every description is there, and
// nobody can change the schema of others.
func TestSchemaDescribesEveryField(t *testing.T) {
	var doc struct {
		Properties map[string]struct{ Description string }
		Defs       map[string]struct{ Description string } `json:"$defs"`
	}
	if err := json.Unmarshal(subjects.EventSchema(), &doc); err != nil {
		t.Fatal(err)
	}
	event := reflect.TypeFor[subjects.Event]()
	if event.NumField() != len(doc.Properties) {
		t.Errorf("Event has %d fields, the schema %d", event.NumField(), len(doc.Properties))
	}
	for i := range event.NumField() {
		if key := event.Field(i).Tag.Get("json"); doc.Properties[key].Description == "" {
			t.Errorf("%q has no description", key)
		}
	}
	clear(subjects.EventSchema())
	if !json.Valid(subjects.EventSchema()) {
		t.Error("a caller changed the schema")
	}
}
