package consumers

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// pulled is a message of a puller as package jetstream shows one. It is answered by the connection:
// its subscription may be gone by then.
type pulled struct {
	nc  *nats.Conn
	msg *nats.Msg
}

func (p pulled) Metadata() (*jetstream.MsgMetadata, error) {
	meta, err := p.msg.Metadata()
	if err != nil {
		return nil, err
	}
	return &jetstream.MsgMetadata{
		Sequence:     jetstream.SequencePair(meta.Sequence),
		NumDelivered: meta.NumDelivered, NumPending: meta.NumPending, Timestamp: meta.Timestamp,
		Stream: meta.Stream, Consumer: meta.Consumer, Domain: meta.Domain,
	}, nil
}

func (p pulled) Data() []byte         { return p.msg.Data }
func (p pulled) Headers() nats.Header { return p.msg.Header }
func (p pulled) Subject() string      { return p.msg.Subject }
func (p pulled) Reply() string        { return p.msg.Reply }

func (p pulled) Ack() error        { return p.answer("+ACK") }
func (p pulled) Nak() error        { return p.answer("-NAK") }
func (p pulled) InProgress() error { return p.answer("+WPI") }
func (p pulled) Term() error       { return p.answer("+TERM") }

func (p pulled) NakWithDelay(delay time.Duration) error {
	return p.answer(fmt.Sprintf(`-NAK {"delay": %d}`, delay.Nanoseconds()))
}

func (p pulled) TermWithReason(reason string) error { return p.answer("+TERM " + reason) }

func (p pulled) DoubleAck(ctx context.Context) error {
	_, err := p.nc.RequestWithContext(ctx, p.msg.Reply, []byte("+ACK"))
	return err
}

func (p pulled) answer(text string) error { return p.nc.Publish(p.msg.Reply, []byte(text)) }
