package decide

import (
	"fmt"

	"bintubridge/subjects"
)

// Effect is what a rule or a decision says. The zero value is Deny.
type Effect uint8

// The effects.
const (
	Deny Effect = iota
	Allow
)

// ParseEffect reads "allow" or "deny", in exactly this spelling. On an error
// the effect is Deny.
func ParseEffect(text string) (Effect, error) {
	switch text {
	case "allow":
		return Allow, nil
	case "deny":
		return Deny, nil
	}
	return Deny, fmt.Errorf(`effect %s: want "allow" or "deny"`, quote(text))
}

// String returns "allow" or "deny". Anything that is not Allow is "deny".
func (e Effect) String() string {
	if e == Allow {
		return "allow"
	}
	return "deny"
}

// MarshalText returns what String does.
func (e Effect) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// Reasons of decisions that no rule made.
const (
	ReasonDefault   = "default"    // no rule matched
	ReasonEmptyName = "empty_name" // publish or play without a stream name, whatever the rules say
	ReasonLongName  = "long_name"  // a name longer than senders pass on, whatever the rules say
	ReasonNotAsked  = "not_asked"  // the call only tells; nobody should have asked
)

// Input is what the rules may look at. Strings are decoded.
type Input struct {
	Call     subjects.Call
	Name     string
	App      string
	Addr     string // IPv4 or IPv6 as the sender wrote it; anything else is in no network
	ClientID string

	// "" where the call has none. All but Type are the client's claims.
	Type, FlashVer, SWFURL, TCURL, PageURL string

	Custom *subjects.Fields // what the client chose; nil: nothing
	Keys   *Keys            // what tokens are checked with; nil: no token is good
}

// Decision is the answer to one request. The zero Decision is a denial.
type Decision struct {
	Effect Effect
	Rule   string // "<document>/<rule id>", "" when no rule decided
	Reason string // the rule's own reason, or one of the Reason constants
}

// Defaults answer publish and play when no rule matches. The zero value denies.
type Defaults struct {
	Publish Effect
	Play    Effect
}

// decide answers for a call that asks and that no rule matched. Only publish
// and play have a default to choose: the other calls concern a client that was
// let in before, and cutting it needs a rule that says so.
func (d Defaults) decide(call subjects.Call) Decision {
	effect := Allow
	switch call {
	case subjects.Publish:
		effect = d.Publish
	case subjects.Play:
		effect = d.Play
	}
	return Decision{Effect: effect, Reason: ReasonDefault}
}
