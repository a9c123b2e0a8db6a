package consumers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrConsumer says that the durable consumer of this name exists and is of another kind.
var ErrConsumer = errors.New("another kind of consumer has this name")

// open returns the durable consumer. A missing one is created; an existing one is never
// altered, and how it differs is told.
func open(ctx context.Context, js jetstream.JetStream, opts Options, watch *Watch) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	want := opts.config()
	cons, err := js.Consumer(ctx, opts.Stream, opts.Name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		cons, err = js.CreateConsumer(ctx, opts.Stream, want)
		if errors.Is(err, jetstream.ErrConsumerExists) { // another instance was faster
			cons, err = js.Consumer(ctx, opts.Stream, opts.Name)
		}
	}
	if errors.Is(err, jetstream.ErrNotPullConsumer) {
		return nil, fmt.Errorf("%w: %s of %s is a push consumer; delete it or choose another name", ErrConsumer, opts.Name, opts.Stream)
	}
	if err != nil {
		return nil, fmt.Errorf("durable consumer %s of %s: %w", opts.Name, opts.Stream, err)
	}
	info := cons.CachedInfo()
	watch.Lag(info.NumPending, uint64(info.NumAckPending))
	have := info.Config
	if have.AckPolicy != jetstream.AckExplicitPolicy {
		return nil, fmt.Errorf("%w: %s of %s has no explicit acks; delete it or choose another name", ErrConsumer, opts.Name, opts.Stream)
	}
	drift := drift(have, want)
	watch.setDrift(drift)
	for _, d := range drift {
		opts.Log.Warn("the durable consumer differs and is left as it is; edit or delete it", "difference", d)
	}
	return cons, nil
}

// drift compares what matters. Where a consumer began is history.
func drift(have, want jetstream.ConsumerConfig) []string {
	var list []string
	differs := func(wrong bool, field string, have, want any) {
		if wrong {
			list = append(list, fmt.Sprintf("%s is %v, want %v", field, have, want))
		}
	}
	a, b := filters(have), filters(want)
	differs(!slices.Equal(a, b), "filter_subjects", a, b)
	differs(have.AckWait != want.AckWait, "ack_wait", have.AckWait, want.AckWait)
	differs(have.MaxDeliver > 0, "max_deliver", have.MaxDeliver, "unlimited: the runner counts")
	differs(have.MaxAckPending != want.MaxAckPending, "max_ack_pending", have.MaxAckPending, want.MaxAckPending)
	differs(len(have.BackOff) > 0, "backoff", have.BackOff, "none: the runner waits")
	return list
}

// ackWaitOf returns the shortest time after which the server gives a message to another.
func ackWaitOf(c jetstream.ConsumerConfig) time.Duration {
	return slices.Min(append(slices.Clone(c.BackOff), c.AckWait))
}

// filters returns the filter subjects in one form and order.
func filters(c jetstream.ConsumerConfig) []string {
	list := slices.Clone(c.FilterSubjects)
	if c.FilterSubject != "" {
		list = append(list, c.FilterSubject)
	}
	slices.Sort(list)
	return list
}
