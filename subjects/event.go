package subjects

import "time"

// Event is one thing the sender asked or told, as every consumer reads it.
// Strings are the sender's text, decoded. FlashVer, SWFURL, TCURL and PageURL
// are the client's own claims, and Custom is what the publisher or player put
// on the stream name: neither proves anything.
//
// The tags are for decoding; AppendJSON is what writes an event.
type Event struct {
	ID         string    `json:"id"`          // unique: "<spool id>-<sequence>", see ParseID
	ReceivedAt time.Time `json:"received_at"` // the bridge's clock, microseconds, UTC
	Bridge     string    `json:"bridge"`      // BRIDGE_NAME of the bridge that answered
	Call       string    `json:"call"`        // as sent; an alias is written as the call it stands for

	Name     string `json:"name"`     // of the stream
	App      string `json:"app"`      // of the media server
	Addr     string `json:"addr"`     // of the client: IPv4, IPv6 or "unix:..."
	ClientID string `json:"clientid"` // the server's connection counter: repeats across servers and restarts

	// Only where the call has them; "" is absent.
	Type      string `json:"type"`      // of a publish: live, record or append
	FlashVer  string `json:"flashver"`  // client software
	SWFURL    string `json:"swfurl"`    // player
	TCURL     string `json:"tcurl"`     // what the client connected to
	PageURL   string `json:"pageurl"`   // page of the player
	Recorder  string `json:"recorder"`  // of a record_done
	Path      string `json:"path"`      // of the recorded file
	BytesIn   Number `json:"bytes_in"`  // bytes; 32 bits on the wire, starts over near 4 GB
	BytesOut  Number `json:"bytes_out"` // bytes; wraps at 4 GiB
	Time      Number `json:"time"`      // seconds since the stream was accepted
	Timestamp Number `json:"timestamp"` // milliseconds of the last packet; negative after 24.8 days
	Start     Number `json:"start"`     // of a play, as the player sent it; a negative one comes as a large number
	Duration  Number `json:"duration"`  // of a play, as the player sent it
	Reset     Number `json:"reset"`     // of a play, as the player sent it
	Epoch     Number `json:"epoch"`     // of a connect

	Custom   Fields           `json:"custom"`
	Decision *Decision        `json:"decision"` // calls that ask
	Shadow   []ShadowDecision `json:"shadow"`   // rules under trial that matched; at most 8, those first that would decide first
	Extra    Fields           `json:"extra"`    // trusted fields this version does not know
	Raw      string           `json:"raw"`      // the whole body, only where decoding lost something
}

// The effects of a Decision. What is not EffectAllow is a denial.
const (
	EffectAllow = "allow"
	EffectDeny  = "deny"
)

// Decision is what was answered, and why.
type Decision struct {
	Effect     string `json:"effect"`       // EffectAllow or EffectDeny
	Rule       string `json:"rule"`         // "<document>/<rule id>", "" when no rule matched
	Reason     string `json:"reason"`       // the rule's reason, or why no rule was asked
	Revision   uint64 `json:"revision"`     // of the rule set
	RulesAgeMS int64  `json:"rules_age_ms"` // milliseconds since the rules were last known to be current
}

// ShadowDecision is what a rule under trial would have answered.
type ShadowDecision struct {
	Rule   string `json:"rule"`
	Effect string `json:"effect"`
}
