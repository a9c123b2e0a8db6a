package rulestore

import (
	"context"
	"time"

	"bintubridge/bridge/decide"

	"github.com/nats-io/nats.go/jetstream"
)

// load reads the whole bucket into a new ledger. The old one stays in force
// until all is there; what the bucket no longer has goes with it.
func (f *follower) load(ctx context.Context, w *watch, kv jetstream.KeyValue, info *jetstream.StreamInfo) error {
	old, fresh := f.store.ledger, newLedger()
	fresh.created = info.Created
	told := newRefusals() // revisions of another bucket say nothing
	if old.created.Equal(fresh.created) {
		told = old.invalid
	}
	c := startCompilers(old.docs, func(v verdict) {
		fresh.apply(v)
		if v.err != nil && !told.told(v.key, v.revision) {
			f.refused(v)
		}
	})
	defer c.stop()
	if err := f.receive(ctx, w, c); err != nil {
		return err
	}
	c.finish()
	fresh.reaches(info)
	f.findLastGood(ctx, kv, info, old, fresh)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	table := f.reload(old, fresh)
	f.store.mine.Lock()
	f.store.ledger = fresh
	f.store.mine.Unlock()
	f.resumable = true
	f.swap(table)
	f.log.Info("rules: loaded", "bucket", f.store.opts.Bucket, "revision", fresh.last,
		"documents", fresh.docs.count, "invalid", len(fresh.invalid.all))
	f.tellRest()
	return nil
}

// receive gives the watch's initial messages to the compilers.
func (f *follower) receive(ctx context.Context, w *watch, c *compilers) error {
	stalled := time.NewTimer(requestTimeout)
	defer stalled.Stop()
	for {
		e, err := f.next(ctx, w, stalled.C)
		if err != nil || e == nil {
			return err
		}
		c.add(versionOf(e))
		stalled.Reset(requestTimeout)
	}
}

// reload returns the table of the fresh ledger. Where it is much as the old one,
// only the differences are worked in.
func (f *follower) reload(old, fresh *ledger) *decide.Table {
	if old.docs.count == 0 {
		f.edit = nil
		return fresh.table(f.store.opts.Defaults)
	}
	edit := f.edit // has what the old ledger has and the table in force has not
	f.edit = nil
	if edit == nil {
		edit = f.store.view.Load().table.Edit()
	}
	for r := range old.docs.all() {
		if doc := fresh.docs.get(r.doc.Key()).doc; doc != r.doc {
			edit.Replace(r.doc, doc)
		}
	}
	for r := range fresh.docs.all() {
		if old.docs.get(r.doc.Key()).doc == nil {
			edit.Replace(nil, r.doc)
		}
	}
	return edit.Table(fresh.last)
}
