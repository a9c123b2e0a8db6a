package subjects

import (
	_ "embed" // the schemas
)

//go:embed event.schema.json
var eventSchema string

// EventSchema returns the JSON Schema (2020-12) of the event, with a
// description of every field. The caller owns the copy.
func EventSchema() []byte { return []byte(eventSchema) }

//go:embed session.schema.json
var sessionSchema string

// SessionSchema returns the JSON Schema (2020-12) of a session, with a description of every
// field. The caller owns the copy.
func SessionSchema() []byte { return []byte(sessionSchema) }
