package webhook

import "fmt"

// Dialect is the order in which a sender writes trusted and custom fields. It
// is configured and never guessed: a client could write a body that looks like
// the other order. NginxRTMP notices most bodies of the other order (ErrOrder);
// Bintu cannot, and would trust the client's fields of an nginx-rtmp sender.
// The zero value is Bintu.
type Dialect uint8

// The orders of the two senders known.
const (
	Bintu     Dialect = iota // custom fields first, as bintu documents it
	NginxRTMP                // trusted fields first, as arut/nginx-rtmp-module
)

// ParseDialect returns the dialect named text: bintu or nginx-rtmp.
func ParseDialect(text string) (Dialect, error) {
	switch text {
	case "bintu":
		return Bintu, nil
	case "nginx-rtmp":
		return NginxRTMP, nil
	}
	return Bintu, fmt.Errorf("webhook: unknown dialect %q: use bintu or nginx-rtmp", text)
}

// String returns the name that ParseDialect reads.
func (d Dialect) String() string {
	switch d {
	case Bintu:
		return "bintu"
	case NginxRTMP:
		return "nginx-rtmp"
	}
	return fmt.Sprintf("Dialect(%d)", uint8(d))
}
