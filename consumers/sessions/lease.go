package sessions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

const leaseKey = "active"

var errLeaseLost = errors.New("another instance is the active one now")

// lease says who is the active one. Time is each one's own: who stands by takes over when the
// entry has not changed for that long by its own clock.
type lease struct {
	time     time.Duration // without a renewal, another takes over
	kv       jetstream.KeyValue
	me       []byte
	revision uint64
}

func newLease(kv jetstream.KeyValue, life time.Duration) *lease {
	return &lease{time: life, kv: kv, me: []byte(nuid.Next())}
}

// acquire waits until the lease is ours.
func (l *lease) acquire(ctx context.Context, standby func()) error {
	var seen uint64
	var since time.Time
	for {
		entry, err := l.kv.Get(ctx, leaseKey)
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound):
			l.revision, err = l.kv.Create(ctx, leaseKey, l.me)
		case err != nil:
			return fmt.Errorf("KV %s: %w", l.kv.Bucket(), err)
		case entry.Revision() != seen:
			seen, since = entry.Revision(), time.Now()
			err = errLeaseLost
		case time.Since(since) < l.time:
			err = errLeaseLost
		default:
			l.revision, err = l.kv.Update(ctx, leaseKey, l.me, seen)
		}
		if err == nil {
			return nil
		}
		if !isTaken(err) {
			return fmt.Errorf("KV %s: %w", l.kv.Bucket(), err)
		}
		standby()
		if err := pause(ctx, l.time/10); err != nil {
			return err
		}
	}
}

// hold renews the lease until ctx ends, or it is lost.
func (l *lease) hold(ctx context.Context) error {
	renewed := time.Now()
	for {
		if err := pause(ctx, l.time/4); err != nil {
			return nil //nolint:nilerr // the end
		}
		revision, err := l.renew(ctx)
		switch {
		case err == nil:
			l.revision, renewed = revision, time.Now()
		case isTaken(err), time.Since(renewed) > l.time:
			return fmt.Errorf("%w: %w", errLeaseLost, err)
		}
	}
}

func (l *lease) renew(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, l.time/4)
	defer cancel()
	return l.kv.Update(ctx, leaseKey, l.me, l.revision)
}

// release lets another take over at once.
func (l *lease) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := l.kv.Delete(ctx, leaseKey, jetstream.LastRevision(l.revision)); err != nil {
		return fmt.Errorf("release the lease: %w", err)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// isTaken reports whether another instance has or had the lease meanwhile.
func isTaken(err error) bool {
	return errors.Is(err, errLeaseLost) || errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch)
}
