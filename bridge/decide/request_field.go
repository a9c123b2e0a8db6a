package decide

import (
	"slices"
	"strings"
)

// requestField is a field of the request that a token can be held to. It is
// always one the sender wrote: a custom field is the client's own.
type requestField uint8

const (
	noField requestField = iota
	fieldCall
	fieldName
	fieldApp
	fieldAddr
	fieldClientID
	fieldType
	fieldFlashVer
	fieldSWFURL
	fieldTCURL
	fieldPageURL
)

// requestFields are their names, as the events spell them.
var requestFields = [...]string{
	fieldCall:     "call",
	fieldName:     "name",
	fieldApp:      "app",
	fieldAddr:     "addr",
	fieldClientID: "clientid",
	fieldType:     "type",
	fieldFlashVer: "flashver",
	fieldSWFURL:   "swfurl",
	fieldTCURL:    "tcurl",
	fieldPageURL:  "pageurl",
}

func parseRequestField(name string) (requestField, bool) {
	i := slices.Index(requestFields[:], name)
	return requestField(max(i, 0)), i > 0
}

// wantRequestField lists the names for errors.
func wantRequestField() string {
	return "a field of the request: " + strings.Join(requestFields[fieldCall:], ", ")
}

// of returns the field's value, "" when the request has none. A call is written
// as subjects does: update_publish, also when the sender wrote publish_update.
func (f requestField) of(in *Input) string {
	switch f {
	case fieldCall:
		return in.Call.String()
	case fieldName:
		return in.Name
	case fieldApp:
		return in.App
	case fieldAddr:
		return in.Addr
	case fieldClientID:
		return in.ClientID
	case fieldType:
		return in.Type
	case fieldFlashVer:
		return in.FlashVer
	case fieldSWFURL:
		return in.SWFURL
	case fieldTCURL:
		return in.TCURL
	case fieldPageURL:
		return in.PageURL
	}
	return ""
}
