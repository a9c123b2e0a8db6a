package subjects

import "time"

// BridgeInterval is how often a bridge writes its status at least. Its key ends
// by itself some 30 s after the last write.
const BridgeInterval = 5 * time.Second

// BridgeKey returns the key of a bridge's status in the bucket BucketBridges:
// its name as AppendToken encodes it.
func BridgeKey(name string) string { return string(AppendToken(nil, name)) }

// BridgeStatus is what a running bridge says of itself: the JSON value of its
// key in BucketBridges. It is written every BridgeInterval, and within half a
// second of a change of the rules. A bridge that stops deletes its key. Fields
// are added in later versions, never renamed or retyped: ignore what you do not
// know.
type BridgeStatus struct {
	Bridge   string    `json:"bridge"`   // BRIDGE_NAME
	Instance string    `json:"instance"` // another one for each start; two that take turns are two bridges of one name
	Shared   bool      `json:"shared"`   // another bridge writes this key too
	Version  string    `json:"version"`
	Dialect  string    `json:"dialect"` // BRIDGE_DIALECT
	Started  time.Time `json:"started"`
	Time     time.Time `json:"time"` // of this status, by the bridge's clock

	Rules  BridgeRules  `json:"rules"`
	Spool  BridgeSpool  `json:"spool"`
	Events BridgeEvents `json:"events"`
	NATS   BridgeNATS   `json:"nats"`
}

// BridgeRules says which rules a bridge decides by.
type BridgeRules struct {
	Bucket        string          `json:"bucket"`                  // BRIDGE_RULES_BUCKET
	BucketCreated time.Time       `json:"bucket_created,omitzero"` // a bucket made anew counts its revisions from 1 again
	Source        string          `json:"source"`                  // none, snapshot or kv
	Revision      uint64          `json:"revision"`                // all pushes up to this revision of the bucket were taken in
	AgeMS         int64           `json:"age_ms"`                  // since they were last known to be current
	Stale         bool            `json:"stale"`                   // older than BRIDGE_RULES_STALE_AFTER
	Trouble       string          `json:"trouble,omitempty"`
	Documents     int             `json:"documents"` // in force
	Rules         int             `json:"rules"`     // in force
	InvalidCount  int             `json:"invalid_count"`
	Invalid       []BridgeInvalid `json:"invalid,omitempty"` // the first by key, as many as fit; InvalidCount counts all
}

// BridgeInvalid is a rule document that a bridge refused. The last good version
// of its key that the bridge knows is in force: bridges that were away may know
// another one than those that were there, when the bucket no longer has it.
type BridgeInvalid struct {
	Key      string `json:"key"` // as stored; quote it, it may hold anything
	Revision uint64 `json:"revision"`
	InForce  uint64 `json:"in_force"` // revision of the version in force; 0: none
	Error    string `json:"error"`    // may be cut
}

// BridgeSpool says what waits for JetStream.
type BridgeSpool struct {
	Events   uint64 `json:"events"`    // not acked
	Bytes    int64  `json:"bytes"`     // on disk, with what is acked and kept for a while
	OldestMS int64  `json:"oldest_ms"` // age of the oldest event that is not acked, 0: none
}

// BridgeEvents counts webhooks since the bridge started, and the last seconds'
// rate of each a second.
type BridgeEvents struct {
	Answered     uint64  `json:"answered"` // all with a 200, 403 or 400
	Denied       uint64  `json:"denied"`   // of them refused by the rules
	Lost         uint64  `json:"lost"`     // of them not kept, because the spool took none
	AnsweredRate float64 `json:"answered_rate"`
	DeniedRate   float64 `json:"denied_rate"`
	LostRate     float64 `json:"lost_rate"`
}

// BridgeNATS tells of the bridge's connections.
type BridgeNATS struct {
	Publishing bool   `json:"publishing"` // connected
	Watching   bool   `json:"watching"`
	Embedded   bool   `json:"embedded"`       // the server runs inside the bridge
	Failures   uint64 `json:"write_failures"` // times this status could not be written
}
