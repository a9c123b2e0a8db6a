package subjects

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxBrokenKeys bounds the keys of one object that are not UTF-8, and with them
// the work of keeping them apart. Whoever sends more has them in raw.
const maxBrokenKeys = 16

// MarshalJSON writes the fields as an object, in their order; see appendJSON.
func (f Fields) MarshalJSON() ([]byte, error) { return f.appendJSON(nil), nil }

// UnmarshalJSON reads an object of strings, keeping its order, or null for an
// empty set. Of a repeated key the first value counts.
func (f *Fields) UnmarshalJSON(data []byte) error {
	f.Reset()
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	open, err := d.Token()
	if err != nil {
		return fmt.Errorf("fields: %w", err)
	}
	if open != json.Delim('{') {
		return errors.New("fields: want a JSON object")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return fmt.Errorf("fields: %w", err)
		}
		value, err := d.Token()
		if err != nil {
			return fmt.Errorf("fields: value of %q: %w", key, err)
		}
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("fields: value of %q: want a JSON string", key)
		}
		f.Add(key.(string), text)
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("fields: %w", err)
	}
	return nil
}

// appendJSON appends the fields as an object. Two keys that are not UTF-8 can
// read the same once their broken bytes are U+FFFD; the first one counts then,
// and a key that is UTF-8 always does. A reader that refuses an object with a
// repeated key, as some do, would otherwise stumble over what a publisher chose.
func (f *Fields) appendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	empty, broken := len(dst), 0
	for i := range f.list {
		if key := f.list[i].Key; !utf8.ValidString(key) {
			if broken++; broken > maxBrokenKeys || f.isShadowed(i) {
				continue
			}
		}
		if len(dst) > empty {
			dst = append(dst, ',')
		}
		dst = appendString(dst, f.list[i].Key)
		dst = append(dst, ':')
		dst = appendString(dst, f.list[i].Value)
	}
	return append(dst, '}')
}

// isShadowed reports whether another field takes the place of field i, whose key
// is not UTF-8.
func (f *Fields) isShadowed(i int) bool {
	for j := range f.list {
		key := f.list[j].Key
		if j != i && readSame(key, f.list[i].Key) && (j < i || utf8.ValidString(key)) {
			return true
		}
	}
	return false
}

// readSame reports whether a and b are the same text once each byte that is not
// UTF-8 is U+FFFD, which is what decoding a rune makes of it.
func readSame(a, b string) bool {
	for a != "" && b != "" {
		r, n := utf8.DecodeRuneInString(a)
		s, m := utf8.DecodeRuneInString(b)
		if r != s {
			return false
		}
		a, b = a[n:], b[m:]
	}
	return a == b
}
