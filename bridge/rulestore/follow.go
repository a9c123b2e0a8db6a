package rulestore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// requestTimeout bounds each single request to the server.
	requestTimeout = 5 * time.Second
	// maxBatch bounds the changes gathered into one new table, so that a flood
	// of them does not keep the table from being swapped.
	maxBatch = 10_000
)

var (
	// errRewatch ends a session whose watch cannot be trusted any more.
	errRewatch = errors.New("watch again")
	// errReload ends a session when what is known cannot be trusted either.
	errReload = errors.New("load the bucket again")
	// errVanished is the harmless kind of errReload: a marker that expired.
	errVanished = fmt.Errorf("%w: keys or markers went without a message", errReload)
)

// follower keeps the store's ledger equal to the bucket. It is one goroutine
// and owns all its fields and the ledger.
type follower struct {
	store       *Store
	js          jetstream.JetStream
	reconnected <-chan struct{}
	log         *slog.Logger

	resumable bool      // the ledger was loaded whole from the bucket and kept up since
	failures  int       // in a row
	dirty     bool      // the ledger has changes that are not in force yet
	lagging   bool      // the last check found the ledger behind the bucket,
	laggedAt  uint64    // at this revision
	offered   time.Time // when the saver last got a snapshot
}

// run follows until the context ends, one session after the other.
func (f *follower) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := f.session(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errReload):
			f.resumable = false
			level := slog.LevelWarn
			if errors.Is(err, errVanished) {
				level = slog.LevelInfo
			}
			f.log.Log(ctx, level, "rules: loading the bucket again", "bucket", f.store.opts.Bucket, "cause", err)
		case errors.Is(err, errRewatch):
		default:
			f.failed(err)
			f.backOff(ctx)
		}
	}
}

// session is one watch, from its start until something ends it.
func (f *follower) session(ctx context.Context) error {
	f.lagging = false
	info, err := f.info(ctx) // before the watch: it accounts for all up to here
	if err != nil {
		return err
	}
	kv, err := f.bucket(ctx)
	if err != nil {
		return err
	}
	l := f.store.ledger
	resume := f.resumable && info.Created.Equal(l.created) && info.State.LastSeq >= l.last
	from := uint64(0)
	if resume {
		from = l.last + 1
	}
	w, err := startWatch(ctx, kv, from)
	if err != nil {
		return err
	}
	defer w.stop()
	if resume {
		err = f.catchUp(ctx, w)
	} else {
		err = f.load(ctx, w, kv, info)
	}
	if err != nil {
		return err
	}
	f.recovered()
	return f.keepUp(ctx, w)
}

// next waits for the watch's next entry, nil at the end of the initial load.
func (f *follower) next(ctx context.Context, w *watch, stalled <-chan time.Time) (jetstream.KeyValueEntry, error) {
	select {
	case e, ok := <-w.updates:
		if !ok {
			return nil, errors.New("the watch ended")
		}
		return e, nil
	case _, ok := <-f.reconnected:
		return nil, f.onReconnect(ok)
	case <-stalled:
		return nil, errors.New("the watch is silent while it should load")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *follower) onReconnect(ok bool) error {
	if !ok {
		f.reconnected = nil // a closed channel has nothing more to say
	}
	return errRewatch
}

// load reads the whole bucket into a new ledger. The old one stays in force
// until all is there; what the bucket no longer has goes with it.
func (f *follower) load(ctx context.Context, w *watch, kv jetstream.KeyValue, info *jetstream.StreamInfo) error {
	old, fresh := f.store.ledger, newLedger()
	fresh.created, fresh.last = info.Created, info.State.LastSeq
	stalled := time.NewTimer(requestTimeout)
	defer stalled.Stop()
	for {
		e, err := f.next(ctx, w, stalled.C)
		if err != nil {
			return err
		}
		if e == nil {
			break
		}
		if err := fresh.apply(e, old); err != nil {
			f.refused(e, err, old.created.Equal(fresh.created) && old.invalid[e.Key()].Revision == e.Revision())
		}
		stalled.Reset(requestTimeout)
	}
	f.findLastGood(ctx, kv, info, old, fresh)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f.store.ledger = fresh
	f.resumable = true
	f.swap()
	f.log.Info("rules: loaded", "bucket", f.store.opts.Bucket, "revision", fresh.last,
		"documents", len(fresh.docs), "invalid", len(fresh.invalid))
	return nil
}

// catchUp applies what came while the watch was away, and then makes sure that
// no delete was missed: its marker may have expired meanwhile.
func (f *follower) catchUp(ctx context.Context, w *watch) error {
	stalled := time.NewTimer(requestTimeout)
	defer stalled.Stop()
	for {
		e, err := f.next(ctx, w, stalled.C)
		if err != nil {
			return err
		}
		if e == nil {
			break
		}
		f.take(e)
		stalled.Reset(requestTimeout)
	}
	f.flush()
	return f.check(ctx, w)
}

// keepUp applies changes as they come and checks now and then.
func (f *follower) keepUp(ctx context.Context, w *watch) error {
	ticker := time.NewTicker(f.store.opts.CheckEvery)
	defer ticker.Stop()
	for {
		select {
		case e, ok := <-w.updates:
			if !ok {
				return errors.New("the watch ended")
			}
			f.take(e)
			f.drain(w)
			f.flush()
		case _, ok := <-f.reconnected:
			return f.onReconnect(ok)
		case <-ticker.C:
			if err := f.check(ctx, w); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// drain takes what is queued already.
func (f *follower) drain(w *watch) {
	for range maxBatch {
		select {
		case e, ok := <-w.updates:
			if !ok {
				return // keepUp sees the closed channel too
			}
			f.take(e)
		default:
			return
		}
	}
}

// take applies one change to the ledger in use.
func (f *follower) take(e jetstream.KeyValueEntry) {
	if e == nil {
		return
	}
	f.dirty = true
	l := f.store.ledger
	told := l.invalid[e.Key()].Revision == e.Revision()
	if err := l.apply(e, l); err != nil {
		f.refused(e, err, told)
	}
}

// refused logs a document that does not compile, once for each revision.
func (f *follower) refused(e jetstream.KeyValueEntry, err error, told bool) {
	if !told {
		f.log.Error("rules: document refused, the last good version of its key stays in force",
			"key", fmt.Sprintf("%q", e.Key()), "revision", e.Revision(), "error", err)
	}
}

// flush puts changes of the ledger in force, if there are any.
func (f *follower) flush() {
	if f.dirty {
		f.swap()
	}
}

// swap puts the ledger in force and has it saved.
func (f *follower) swap() {
	f.dirty = false
	f.store.touch()
	f.store.publish(SourceKV)
	f.save()
}

func (f *follower) save() {
	if f.store.saver != nil {
		f.store.saver.offer(f.store.snapshot())
		f.offered = time.Now()
	}
}

// failed notes why the bucket cannot be followed, and logs it when that is new.
func (f *follower) failed(err error) {
	f.failures++
	if text := err.Error(); text != *f.store.trouble.Load() {
		f.store.setTrouble(text)
		f.log.Warn("rules: cannot follow the bucket, deciding by what is known", "bucket", f.store.opts.Bucket, "error", err)
	}
}

func (f *follower) recovered() {
	f.failures = 0
	f.store.setTrouble("")
}

// backOff waits before the next try: twice as long after each failure, with
// jitter, so that many bridges do not come back at once. A reconnect ends it.
func (f *follower) backOff(ctx context.Context) {
	limit := f.store.opts.RetryMax
	if doublings := f.failures - 1; doublings < 16 {
		limit = min(limit, f.store.opts.RetryMin<<doublings)
	}
	wait := limit/2 + rand.N(limit/2+1) //nolint:gosec // G404: jitter is no secret
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case _, ok := <-f.reconnected:
		_ = f.onReconnect(ok) // the next session starts in any case
	case <-ctx.Done():
	}
}
