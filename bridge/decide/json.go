package decide

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// encoding/json into structs is too lenient for rules: it takes "Effect" for
// "effect", the last of two equal keys, and changes broken text silently. Here
// the whole text is checked first and objects are then walked member by member.

// kind is the type of a JSON value, told by its first byte.
type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindList
	kindObject
)

// kindOf returns the kind of a valid JSON value.
func kindOf(raw json.RawMessage) kind {
	switch raw[0] {
	case '"':
		return kindString
	case '[':
		return kindList
	case '{':
		return kindObject
	case 't', 'f':
		return kindBool
	case 'n':
		return kindNull
	}
	return kindNumber
}

// readJSON checks that data is exactly one JSON value in clean UTF-8 and returns
// it. The error tells the place, ready to stand behind "got".
func readJSON(data []byte) (json.RawMessage, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("an empty document")
	}
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("text that is not UTF-8 at %s", place(data, invalidUTF8(data)))
	}
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		var syntax *json.SyntaxError
		if !errors.As(err, &syntax) {
			return nil, fmt.Errorf("no JSON (%w)", err)
		}
		return nil, fmt.Errorf("no JSON at %s (%w)", place(data, int(syntax.Offset)-1), syntax)
	}
	if at := loneSurrogate(data); at >= 0 {
		return nil, fmt.Errorf(`half a surrogate pair (\u escape) at %s`, place(data, at))
	}
	return raw, nil
}

// place returns the line and column, in bytes, of an offset.
func place(data []byte, offset int) string {
	before := data[:min(max(offset, 0), len(data))]
	line := 1 + bytes.Count(before, []byte{'\n'})
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("line %d, column %d", line, column)
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// loneSurrogate returns where an escape stands that is half a character, or -1.
// Such text has no meaning and would be read as U+FFFD.
func loneSurrogate(raw []byte) int {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' { // in valid JSON only inside strings
			continue
		}
		unit, ok := escapedUnit(raw[i:])
		switch {
		case !ok:
			i++ // \n, \\, \" and their like
		case unit < 0xD800 || unit > 0xDFFF:
			i += 5
		default:
			low, ok := escapedUnit(raw[i+6:])
			if unit > 0xDBFF || !ok || low < 0xDC00 || low > 0xDFFF {
				return i
			}
			i += 11
		}
	}
	return -1
}

// escapedUnit reads the \uXXXX that text starts with, if it does.
func escapedUnit(text []byte) (uint64, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 32)
	return unit, err == nil
}

// member is one key and value of an object.
type member struct {
	key   string
	value json.RawMessage
}

// membersOf returns the members of a valid JSON object as they stand, repeated
// keys too.
func membersOf(raw json.RawMessage) ([]member, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if _, err := decoder.Token(); err != nil {
		return nil, fmt.Errorf("read object: %w", err)
	}
	var members []member
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("read object key: %w", err)
		}
		m := member{key: fmt.Sprint(key)}
		if err := decoder.Decode(&m.value); err != nil {
			return nil, fmt.Errorf("read object member: %w", err)
		}
		members = append(members, m)
	}
	return members, nil
}

// elementsOf returns the elements of a valid JSON list.
func elementsOf(raw json.RawMessage) ([]json.RawMessage, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("read list: %w", err)
	}
	return list, nil
}

// textOf returns the text of a JSON string, and false for any other kind.
func textOf(raw json.RawMessage) (string, bool) {
	if kindOf(raw) != kindString {
		return "", false
	}
	var text string
	err := json.Unmarshal(raw, &text)
	return text, err == nil
}

// show returns a value as an error may print it: a string quoted and cut, a
// number or word as it stands, lists and objects by their kind.
func show(raw json.RawMessage) string {
	empty := len(bytes.TrimSpace(raw[1:max(len(raw)-1, 1)])) == 0
	switch kindOf(raw) {
	case kindString:
		text, _ := textOf(raw)
		return quote(text)
	case kindList:
		if empty {
			return "an empty list"
		}
		return "a list"
	case kindObject:
		if empty {
			return "an empty object"
		}
		return "an object"
	}
	if len(raw) > maxShown {
		return string(raw[:maxShown]) + "…"
	}
	return string(raw)
}
