package rulestore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"bintubridge/bridge/decide"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// requestTimeout bounds each single request to the server.
	requestTimeout = 5 * time.Second
	// maxBatch bounds the changes gathered into one new table, so that a flood
	// of them does not keep the table from being swapped.
	maxBatch = 10_000
	// settling is how long after a reconnect JetStream, or the bucket, may be on its
	// way back: tries follow each other within settlingRetry.
	settling      = 30 * time.Second
	settlingRetry = time.Second
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
// and owns all its fields.
type follower struct {
	store       *Store
	js          jetstream.JetStream
	reconnected <-chan struct{}
	log         *slog.Logger

	resumable bool         // the ledger was loaded whole from the bucket and kept up since
	failures  int          // in a row, since the last reconnect
	settled   time.Time    // settling after the last reconnect
	edit      *decide.Edit // of the table in force; nil before a change
	changed   bool         // the ledger has changes that are not in force yet
	lagging   bool         // the last check found the ledger behind the bucket,
	laggedAt  uint64       // at this revision
	saved     time.Time    // when the saver was last woken
	refusals  int          // told since the last check
	rolledUp  bool         // a message has deleted others, which no check has accounted for
	rollups   time.Time    // before this, no such message is told

	ahead    time.Duration // by how much the server's clock is ahead of this one
	loadTook time.Duration // the last time
	rested   time.Time     // before this, no version that ended has the bucket loaded again
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
			f.failures++
			f.troubled(err)
			f.backOff(ctx)
		}
	}
}

// session is one watch, from its start until something ends it.
func (f *follower) session(ctx context.Context) error {
	f.lagging = false
	stream, err := f.stream(ctx, f.patience()) // before the watch: it accounts for all up to here
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	kv, err := f.bucket(ctx)
	if err != nil {
		return err
	}
	l := f.store.ledger
	resume := f.resumable && info.Created.Equal(l.created) && info.State.LastSeq >= l.last &&
		l.last > 0 && l.seen.revision == l.last
	from := uint64(0)
	if resume {
		from = l.last
	}
	w, err := startWatch(ctx, f.js, f.store.opts.Bucket, from, info.State.LastSeq)
	if err != nil {
		return err
	}
	defer w.stop()
	if resume {
		err = f.catchUp(ctx, w, info)
	} else {
		err = f.load(ctx, w, kv, stream)
	}
	if err != nil {
		return err
	}
	f.recovered()
	return f.keepUp(ctx, w, stream)
}

// patience is how long to wait for the first answer of a session. A request that
// reaches a server while it starts is never answered: hence little at first.
func (f *follower) patience() time.Duration {
	const first, doublings = 250 * time.Millisecond, 5
	return f.soon(min(first<<min(f.failures, doublings), requestTimeout))
}

// soon cuts a wait for the time after a reconnect.
func (f *follower) soon(wait time.Duration) time.Duration {
	if time.Now().Before(f.settled) {
		return min(wait, settlingRetry)
	}
	return wait
}

// next waits for the watch's next entry, nil at the end of the initial load.
func (f *follower) next(ctx context.Context, w *watch, stalled <-chan time.Time) (*version, error) {
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

// onReconnect begins anew: what failed before says nothing of the server now.
func (f *follower) onReconnect(ok bool) error {
	if !ok {
		f.reconnected = nil // a closed channel has nothing more to say
		return errRewatch
	}
	f.failures, f.settled = 0, time.Now().Add(settling)
	return errRewatch
}

// catchUp applies what came while the watch was away. It begins with the newest
// message that was seen: when another one has its revision, or it is gone, the
// bucket may have gone back to an older state and on from there.
func (f *follower) catchUp(ctx context.Context, w *watch, info *jetstream.StreamInfo) error {
	proven := false
	stalled := time.NewTimer(requestTimeout)
	defer stalled.Stop()
	for {
		e, err := f.next(ctx, w, stalled.C)
		if err != nil {
			return err
		}
		if !proven {
			seen := f.store.ledger.seen
			if e == nil || e.revision != seen.revision || !e.time.Equal(seen.time) {
				return fmt.Errorf("%w: revision %d is not the message it was, or is gone", errReload, seen.revision)
			}
			proven = true
			continue
		}
		if e == nil {
			break
		}
		f.take(e)
		stalled.Reset(requestTimeout)
	}
	f.flush()
	f.store.mine.Lock()
	f.store.ledger.reaches(info)
	f.store.mine.Unlock()
	return f.check(ctx, w)
}

// keepUp applies changes as they come and checks now and then.
func (f *follower) keepUp(ctx context.Context, w *watch, stream jetstream.Stream) error {
	ticker := time.NewTicker(f.store.opts.CheckEvery)
	defer ticker.Stop()
	ending := time.NewTimer(f.untilEnding())
	defer ending.Stop()
	for {
		ending.Reset(f.untilEnding())
		select {
		case e, ok := <-w.updates:
			if !ok {
				return errors.New("the watch ended")
			}
			f.take(e)
			f.drain(w)
			f.flush()
			if f.rolledUp {
				if err := f.check(ctx, w); err != nil {
					return err
				}
			}
		case _, ok := <-f.reconnected:
			return f.onReconnect(ok)
		case <-ticker.C:
			f.tellRest()
			if err := f.check(ctx, w); err != nil {
				return err
			}
		case <-ending.C:
			if len(w.updates) > 0 {
				continue // its end may be among them
			}
			if err := f.accountForEndings(ctx, stream); errors.Is(err, errVanished) {
				return err
			} // what was not answered, the next check asks for again
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

// take applies one change to the ledger.
func (f *follower) take(e *version) {
	if e == nil {
		return
	}
	if e.rollup {
		f.rolledUp = true
		f.tellRollup(e)
	}
	l := f.store.ledger
	told := l.invalid.told(e.key, e.revision)
	v := judge(*e, l.docs)
	f.store.mine.Lock()
	was, is := l.apply(v)
	f.store.mine.Unlock()
	if f.edit == nil {
		f.edit = f.store.view.Load().table.Edit()
	}
	replace(f.edit, was, is)
	f.changed = true
	if v.err != nil && !told {
		f.refused(v)
	}
}

// tellRollup logs a message that has deleted all others, the first of a minute.
func (f *follower) tellRollup(e *version) {
	now := time.Now()
	if now.Before(f.rollups) {
		return
	}
	f.rollups = now.Add(time.Minute)
	f.log.Warn("rules: one message has deleted all other documents of the bucket; who may write one key of it may do so",
		"key", e.key, "revision", e.revision)
}

// refused logs a document that does not compile, up to a number that leaves the
// log readable.
func (f *follower) refused(v verdict) {
	if f.refusals++; f.refusals <= maxInvalidShown {
		f.log.Error("rules: document refused, the last good version of its key stays in force; 0: there is none",
			"key", v.key, "revision", v.revision, "in_force", f.store.ledger.docs.get(v.key).revision, "error", v.err)
	}
}

// tellRest logs how many refused documents were not logged one by one.
func (f *follower) tellRest() {
	if more := f.refusals - maxInvalidShown; more > 0 {
		f.log.Error("rules: more documents refused", "documents", more)
	}
	f.refusals = 0
}

// flush puts changes of the ledger in force, if there are any.
func (f *follower) flush() {
	if !f.changed {
		return
	}
	f.changed = false
	f.swap(f.edit.Table(f.store.ledger.last))
}

// swap puts a table in force and has it saved.
func (f *follower) swap(table *decide.Table) {
	f.store.touch()
	f.store.publish(table, SourceKV)
	f.save()
}

func (f *follower) save() {
	if f.store.saver != nil {
		f.store.saver.changed()
		f.saved = time.Now()
	}
}

// troubled notes why the bucket cannot be followed, and logs it when that is new.
func (f *follower) troubled(err error) {
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
	limit = f.soon(limit)
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
