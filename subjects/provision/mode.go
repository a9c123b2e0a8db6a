package provision

import "fmt"

// Mode is what Ensure may do, BRIDGE_PROVISION. The zero value only looks.
type Mode uint8

// The modes.
const (
	Check Mode = iota // report what is missing or differs, change nothing
	Auto              // create what is missing, report what differs
	Off               // ask nothing
)

// ParseMode reads auto, check or off.
func ParseMode(text string) (Mode, error) {
	for _, m := range []Mode{Check, Auto, Off} {
		if text == m.String() {
			return m, nil
		}
	}
	return Check, fmt.Errorf("provision mode %q: allowed are auto, check and off", text)
}

// String returns the mode as ParseMode reads it.
func (m Mode) String() string {
	switch m {
	case Auto:
		return "auto"
	case Off:
		return "off"
	}
	return "check"
}
