package main

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"

	"bintubridge/subjects"
)

// recorded is what a replay needs of an event. Its memory serves the next one.
type recorded struct {
	event    subjects.Event
	decision subjects.Decision
}

// read reads the body of a message, as subjects.DecodeEvent does. The event's
// texts are parts of data, which must not change any more. What a bridge
// writes is read in one pass, without what a replay does not need; what is
// spelt otherwise goes to DecodeEvent.
func (r *recorded) read(data []byte) error {
	custom := r.event.Custom
	custom.Reset()
	r.event, r.decision = subjects.Event{Custom: custom}, subjects.Decision{}
	// A copy of each event would be half of the work.
	s := scanner{text: unsafe.String(unsafe.SliceData(data), len(data))} //nolint:gosec // G103, see above
	if utf8.ValidString(s.text) && s.event(r) {
		return nil
	}
	e, err := subjects.DecodeEvent(data)
	r.event = e
	return err
}

// scanner reads an event from the front of text. Each method reports false on
// anything that is not plain, and the whole reading is then void.
type scanner struct {
	text string
	at   int
}

func (s *scanner) event(r *recorded) bool {
	e := &r.event
	return s.object(func(key string) bool {
		switch key {
		case "id":
			return s.string(&e.ID)
		case "received_at":
			return s.time(&e.ReceivedAt)
		case "call":
			return s.string(&e.Call)
		case "name":
			return s.string(&e.Name)
		case "app":
			return s.string(&e.App)
		case "addr":
			return s.string(&e.Addr)
		case "clientid":
			return s.string(&e.ClientID)
		case "type":
			return s.string(&e.Type)
		case "flashver":
			return s.string(&e.FlashVer)
		case "swfurl":
			return s.string(&e.SWFURL)
		case "tcurl":
			return s.string(&e.TCURL)
		case "pageurl":
			return s.string(&e.PageURL)
		case "raw":
			return s.string(&e.Raw)
		case "custom":
			e.Custom.Reset()
			return s.fields(&e.Custom)
		case "decision":
			e.Decision = &r.decision
			return s.decision(&r.decision)
		case "bridge", "recorder", "path":
			var skipped string
			return s.string(&skipped)
		case "bytes_in", "bytes_out", "time", "timestamp", "start", "duration", "reset", "epoch":
			return s.number()
		case "extra":
			return s.fields(new(subjects.Fields))
		case "shadow":
			return s.shadows()
		}
		return false
	}) && s.at == len(s.text)
}

func (s *scanner) decision(d *subjects.Decision) bool {
	return s.object(func(key string) bool {
		switch key {
		case "effect":
			return s.string(&d.Effect)
		case "rule":
			return s.string(&d.Rule)
		case "reason":
			return s.string(&d.Reason)
		case "revision", "rules_age_ms":
			return s.number()
		}
		return false
	})
}

// shadows reads past the shadow rules.
func (s *scanner) shadows() bool {
	if !s.byte('[') {
		return false
	}
	for {
		var skipped string
		if !s.object(func(key string) bool { return (key == "rule" || key == "effect") && s.string(&skipped) }) {
			return false
		}
		if !s.byte(',') {
			return s.byte(']')
		}
	}
}

// object reads an object, and calls member in front of each value.
func (s *scanner) object(member func(key string) bool) bool {
	if !s.byte('{') {
		return false
	}
	if s.byte('}') {
		return true
	}
	for {
		var key string
		if !s.string(&key) || !s.byte(':') || !member(key) {
			return false
		}
		if !s.byte(',') {
			return s.byte('}')
		}
	}
}

func (s *scanner) fields(f *subjects.Fields) bool {
	if !s.byte('{') {
		return false
	}
	if s.byte('}') {
		return true
	}
	for {
		var key, value string
		if !s.string(&key) || !s.byte(':') || !s.string(&value) {
			return false
		}
		f.Add(key, value)
		if !s.byte(',') {
			return s.byte('}')
		}
	}
}

func (s *scanner) byte(want byte) bool {
	if s.at < len(s.text) && s.text[s.at] == want {
		s.at++
		return true
	}
	return false
}

// number reads an integer that is not negative, or text that was none.
func (s *scanner) number() bool {
	if s.at < len(s.text) && s.text[s.at] == '"' {
		var skipped string
		return s.string(&skipped)
	}
	first := s.at
	for s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9' {
		s.at++
	}
	digits := s.text[first:s.at]
	const most = 18 // digits: what fits any integer of an event
	return digits != "" && len(digits) <= most && (digits[0] != '0' || len(digits) == 1)
}

// time reads a time in the one spelling of subjects.AppendTime.
func (s *scanner) time(t *time.Time) bool {
	var text string
	if !s.string(&text) || len(text) != len("2006-01-02T15:04:05.000000Z") || text[len(text)-1] != 'Z' {
		return false
	}
	parsed, err := time.Parse(time.RFC3339, text)
	*t = parsed.UTC()
	return err == nil && text[len("2006-01-02T15:04:05")] == '.'
}

// string reads a string. One without escapes is a part of the text.
func (s *scanner) string(value *string) bool {
	if !s.byte('"') {
		return false
	}
	escaped := false
	for i := s.at; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			raw := s.text[s.at:i]
			s.at = i + 1
			if !escaped {
				*value = raw
				return true
			}
			return unescape(value, raw)
		case c == '\\':
			escaped = true
			i++ // whatever it is, it does not end the string
		case c < ' ':
			return false
		}
	}
	return false
}

// unescape reads the escapes that subjects.Event.AppendJSON writes.
func unescape(value *string, raw string) bool {
	var b strings.Builder
	b.Grow(len(raw))
	for {
		i := strings.IndexByte(raw, '\\')
		if i < 0 {
			b.WriteString(raw)
			*value = b.String()
			return true
		}
		b.WriteString(raw[:i])
		raw = raw[i+1:]
		const letters, meaning = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
		if k := strings.IndexByte(letters, raw[0]); k >= 0 {
			b.WriteByte(meaning[k])
			raw = raw[1:]
			continue
		}
		if raw[0] != 'u' || len(raw) < 5 {
			return false
		}
		unit, err := strconv.ParseUint(raw[1:5], 16, 16)
		if err != nil || 0xD800 <= unit && unit <= 0xDFFF {
			return false // half a character: there may be another half
		}
		b.WriteRune(rune(unit))
		raw = raw[5:]
	}
}
