package rulestore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// info reads the state of the bucket's stream.
func (f *follower) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	name := f.store.opts.Bucket
	stream, err := f.js.Stream(ctx, "KV_"+name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("bucket %s: %w; create it or set another name", name, jetstream.ErrBucketNotFound)
	}
	if errors.Is(err, nats.ErrReconnectBufExceeded) { // how the client says it while nothing is buffered
		err = nats.ErrDisconnected
	}
	if err != nil {
		return nil, fmt.Errorf("read state of bucket %s: %w", name, err)
	}
	return stream.CachedInfo(), nil
}

func (f *follower) bucket(ctx context.Context) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	kv, err := f.js.KeyValue(ctx, f.store.opts.Bucket)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", f.store.opts.Bucket, err)
	}
	return kv, nil
}

// check compares the bucket with the ledger. An error ends the session: a watch
// looks healthy, and is silent, when its bucket was replaced under it. A server
// that does not answer is no such error: the watch may well be in order.
func (f *follower) check(ctx context.Context, w *watch) error {
	info, err := f.info(ctx)
	if errors.Is(err, jetstream.ErrBucketNotFound) || ctx.Err() != nil {
		return err
	}
	if err != nil {
		f.failed(err)
		return nil
	}
	f.drain(w)
	f.flush()
	f.recovered()
	l := f.store.ledger
	switch last := info.State.LastSeq; {
	case !info.Created.Equal(l.created):
		return fmt.Errorf("%w: it was deleted and created again", errReload)
	case last < l.last:
		return fmt.Errorf("%w: it ends at revision %d, %d was seen", errReload, last, l.last)
	case last > l.last:
		// On its way, most likely. But a watch that made no step since the last
		// check, or a message that was removed before it came, ends here.
		if f.lagging && f.laggedAt == l.last {
			return fmt.Errorf("%w: the watch stays at revision %d of %d", errReload, l.last, last)
		}
		f.lagging, f.laggedAt = true, l.last
		return nil
	case info.State.NumSubjects != uint64(len(l.seen)):
		// All messages were seen, so the bucket can only have fewer keys: some
		// went without a message, or a marker expired.
		return fmt.Errorf("%w: it has %d, %d are known", errVanished, info.State.NumSubjects, len(l.seen))
	}
	f.lagging = false
	f.store.touch()
	f.refreshSnapshot()
	return nil
}

// refreshSnapshot saves the time of contact often enough that a bridge that was
// killed and comes back does not take its rules for much older than they are.
func (f *follower) refreshSnapshot() {
	const perLimit = 4
	limit := f.store.opts.StaleAfter
	if limit > 0 && time.Since(f.offered) >= limit/perLimit {
		f.save()
	}
}

// maxHistory bounds how many histories one load asks for.
const maxHistory = 256

// findLastGood puts, for each document that was refused, the newest good version
// of its key into the fresh ledger: from the key's history since its last
// delete, or else what was in force before.
func (f *follower) findLastGood(ctx context.Context, kv jetstream.KeyValue, info *jetstream.StreamInfo, old, fresh *ledger) {
	asked := 0
	for key, bad := range fresh.invalid {
		if _, ok := fresh.docs[key]; ok || checkKey(key) != nil {
			continue
		}
		if info.Config.MaxMsgsPerSubject > 1 && asked < maxHistory {
			asked++
			good, known, err := f.history(ctx, kv, key, info.Config.MaxMsgsPerSubject, old)
			if err != nil {
				f.log.Warn("rules: no history of a refused document", "key", key, "revision", bad.Revision, "error", err)
			}
			if known {
				if good.doc != nil {
					fresh.docs[key] = good
				}
				continue
			}
		}
		if good, ok := old.docs[key]; ok {
			fresh.docs[key] = good
		}
	}
}

// history returns the newest version of key that compiles. Limit is how many
// versions the bucket keeps. Known is false when the history is cut off before a
// good version or a delete, so that it says nothing about what was in force
// before. A shorter one begins with the key: nothing good came before it, and what a
// snapshot has of the key has ended since.
func (f *follower) history(ctx context.Context, kv jetstream.KeyValue, key string, limit int64, old *ledger) (good record, known bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	versions, err := kv.History(ctx, key)
	if err == nil {
		err = ctx.Err() // the library ends a history that timed out like a whole one
	}
	if err != nil {
		return record{}, false, fmt.Errorf("read history of key %s: %w", key, err)
	}
	for i := len(versions) - 1; i >= 0; i-- {
		e := versions[i]
		if e.Operation() != jetstream.KeyValuePut {
			return record{}, true, nil
		}
		if good, err := compile(key, e.Value(), e.Revision(), old); err == nil {
			return good, true, nil
		}
	}
	return record{}, int64(len(versions)) < limit, nil
}
