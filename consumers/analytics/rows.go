package analytics

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"bintubridge/consumers"
	"bintubridge/subjects"
)

var eventColumns = []string{"event_id", "received_at", "call", "effect", "rule", "name", "app", "addr", "clientid", "bytes_in", "bytes_out", "custom"}

var sessionColumns = []string{"session_id", "kind", "name", "app", "addr", "clientid", "started_at", "ended_at", "how_ended", "bytes_in", "bytes_out", "reconnects", "peak_viewers"}

// encodeTime makes a time what the database takes.
type encodeTime func(time.Time) any

// eventRow returns the values of eventColumns.
func eventRow(e *subjects.Event, at encodeTime) ([]any, error) {
	custom, err := customJSON(&e.Custom)
	if err != nil {
		return nil, consumers.Permanent(err)
	}
	var effect, rule string
	if e.Decision != nil {
		effect, rule = e.Decision.Effect, e.Decision.Rule
	}
	return []any{
		visible(e.ID), at(e.ReceivedAt), visible(e.Call), visible(effect), visible(rule),
		visible(e.Name), visible(e.App), visible(e.Addr), visible(e.ClientID),
		number(e.BytesIn), number(e.BytesOut), custom,
	}, nil
}

// maxCount is more than any count of a session: the sums of many still have 64 bits.
const maxCount = 1 << 53

// sessionRow returns the values of sessionColumns.
func sessionRow(s *subjects.Session, at encodeTime) ([]any, error) {
	for _, n := range []int64{s.BytesIn, s.BytesOut, int64(s.Reconnects), int64(s.PeakViewers)} {
		if n < 0 || n > maxCount {
			return nil, consumers.Permanent(fmt.Errorf("%w: session %.64q counts %d of something", consumers.ErrMalformed, s.Session, n))
		}
	}
	row := []any{
		visible(s.Session), visible(s.Kind), visible(s.Name), visible(s.App), visible(s.Addr), visible(s.ClientID),
		at(s.StartedAt), nil, nil, nil, nil, nil, nil,
	}
	if !s.EndedAt.IsZero() {
		end := []any{at(s.EndedAt), visible(s.HowEnded), s.BytesIn, s.BytesOut, int64(s.Reconnects), int64(s.PeakViewers)}
		copy(row[7:], end)
	}
	return row, nil
}

// latest keeps of each session what tells most: its end.
func latest(batch []*consumers.Message) []*subjects.Session {
	at := make(map[string]int, len(batch))
	list := make([]*subjects.Session, 0, len(batch))
	for _, m := range batch {
		s := &m.Session
		i, known := at[s.Session]
		switch {
		case !known:
			at[s.Session] = len(list)
			list = append(list, s)
		case list[i].EndedAt.IsZero():
			list[i] = s
		}
	}
	return list
}

// number is NULL for what is absent or no integer of 64 bits.
func number(n subjects.Number) any {
	v, err := n.Int64()
	if err != nil {
		return nil
	}
	return v
}

func customJSON(f *subjects.Fields) (string, error) {
	for _, field := range f.List() {
		if !storable(field.Key) || !storable(field.Value) {
			f = visibleFields(f)
			break
		}
	}
	data, err := f.MarshalJSON()
	if err != nil {
		return "", fmt.Errorf("custom fields: %w", err)
	}
	return string(data), nil
}

func visibleFields(f *subjects.Fields) *subjects.Fields {
	var safe subjects.Fields
	for _, field := range f.List() {
		safe.Add(visible(field.Key), visible(field.Value))
	}
	return &safe
}

// storable reports whether every database takes s as text.
func storable(s string) bool { return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) }

// visible writes as \xHH what PostgreSQL takes in no text: NUL, and bytes that are not UTF-8.
func visible(s string) string {
	if storable(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == 0 || r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[i])
		} else {
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}
