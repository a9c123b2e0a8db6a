package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

// pushesInFlight bounds what is pushed and not acked.
const pushesInFlight = 4096

// document returns rule document i. Most allow one name, the i-th; in each hundred one
// is for a prefix and one for a network, and no request of ours matches these. Its version
// makes it another text.
func document(i, version int) []byte {
	condition := fmt.Sprintf(`"name":["`+nameFormat+`"],"app":["live"],"calls":["publish","play","update_publish"]`, i)
	switch i % 100 {
	case 98:
		condition = fmt.Sprintf(`"name":["team-%d-*"],"app":["live"]`, i)
	case 99:
		condition = fmt.Sprintf(`"addr":["10.%d.%d.0/24"],"custom":{"team":["red","blue"]}`, i>>8&255, i&255)
	}
	return fmt.Appendf(nil, `{"rules":[{"id":"ingest","effect":"allow",%s,"reason":"contract %d"}]}`, condition, version)
}

// bucketUnread is one that nobody reads: pushes into it show what NATS and the pusher
// take of the machine.
const bucketUnread = "unread"

func createUnread(ctx context.Context, js jetstream.JetStream) error {
	cfg := jetstream.KeyValueConfig{Bucket: bucketUnread, History: provision.RulesHistory}
	if _, err := js.CreateKeyValue(ctx, cfg); err != nil {
		return fmt.Errorf("bucket %s: %w", bucketUnread, err)
	}
	return nil
}

func ruleSubject(bucket string, i int) string { return fmt.Sprintf("$KV.%s.acme.%d", bucket, i) }

// pushAll writes n rule documents into the bucket.
func pushAll(ctx context.Context, js jetstream.JetStream, n int) error {
	var acks []jetstream.PubAckFuture
	settle := func(keep int) error {
		for len(acks) > keep {
			if err := settlePush(ctx, acks[0]); err != nil {
				return err
			}
			acks = acks[1:]
		}
		return nil
	}
	for i := range n {
		ack, err := js.PublishAsync(ruleSubject(subjects.BucketRules, i), document(i, 0))
		if err != nil {
			return fmt.Errorf("push rules: %w", err)
		}
		acks = append(acks, ack)
		if err := settle(pushesInFlight / 2); err != nil {
			return err
		}
	}
	return settle(0)
}

func settlePush(ctx context.Context, ack jetstream.PubAckFuture) error {
	select {
	case <-ack.Ok():
		return nil
	case err := <-ack.Err():
		return fmt.Errorf("push rules: %w", err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pusher pushes rules at a steady rate until it is stopped.
type pusher struct {
	cancel context.CancelFunc
	done   chan error
	pushed atomic.Uint64 // acked
}

// startPusher pushes new versions of n documents into a bucket, rate a second, chosen at random; at
// least one, however soon it is stopped.
func startPusher(js jetstream.JetStream, bucket string, n, rate int) *pusher {
	ctx, cancel := context.WithCancel(context.Background())
	p := &pusher{cancel: cancel, done: make(chan error, 1)}
	go func() { p.done <- p.run(ctx, js, bucket, n, rate) }()
	return p
}

func (p *pusher) run(ctx context.Context, js jetstream.JetStream, bucket string, n, rate int) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	plan := schedule{rate: rate}
	var flying []jetstream.PubAckFuture
	for sent := uint64(0); ; {
		var err error
		if flying, err = p.reap(flying); err != nil {
			return err
		}
		for now := time.Since(began); len(flying) < pushesInFlight/2; sent++ {
			if _, due := plan.due(sent, now); !due {
				break
			}
			i := rand.N(n) //nolint:gosec // a choice of no consequence
			ack, err := js.PublishAsync(ruleSubject(bucket, i), document(i, int(sent)+1))
			if err != nil {
				return fmt.Errorf("push rules: %w", err)
			}
			flying = append(flying, ack)
		}
		select {
		case <-ctx.Done():
			for len(flying) > 0 { // they are on their way
				if err := settlePush(context.Background(), flying[0]); err != nil {
					return err
				}
				flying = flying[1:]
				p.pushed.Add(1)
			}
			return nil
		case <-tick.C:
		}
	}
}

// reap counts what was acked, oldest first, and returns what is still in flight.
func (p *pusher) reap(flying []jetstream.PubAckFuture) ([]jetstream.PubAckFuture, error) {
	for len(flying) > 0 {
		select {
		case <-flying[0].Ok():
			flying = flying[1:]
			p.pushed.Add(1)
		case err := <-flying[0].Err():
			return flying, fmt.Errorf("push rules: %w", err)
		default:
			return flying, nil
		}
	}
	return flying, nil
}

// stop returns how many versions were pushed, once all are acked.
func (p *pusher) stop() (uint64, error) {
	p.cancel()
	err := <-p.done
	return p.pushed.Load(), err
}
