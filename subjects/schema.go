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

//go:embed rule.schema.json
var ruleSchema string

// RuleSchema returns the JSON Schema (2020-12) of a rule document, the value of a key of
// the bucket BucketRules. The caller owns the copy.
func RuleSchema() []byte { return []byte(ruleSchema) }

//go:embed subscription.schema.json
var subscriptionSchema string

// SubscriptionSchema returns the JSON Schema (2020-12) of a subscription, the value of a
// key of the bucket BucketSubscriptions. The caller owns the copy.
func SubscriptionSchema() []byte { return []byte(subscriptionSchema) }
