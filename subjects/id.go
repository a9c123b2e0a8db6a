package subjects

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrID is wrapped by the errors of ParseID and AppendWithID.
var ErrID = errors.New("event id")

// NoIDPrefix opens every event whose id is still empty, as AppendJSON writes
// it. The spool keeps events in this form: an event's sequence is known only
// once it is appended, so the id is put in on the way out, by AppendWithID.
const NoIDPrefix = `{"id":"","`

// idAt is where in NoIDPrefix the id belongs.
const idAt = len(`{"id":"`)

// AppendID appends the id of an event: "<spool id>-<sequence>". A spool id has
// one or more of [A-Za-z0-9_-].
func AppendID(dst []byte, spoolID string, seq uint64) []byte {
	dst = append(dst, spoolID...)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, seq, 10)
}

// ParseID takes an id apart. It accepts exactly what AppendID writes; its
// errors wrap ErrID.
func ParseID(id string) (spoolID string, seq uint64, err error) {
	i := strings.LastIndexByte(id, '-')
	if i < 1 || !isToken(id[:i]) {
		return "", 0, fmt.Errorf("%w %q: want a spool id of letters, digits, _ and -, then - and a sequence", ErrID, id)
	}
	digits := id[i+1:]
	seq, err = strconv.ParseUint(digits, 10, 64)
	if err != nil || digits[0] == '0' && digits != "0" {
		return "", 0, fmt.Errorf("%w %q: the sequence %q is no decimal number of 64 bits without leading zeros", ErrID, id, digits)
	}
	return id[:i], seq, nil
}

// AppendWithID appends event, an encoded event whose id is empty, with this id.
// It does not allocate when dst has room. Its errors wrap ErrID and leave dst
// as it was.
func AppendWithID[T string | []byte](dst, event []byte, id T) ([]byte, error) {
	if !bytes.HasPrefix(event, []byte(NoIDPrefix)) {
		return dst, fmt.Errorf("%w: the event begins with %q, want %s: it is no event of a spool, or has an id already",
			ErrID, event[:min(len(event), len(NoIDPrefix))], NoIDPrefix)
	}
	if !isToken(id) {
		return dst, fmt.Errorf("%w %q: want one or more letters, digits, _ and -", ErrID, string(id))
	}
	dst = append(dst, event[:idAt]...)
	dst = append(dst, id...)
	return append(dst, event[idAt:]...), nil
}

// isToken reports whether text is one or more of [A-Za-z0-9_-], which need no
// escape in a subject, a header or JSON.
func isToken[T string | []byte](text T) bool {
	for i := range len(text) {
		if !isTokenByte(text[i]) {
			return false
		}
	}
	return len(text) > 0
}
