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
	body         int // bytes
}

// newRequests returns webhooks of a sender in bintu's order, every call there is. Bodies
// have about 300 bytes with size 0. Otherwise they have size bytes, but for what every call
// of its kind says of itself, about 100.
func newRequests(f form, names, size int) *requests {
	r := &requests{names: uint64(names)}
	for _, call := range []subjects.Call{
		subjects.Publish, subjects.Play, subjects.UpdatePublish, subjects.UpdatePlay, subjects.PublishDone, subjects.PlayDone,
	} {
		r.wires = append(r.wires, newWire(f, newBody(call, size)))
	}
	return r
}

// newBody returns a webhook with custom fields, a secret among them. For a small size it
// leaves fields out, for a large one it has one more.
func newBody(call subjects.Call, size int) []byte {
	custom := []string{"team=red", "token=3f786850e387550fdab836ed7e6dc881de23001b", "quality=720p", "ref=https%3A%2F%2Fexample.com%2Fshow"}
	session := webhook.Request{
		Call: call,
		Name: strings.TrimSuffix(fmt.Sprintf(nameFormat, 0), strings.Repeat("0", digits)) + strings.Repeat("N", digits),
		App:  "live", Addr: "17.31.43.214", ClientID: strings.Repeat("C", digits), TCURL: "rtmp://bintu-stream.example.com:1935/live",
		Type: "live", Start: "0", Duration: "0", Reset: "0", Time: "46", Timestamp: "46805", BytesIn: "575", BytesOut: "8516372",
	}
	build := func() []byte { return webhook.AppendBody(nil, webhook.Bintu, &session, strings.Join(custom, "&")) }
	body := build()
	if size == 0 {
		return body
	}
	if len(body) > size {
		session.TCURL = ""
	}
	for body = build(); len(body) > size && len(custom) > 0; body = build() {
		custom = custom[:len(custom)-1]
	}
	if missing := size - len(body) - len("&pad="); missing > 0 {
		custom = append(custom, "pad="+strings.Repeat("x", missing))
	}
	return build()
}

func newWire(f form, body []byte) wire {
	version, end := "HTTP/1.1", ""
	if f == http10 {
		version, end = "HTTP/1.0", "Connection: Close\r\n"
	}
	head := fmt.Sprintf("POST %s %s\r\nHost: bridge.example.com\r\nContent-Type: application/x-www-form-urlencoded\r\n%sContent-Length: %d\r\n\r\n",
		hookPath, version, end, len(body))
	w := wire{text: append([]byte(head), body...), body: len(body)}
	w.name = bytes.Index(w.text, []byte(strings.Repeat("N", digits)))
	w.client = bytes.Index(w.text, []byte(strings.Repeat("C", digits)))
	return w
}

// size returns the mean size of a body, in bytes.
func (r *requests) size() float64 {
	sum := 0
	for _, w := range r.wires {
		sum += w.body
	}
	return float64(sum) / float64(len(r.wires))
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
