package consumers

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"bintubridge/subjects"

	"github.com/nats-io/nats.go/jetstream"
)

// The defaults of Options.
const (
	DefaultWorkers       = 4
	DefaultAckWait       = time.Minute
	DefaultMaxAckPending = 1000
	DefaultMaxBytes      = 32 << 20
	DefaultTimeout       = time.Minute
	DefaultDrain         = 20 * time.Second
	DefaultBatch         = 1000
	DefaultBatchWait     = 100 * time.Millisecond
)

// Options say what a consumer gets and how. Only Name is needed.
type Options struct {
	Name     string                  // of the durable consumer, its dead letters and its metrics: letters, digits, _ and -
	Stream   string                  // "" is subjects.StreamEvents
	Subjects []string                // filters; none is the whole stream. They may not overlap
	Start    jetstream.DeliverPolicy // where a new durable begins; the zero value is the oldest message

	Workers       int           // handlers at the same time; 0 is DefaultWorkers
	MaxAckPending int           // messages on their way, waiting for a retry included; 0 is DefaultMaxAckPending, or twice what all batches hold
	MaxBytes      int           // of the messages in memory, as they came; 0 is DefaultMaxBytes. A message that is larger comes alone
	AckWait       time.Duration // after which a message of a process that died is given to another; 0 is DefaultAckWait
	MaxDeliver    int           // tries that fail before a message is dead; 0 is without end. A new process counts anew
	Timeout       time.Duration // of one call of the handler; 0 is DefaultTimeout
	Drain         time.Duration // handlers may go on that long after the context ended; 0 is DefaultDrain
	DoubleAck     bool          // wait until the server has stored the ack

	Batch     int           // RunBatch: messages of one call at most; 0 is DefaultBatch
	BatchWait time.Duration // RunBatch: how long the first one waits for others; 0 is DefaultBatchWait

	// Unordered lets a message that is tried again be passed by those of its name behind it, and wait on the
	// server meanwhile: for waits of hours. MaxDeliver excludes it: its handler gives up with Permanent.
	Unordered bool

	Raw     bool         // messages that cannot be decoded go to the handler, with Message.Err, instead of to DEAD
	Monitor *Monitor     // metrics and readiness; nil is none
	Log     *slog.Logger // nil is silence
}

// ErrOptions is wrapped by what Run says about its Options.
var ErrOptions = errors.New("consumer options")

func (o Options) withDefaults(batches bool) (Options, error) {
	if err := checkName(o.Name); err != nil {
		return o, err
	}
	if o.Workers < 0 || o.MaxAckPending < 0 || o.MaxBytes < 0 || o.MaxDeliver < 0 || o.Batch < 0 {
		return o, fmt.Errorf("%w: a number is negative", ErrOptions)
	}
	if o.Unordered && o.MaxDeliver > 0 {
		return o, fmt.Errorf("%w: Unordered and MaxDeliver exclude each other", ErrOptions)
	}
	o.Stream = cmp.Or(o.Stream, subjects.StreamEvents)
	o.Workers = cmp.Or(o.Workers, DefaultWorkers)
	o.AckWait = cmp.Or(o.AckWait, DefaultAckWait)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.Drain = cmp.Or(o.Drain, DefaultDrain)
	o.Batch = cmp.Or(o.Batch, DefaultBatch)
	o.BatchWait = cmp.Or(o.BatchWait, DefaultBatchWait)
	if !batches {
		o.Batch = 1
	}
	o.MaxAckPending = cmp.Or(o.MaxAckPending, max(DefaultMaxAckPending, 2*o.Workers*o.Batch))
	o.MaxBytes = cmp.Or(o.MaxBytes, DefaultMaxBytes)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("consumer", o.Name)
	if o.Monitor == nil {
		o.Monitor = NewMonitor()
	}
	return o, nil
}

// inHand returns how many messages may be in memory: all that are on their way, and no more than the
// workers need where those that are tried again wait on the server.
func (o Options) inHand() int {
	if o.Unordered {
		return min(o.MaxAckPending, max(DefaultMaxAckPending, 2*o.Workers*o.Batch))
	}
	return o.MaxAckPending
}

func checkName(name string) error {
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return fmt.Errorf("%w: name %q: want letters, digits, _ and -", ErrOptions, name)
	}
	return nil
}

// Description is that of the durable consumers that Run makes. Others of the same name are somebody else's.
const Description = "made by bintubridge/consumers"

// config is the durable consumer as it should be. The server counts no tries: the
// runner does, so that the message is copied to DEAD before it is given up.
func (o Options) config() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:        o.Name,
		Description:    Description,
		DeliverPolicy:  o.Start,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        o.AckWait,
		MaxDeliver:     -1,
		MaxAckPending:  o.MaxAckPending,
		FilterSubjects: o.Subjects,
	}
}
