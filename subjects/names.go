package subjects

// The JetStream streams.
const (
	StreamEvents   = "EVENTS"   // what the webhook brought: stream.>
	StreamSessions = "SESSIONS" // what consumers/sessions derives from it: session.>
	StreamDead     = "DEAD"     // what a consumer gave up on: dead.>
)

// The KV buckets.
const (
	BucketRules   = "rules"   // rule documents; BRIDGE_RULES_BUCKET may name another
	BucketLive    = "live"    // one key a live publish
	BucketBridges = "bridges" // one key a bridge
)

// The subjects to subscribe to.
const (
	AllEvents   = "stream.>"
	AllDenied   = "stream.denied.>"
	AllUnknown  = "stream.unknown.>"
	AllInvalid  = "stream.invalid.>"
	AllSessions = "session.>"
	AllDead     = "dead.>"
)

// The subjects of sessions, derived by consumers/sessions.
const (
	SessionStarted = "session.started"
	SessionEnded   = "session.ended"
	SessionLost    = "session.lost"
)
