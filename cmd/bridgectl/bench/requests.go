package bench

import (
	"bytes"
	"fmt"
	"strings"

	"bintubridge/bridge/webhook"
	"bintubridge/subjects"
)

// Addresses and names as the rules of rules.go know them.
const (
	hookPath   = "/hook"
	nameFormat = "CD6xx-%08d"
	digits     = 8
	args       = "team=red&quality=720p&ref=https%3A%2F%2Fexample.com%2Fshow&token=3f786850e387550fdab836ed7e6dc881de23001b"
)

// form is how requests come.
type form string

// The forms.
const (
	keepAlive form = "keep-alive"
	http10    form = "http/1.0" // one connection a request, as captured from media servers
)

// requests are webhooks ready to be written, one a call. Each event has another name and
// client, put over the digits of the one before.
type requests struct {
	names uint64
	wires []wire
}

// wire is a request with the places of the digits in it.
type wire struct {
	text         []byte
	name, client int
}

// newRequests returns webhooks of a sender in bintu's order: every call there is, with
// custom fields, a secret among them. Bodies are padded to size bytes by one more field.
func newRequests(f form, names, size int) *requests {
	r := &requests{names: uint64(names)}
	session := webhook.Request{
		Name: strings.Repeat("N", digits), App: "live", Addr: "17.31.43.214", ClientID: strings.Repeat("C", digits),
		TCURL: "rtmp://bintu-stream.example.com:1935/live",
		Type:  "live", Start: "0", Duration: "0", Reset: "0", Time: "46", Timestamp: "46805", BytesIn: "575", BytesOut: "8516372",
	}
	session.Name = strings.TrimSuffix(fmt.Sprintf(nameFormat, 0), strings.Repeat("0", digits)) + session.Name
	for _, call := range []subjects.Call{
		subjects.Publish, subjects.Play, subjects.UpdatePublish, subjects.UpdatePlay, subjects.PublishDone, subjects.PlayDone,
	} {
		session.Call = call
		custom := args
		body := webhook.AppendBody(nil, webhook.Bintu, &session, custom)
		if missing := size - len(body) - len("&pad="); missing > 0 {
			custom += "&pad=" + strings.Repeat("x", missing)
			body = webhook.AppendBody(nil, webhook.Bintu, &session, custom)
		}
		r.wires = append(r.wires, newWire(f, body))
	}
	return r
}

func newWire(f form, body []byte) wire {
	version, end := "HTTP/1.1", ""
	if f == http10 {
		version, end = "HTTP/1.0", "Connection: Close\r\n"
	}
	head := fmt.Sprintf("POST %s %s\r\nHost: bridge.example.com\r\nContent-Type: application/x-www-form-urlencoded\r\n%sContent-Length: %d\r\n\r\n",
		hookPath, version, end, len(body))
	w := wire{text: append([]byte(head), body...)}
	w.name = bytes.Index(w.text, []byte(strings.Repeat("N", digits)))
	w.client = bytes.Index(w.text, []byte(strings.Repeat("C", digits)))
	return w
}

// next returns the request of event n, valid until the following call. Names come
// scattered, as those of many streams do, and each with every call.
func (r *requests) next(n uint64) []byte {
	calls := uint64(len(r.wires))
	w := &r.wires[n%calls]
	putDigits(w.text[w.name:], n/calls*2654435761%r.names) // a prime: no name is left out
	putDigits(w.text[w.client:], n)
	return w.text
}

// putDigits writes the last digits of n.
func putDigits(to []byte, n uint64) {
	for i := digits - 1; i >= 0; i-- {
		to[i] = '0' + byte(n%10)
		n /= 10
	}
}
