package subjects

import (
	"encoding/json"
	"fmt"
	"time"
)

// DecodeEvent reads the body of a message. Fields this version does not know
// are ignored, since later versions add some. It does not judge: a field the
// body lacks has its zero value.
func DecodeEvent(data []byte) (Event, error) {
	type fields Event // without UnmarshalJSON, which would come back here
	var decoded fields
	if err := json.Unmarshal(data, &decoded); err != nil {
		return Event{}, fmt.Errorf("decode event: %w", err)
	}
	decoded.ReceivedAt = decoded.ReceivedAt.UTC()
	if !isRFC3339(decoded.ReceivedAt) {
		return Event{}, fmt.Errorf("decode event: received_at %v: its year in UTC is beyond RFC 3339", decoded.ReceivedAt)
	}
	return Event(decoded), nil
}

// isRFC3339 reports whether t can be written as it was read: an offset may lead beyond the years there are.
func isRFC3339(t time.Time) bool { return 0 <= t.Year() && t.Year() <= 9999 }

// MarshalJSON is AppendJSON for encoding/json.
func (e Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

// UnmarshalJSON is DecodeEvent for encoding/json.
func (e *Event) UnmarshalJSON(data []byte) error {
	decoded, err := DecodeEvent(data)
	if err != nil {
		return err
	}
	*e = decoded
	return nil
}
