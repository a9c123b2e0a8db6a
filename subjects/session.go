package subjects

import (
	"encoding/json"
	"fmt"
	"time"
)

// Session is what the subjects session.* tell: one publisher or player, from the accepted
// request to its end. session.started and session.resumed have no end yet.
type Session struct {
	ID        string    `json:"id"`      // unique: "<session>-started", "-<reconnects>-resumed", "-ended" or "-lost"
	Session   string    `json:"session"` // the id of the event that was accepted; the same in all that is told of a session
	Kind      string    `json:"kind"`    // KindPublish or KindPlay
	Name      string    `json:"name"`    // of the stream
	App       string    `json:"app"`     // of the media server
	Addr      string    `json:"addr"`    // of the client
	ClientID  string    `json:"clientid"`
	Bridge    string    `json:"bridge"`     // that accepted it
	Rule      string    `json:"rule"`       // that allowed it, "<document>/<rule id>"
	Custom    Fields    `json:"custom"`     // what the client put on the stream name: it proves nothing
	StartedAt time.Time `json:"started_at"` // the bridge's clock, microseconds, UTC

	ResumedAt time.Time `json:"resumed_at,omitzero"` // only of session.resumed: when the publisher was back

	// Only of session.ended and session.lost, and Reconnects of session.resumed.
	EndedAt     time.Time `json:"ended_at,omitzero"`      // the last that was heard of it
	DurationMS  int64     `json:"duration_ms,omitempty"`  // EndedAt less StartedAt
	HowEnded    string    `json:"how_ended,omitempty"`    // EndedDone, EndedCut or EndedTimeout
	BytesIn     int64     `json:"bytes_in,omitempty"`     // of all its connections, as far as told
	BytesOut    int64     `json:"bytes_out,omitempty"`    // of all its connections, as far as told
	Reconnects  int       `json:"reconnects,omitempty"`   // how often a publisher came back within the grace period
	PeakViewers int       `json:"peak_viewers,omitempty"` // of a publish: most players of the stream at the same time
}

// The kinds of sessions.
const (
	KindPublish = "publish"
	KindPlay    = "play"
)

// How a session ended.
const (
	EndedDone    = "done"    // the media server told so
	EndedCut     = "cut"     // an update was refused, and the media server told the end
	EndedTimeout = "timeout" // nothing was told: session.lost
)

// AppendJSON appends the session as JSON, the id first.
func (s *Session) AppendJSON(dst []byte) ([]byte, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return dst, fmt.Errorf("encode session: %w", err)
	}
	return append(dst, data...), nil
}

// DecodeSession reads the body of a message on session.>. Fields this version does not
// know are ignored.
func DecodeSession(data []byte) (Session, error) {
	var s Session
	if err := json.Unmarshal(data, &s); err != nil {
		return Session{}, fmt.Errorf("decode session: %w", err)
	}
	for _, at := range []*time.Time{&s.StartedAt, &s.ResumedAt, &s.EndedAt} {
		*at = at.UTC()
		if !isRFC3339(*at) {
			return Session{}, fmt.Errorf("decode session: %v: its year in UTC is beyond RFC 3339", *at)
		}
	}
	return s, nil
}
