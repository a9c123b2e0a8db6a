package subjects

// The JetStream streams.
const (
	StreamEvents     = "EVENTS"     // what the webhook brought: stream.>
	StreamSessions   = "SESSIONS"   // what consumers/sessions derives from it: session.>
	StreamDead       = "DEAD"       // what a consumer gave up on: dead.>
	StreamDeliveries = "DELIVERIES" // what consumers/notify has to deliver: delivery.<subscription>
)

// The KV buckets.
const (
	BucketRules         = "rules"          // rule documents; BRIDGE_RULES_BUCKET may name another
	BucketLive          = "live"           // one key a live publish
	BucketBridges       = "bridges"        // one key a bridge
	BucketSubscriptions = "subscriptions"  // who is notified of what, by consumers/notify
	BucketChatRooms     = "chat_rooms"     // which streams are told of in which chat rooms, by consumers/chat
	BucketSessionsState = "sessions_state" // lease and checkpoint of consumers/sessions
	BucketChatState     = "chat_state"     // what consumers/chat has told its rooms
)

// ReservedBucket reports whether the bucket of this name has another use than rules.
func ReservedBucket(name string) bool {
	switch name {
	case BucketLive, BucketBridges, BucketSubscriptions, BucketChatRooms, BucketSessionsState, BucketChatState:
		return true
	}
	return false
}

// The subjects to subscribe to.
const (
	AllEvents     = "stream.>"
	AllDenied     = "stream.denied.>"
	AllUnknown    = "stream.unknown.>"
	AllInvalid    = "stream.invalid.>"
	AllSessions   = "session.>"
	AllDead       = "dead.>"
	AllDeliveries = "delivery.>"
)

// The subjects of sessions, derived by consumers/sessions.
const (
	SessionStarted = "session.started"
	SessionResumed = "session.resumed"
	SessionEnded   = "session.ended"
	SessionLost    = "session.lost"
)
