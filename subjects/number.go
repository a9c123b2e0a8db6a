package subjects

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// Number is a number of the wire in its own spelling, "" when absent. It is a
// JSON number when it is a plain decimal integer of 64 bits, so that a consumer
// may always read it into an int64, and a JSON string otherwise.
type Number string

// Int64 returns the number, or an error when it is absent, no integer, or
// beyond 64 bits.
func (n Number) Int64() (int64, error) { return strconv.ParseInt(string(n), 10, 64) }

// MarshalJSON writes a JSON number or string, as AppendJSON of the event does.
func (n Number) MarshalJSON() ([]byte, error) { return n.appendJSON(nil), nil }

// UnmarshalJSON reads a JSON number, a string, or null for absent.
func (n *Number) UnmarshalJSON(data []byte) error {
	if bytes.Equal(data, []byte("null")) {
		*n = ""
		return nil
	}
	if len(data) > 0 && data[0] == '"' {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return fmt.Errorf("number: %w", err)
		}
		*n = Number(text)
		return nil
	}
	var number json.Number
	if err := json.Unmarshal(data, &number); err != nil {
		return fmt.Errorf("number: %w", err)
	}
	*n = Number(number)
	return nil
}

func (n Number) appendJSON(dst []byte) []byte {
	if n.isInteger() {
		return append(dst, n...)
	}
	return appendString(dst, string(n))
}

// isInteger reports whether n is a JSON integer in its one plain spelling, and
// fits 64 bits.
func (n Number) isInteger() bool {
	digits, limit := string(n), "9223372036854775807"
	if len(n) > 0 && n[0] == '-' {
		digits, limit = string(n[1:]), "9223372036854775808"
	}
	if digits == "" || len(digits) > len(limit) || len(digits) == len(limit) && digits > limit {
		return false
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return false
		}
	}
	return digits[0] != '0' || n == "0"
}
