package subjects

// Call is what the sender asks or tells. The zero value is UnknownCall: a call
// this version has no name for, which is forwarded and never decided.
type Call uint8

// The calls of the webhook, in the order of a stream's life.
const (
	UnknownCall Call = iota
	Connect
	Publish
	Play
	UpdatePublish
	UpdatePlay
	PublishDone
	PlayDone
	Done
	Disconnect
	RecordDone

	NumCalls // one past the last call: the size of a table indexed by call
)

var callNames = [NumCalls]string{
	Connect:       "connect",
	Publish:       "publish",
	Play:          "play",
	UpdatePublish: "update_publish",
	UpdatePlay:    "update_play",
	PublishDone:   "publish_done",
	PlayDone:      "play_done",
	Done:          "done",
	Disconnect:    "disconnect",
	RecordDone:    "record_done",
}

// ParseCall returns the call named text, or UnknownCall. publish_update, the
// spelling of bintu's documentation, is an alias of update_publish.
func ParseCall(text string) Call {
	switch text {
	case "connect":
		return Connect
	case "publish":
		return Publish
	case "play":
		return Play
	case "update_publish", "publish_update":
		return UpdatePublish
	case "update_play":
		return UpdatePlay
	case "publish_done":
		return PublishDone
	case "play_done":
		return PlayDone
	case "done":
		return Done
	case "disconnect":
		return Disconnect
	case "record_done":
		return RecordDone
	}
	return UnknownCall
}

// String returns the call's name on the wire, and "" for UnknownCall.
func (c Call) String() string {
	if c < NumCalls {
		return callNames[c]
	}
	return ""
}

// Asks reports whether the sender waits for a decision. The other calls only
// tell what has already happened.
func (c Call) Asks() bool {
	switch c {
	case Publish, Play, UpdatePublish, UpdatePlay, Connect:
		return true
	}
	return false
}
