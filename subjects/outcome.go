package subjects

// Outcome is what became of a request, the first thing its subject says. The
// zero value is Invalid, so that an outcome nobody set never reads as allowed.
type Outcome uint8

// The outcomes.
const (
	Invalid  Outcome = iota // unreadable, or without a call
	Unknown                 // a well-formed call this version has no name for
	Denied                  // asked, and refused
	Happened                // told, or asked and allowed
)

// String returns the outcome in one lower-case word.
func (o Outcome) String() string {
	switch o {
	case Unknown:
		return "unknown"
	case Denied:
		return "denied"
	case Happened:
		return "happened"
	}
	return "invalid"
}

// append appends the tokens that say outcome and call: "publish",
// "denied.publish", "unknown.foo" or "invalid.request". A call without a name
// here is unknown whatever the outcome says: sender's text never takes the
// place of a known call or of the word "denied".
func (o Outcome) append(dst []byte, call string) []byte {
	known := ParseCall(call)
	switch {
	case o == Happened && known != UnknownCall:
		return append(dst, known.String()...)
	case o == Denied && known != UnknownCall:
		dst = append(dst, "denied."...)
		return append(dst, known.String()...)
	case o == Happened || o == Denied || o == Unknown:
		dst = append(dst, "unknown."...)
		return AppendToken(dst, call)
	}
	return append(dst, "invalid.request"...)
}

// AppendType appends the ce-type of an event: bintu.publish,
// bintu.denied.publish, bintu.unknown.foo or bintu.invalid.request.
func AppendType(dst []byte, o Outcome, call string) []byte {
	dst = append(dst, "bintu."...)
	return o.append(dst, call)
}
