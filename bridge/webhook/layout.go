package webhook

import "bintubridge/subjects"

// presence says when a sender writes a field.
type presence uint8

const (
	always   presence = iota // also when it is empty
	nonEmpty                 // left out when it is empty
	// Known senders always write it, and a body without it is read as if it
	// were empty. Only for a field with an always one behind it, or text of the
	// client could take its place.
	expected
)

// slot is one field in the order a sender writes them.
type slot struct {
	name     string
	presence presence
}

// sessionSlots returns the fields of the connection, which a sender adds to
// every call: in front of it (nginx-rtmp) or behind everything else (bintu).
func sessionSlots(d Dialect, c subjects.Call) []slot {
	switch {
	case d == NginxRTMP && c == subjects.Connect:
		return nginxConnectSession[:]
	case d == NginxRTMP:
		return nginxSession[:]
	case c == subjects.Connect:
		return bintuSession[:2] // addr and clientid: the rest is the call's own
	}
	return bintuSession[:]
}

// callSlots returns the fields a sender writes behind the call, up to the
// session (bintu) or the custom fields (nginx-rtmp). For nginx-rtmp a call this
// version does not know has none: behind it the sender's fields cannot be told
// from the client's.
func callSlots(d Dialect, c subjects.Call) []slot {
	calls := bintuCalls[:]
	if d == NginxRTMP {
		calls = nginxCalls[:]
	}
	if int(c) < len(calls) {
		return calls[c]
	}
	return nil
}

var (
	bintuSession = [...]slot{
		{"addr", nonEmpty}, {"clientid", nonEmpty}, {"app", nonEmpty}, {"flashver", nonEmpty},
		{"swfurl", nonEmpty}, {"tcurl", nonEmpty}, {"pageurl", nonEmpty},
	}
	nginxSession = [...]slot{
		{"app", always}, {"flashver", always}, {"swfurl", always}, {"tcurl", always},
		{"pageurl", always}, {"addr", always}, {"clientid", always},
	}
	// A connect comes with the time of the handshake, and without clientid.
	nginxConnectSession = [...]slot{
		{"app", always}, {"flashver", always}, {"swfurl", always}, {"tcurl", always},
		{"pageurl", always}, {"addr", always}, {"epoch", always},
	}

	nginxCalls = [...][]slot{
		subjects.Publish:       {{"name", always}, {"type", always}},
		subjects.Play:          {{"name", always}, {"start", always}, {"duration", always}, {"reset", always}},
		subjects.UpdatePublish: {{"time", always}, {"timestamp", always}, {"name", nonEmpty}},
		subjects.UpdatePlay:    {{"time", always}, {"timestamp", always}, {"name", nonEmpty}},
		subjects.PublishDone:   {{"name", nonEmpty}},
		subjects.PlayDone:      {{"name", nonEmpty}},
		subjects.Done:          {{"name", nonEmpty}},
		subjects.Disconnect:    {{"app", always}},
		subjects.RecordDone:    {{"recorder", always}, {"name", expected}, {"path", always}},
	}
	bintuCalls = [...][]slot{
		subjects.UnknownCall: {{"name", nonEmpty}, {"path", nonEmpty}},
		subjects.Connect: {{"app", always}, {"flashver", always}, {"swfurl", always}, {"tcurl", always},
			{"pageurl", always}, {"epoch", always}},
		subjects.Publish:       {{"name", always}, {"type", always}},
		subjects.Play:          {{"name", always}, {"start", always}, {"duration", always}, {"reset", always}},
		subjects.UpdatePublish: {{"time", always}, {"timestamp", always}, {"name", nonEmpty}},
		subjects.UpdatePlay:    {{"time", always}, {"timestamp", always}, {"name", nonEmpty}},
		subjects.PublishDone:   {{"name", nonEmpty}, {"bytes_in", always}, {"bytes_out", always}},
		subjects.PlayDone:      {{"name", nonEmpty}, {"bytes_in", always}, {"bytes_out", always}},
		subjects.Done:          {{"name", nonEmpty}, {"bytes_in", always}, {"bytes_out", always}},
		subjects.Disconnect:    {{"bytes_in", always}, {"bytes_out", always}},
		subjects.RecordDone: {{"recorder", always}, {"name", expected}, {"path", always},
			{"bytes_in", always}, {"bytes_out", always}},
	}
)

// key numbers the fields of a Request, to remember which were seen.
type key uint8

const (
	keyName key = iota
	keyApp
	keyAddr
	keyClientID
	keyType
	keyFlashVer
	keySWFURL
	keyTCURL
	keyPageURL
	keyRecorder
	keyPath
	keyBytesIn
	keyBytesOut
	keyTime
	keyTimestamp
	keyStart
	keyDuration
	keyReset
	keyEpoch
)

// field returns the request's field called name, or nil when it has none.
func (r *Request) field(name string) (*string, key) {
	switch name {
	case "name":
		return &r.Name, keyName
	case "app":
		return &r.App, keyApp
	case "addr":
		return &r.Addr, keyAddr
	case "clientid":
		return &r.ClientID, keyClientID
	case "type":
		return &r.Type, keyType
	case "flashver":
		return &r.FlashVer, keyFlashVer
	case "swfurl":
		return &r.SWFURL, keySWFURL
	case "tcurl":
		return &r.TCURL, keyTCURL
	case "pageurl":
		return &r.PageURL, keyPageURL
	case "recorder":
		return &r.Recorder, keyRecorder
	case "path":
		return &r.Path, keyPath
	case "bytes_in":
		return &r.BytesIn, keyBytesIn
	case "bytes_out":
		return &r.BytesOut, keyBytesOut
	case "time":
		return &r.Time, keyTime
	case "timestamp":
		return &r.Timestamp, keyTimestamp
	case "start":
		return &r.Start, keyStart
	case "duration":
		return &r.Duration, keyDuration
	case "reset":
		return &r.Reset, keyReset
	case "epoch":
		return &r.Epoch, keyEpoch
	}
	return nil, 0
}
