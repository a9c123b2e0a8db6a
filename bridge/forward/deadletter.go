package forward

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
)

// deadLetter is one line of the dead-letter file: an event that NATS will never
// take, with all that is needed to look at it and to send it again.
type deadLetter struct {
	At     time.Time `json:"at"`
	ID     string    `json:"id"`
	Reason string    `json:"reason"`

	Subject string          `json:"subject,omitempty"`
	Header  nats.Header     `json:"header,omitempty"`
	Event   json.RawMessage `json:"event,omitempty"`
	Record  []byte          `json:"record,omitempty"` // instead, when the spool's record is unreadable; base64
}

func letterOf(msg *nats.Msg) deadLetter {
	return deadLetter{Subject: msg.Subject, Header: msg.Header, Event: msg.Data}
}

// bury appends a dead letter to the file at path and makes it durable, so that
// the spool may let go of the record.
func bury(path string, letter deadLetter) error {
	line, err := json.Marshal(letter)
	if err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	if _, err = f.Write(append(line, '\n')); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	return nil
}
