package forward

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Errors of the JetStream API that no retry mends, with their codes in the server.
// Every other error is retried: disconnected, a time-out, 503, a full ingest queue
// (10167), no resources (10023), a stream without room (10077), and what a later
// server may add.
const (
	codeMessageTooLarge = 10054 // stream's max_msg_size
	codeHeaderTooLarge  = 10097 // 64 KiB
	codeNotThisStream   = 10060 // the subject belongs to another stream
)

// poison reports whether err will be the same at every try.
func poison(err error) bool {
	if errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadSubject) || errors.Is(err, errRecord) {
		return true
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return false
	}
	switch api.ErrorCode {
	case codeMessageTooLarge, codeHeaderTooLarge, codeNotThisStream:
		return true
	}
	return false
}

// refused reports whether err is the server's answer to a message, rather than
// the lack of one.
func refused(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse)
}

// offline turns what the client says while nothing is buffered, or before its first
// connection, into what it means.
func (f *Forwarder) offline(err error) error {
	if errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrHeadersNotSupported) && !f.conn.IsConnected() {
		return nats.ErrDisconnected
	}
	return err
}

// explain adds to a time-out what the server said about permissions: it answers
// to the connection, not to the message.
func (f *Forwarder) explain(err error) error {
	if last := f.conn.LastError(); errors.Is(last, nats.ErrPermissionViolation) && !errors.Is(err, last) {
		return fmt.Errorf("%w: %w; give the bridge's user this permission", err, last)
	}
	return err
}
