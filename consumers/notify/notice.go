package notify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"bintubridge/consumers"
	"bintubridge/subjects"

	"github.com/nats-io/nats.go"
)

// The headers of a delivery, beside those of the event.
const (
	headerType = "delivery-type" // the subject of the event or session
	headerTime = "delivery-time" // when it happened
)

// notice is what a receiver is told.
type notice struct {
	id, subject string
	at          time.Time
	data        []byte // the event or session
}

// delivery returns the message that waits for the subscription.
func delivery(m *consumers.Message, key string) *nats.Msg {
	at := m.Event.ReceivedAt
	if m.Session.ID != "" {
		at = m.Session.StartedAt
		for _, later := range []time.Time{m.Session.ResumedAt, m.Session.EndedAt} {
			if !later.IsZero() {
				at = later
			}
		}
	}
	msg := nats.NewMsg("delivery." + key)
	msg.Data = m.Data
	for name, value := range map[string]string{
		subjects.HeaderID: m.ID, subjects.HeaderMsgID: m.ID + "." + key,
		headerType: m.Subject, headerTime: at.Format(time.RFC3339Nano),
	} {
		msg.Header[name] = []string{value}
	}
	return msg
}

func noticeOf(m *consumers.Message) (*notice, error) {
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get(headerTime))
	if err != nil || m.ID == "" {
		return nil, fmt.Errorf("it is no delivery of this program: id %q, time %q", m.ID, m.Header.Get(headerTime))
	}
	return &notice{m.ID, m.Header.Get(headerType), at, m.Data}, nil
}

// body is the payload of a webhook, the same for every try.
func (n *notice) body() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(struct {
		Type      string          `json:"type"`
		Timestamp time.Time       `json:"timestamp"`
		Data      json.RawMessage `json:"data"`
	}{n.subject, n.at, n.data})
	if err != nil {
		return nil, consumers.Permanent(fmt.Errorf("encode the payload: %w", err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// text is the message of a mail or chat, in one line.
func (n *notice) text(safe func(string) string) string {
	var about struct {
		Name string `json:"name"`
		App  string `json:"app"`
		Addr string `json:"addr"`
	}
	_ = json.Unmarshal(n.data, &about) // what it does not say is left out
	words := []string{safe(n.subject)}
	for _, part := range []struct{ word, text string }{{"of stream", about.Name}, {"in", about.App}, {"from", about.Addr}} {
		if part.text != "" {
			words = append(words, part.word, safe(part.text))
		}
	}
	return strings.Join(append(words, "at", safe(n.at.UTC().Format(time.DateTime)), "UTC"), " ")
}
