package subjects

import (
	_ "embed" // event.schema.json
)

//go:embed event.schema.json
var eventSchema string

// EventSchema returns the JSON Schema (2020-12) of the event, with a
// description of every field. The caller owns the copy.
func EventSchema() []byte { return []byte(eventSchema) }
