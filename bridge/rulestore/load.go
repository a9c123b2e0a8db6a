package rulestore

import (
	"context"
	"fmt"
	"time"

	"bintubridge/bridge/decide"

	"github.com/nats-io/nats.go/jetstream"
)

// load reads the whole bucket into a new ledger. The old one stays in force
// until all is there; what the bucket no longer has goes with it.
func (f *follower) load(ctx context.Context, w *watch, kv jetstream.KeyValue, stream jetstream.Stream) error {
	const restFor = 10 // times as long as the load took
	began, info := time.Now(), stream.CachedInfo()
	f.flush() // the table has what the old ledger has
	n := loading{
		follower: f, old: f.store.ledger, fresh: newLedger(int(info.State.NumSubjects)),
		edit: f.store.view.Load().table.Edit(),
	}
	if n.old.docs.count() == 0 {
		n.edit.Expect(int(info.State.NumSubjects))
	}
	n.fresh.created, n.fresh.counted = info.Created, countOf(info)
	n.told = newRefusals() // revisions of another bucket say nothing
	if n.old.created.Equal(info.Created) {
		n.told = n.old.invalid
	}
	n.table = startReplacer(n.edit)
	c := startCompilers(n.old.docs, n.take)
	defer c.stop()
	err := f.receive(ctx, w, c.add)
	if err == nil {
		c.finish()
	}
	n.table.finish()
	if err != nil {
		return err
	}
	n.fresh.reaches(info)
	if err := n.findLastGood(ctx, kv, stream); err != nil {
		return err
	}
	if err := n.sweep(ctx, stream); err != nil {
		return err
	}
	f.store.mine.Lock()
	f.store.ledger = n.fresh
	f.store.mine.Unlock()
	f.resumable = !n.partial
	f.loadTook = time.Since(began)
	f.rested = time.Now().Add(restFor * f.loadTook)
	f.edit = n.edit
	f.swap(n.edit.Table(n.fresh.last))
	if n.old.docs.count() > 0 && n.fresh.docs.count() == 0 {
		f.log.Warn("rules: the bucket has no documents any more, the defaults decide", "bucket", f.store.opts.Bucket, "documents_before", n.old.docs.count())
	}
	f.log.Info("rules: loaded", "bucket", f.store.opts.Bucket, "revision", n.fresh.last,
		"documents", n.fresh.docs.count(), "invalid", len(n.fresh.invalid.all))
	f.tellRest()
	return nil
}

// loading is a bucket being read while another ledger is in force.
type loading struct {
	*follower
	old, fresh *ledger
	edit       *decide.Edit // from the table of the old to that of the fresh
	table      *replacer    // of the edit, while versions come
	told       *refusals    // logged before
	partial    bool         // not all histories could be read
}

func (n *loading) take(v verdict) {
	var before record
	if n.old.docs.count() > 0 && !n.fresh.knows(v.key) {
		before = n.old.docs.get(v.key)
	}
	was, is := n.fresh.apply(v)
	if !was.none() {
		before = was
	}
	n.table.replace(before, is)
	if v.err != nil && !n.told.told(v.key, v.revision) {
		n.refused(v)
	}
}

// replace puts a document in the place of another one of its key.
func replace(edit *decide.Edit, before, is record) {
	if !before.same(is) {
		edit.Replace(before.document(), is.document())
	}
}

// fallBack puts an older good version of a refused document in force.
func (n *loading) fallBack(r record) {
	n.fresh.fallBack(r)
	n.edit.Replace(nil, r.document())
}

// sweep takes out what the bucket no longer has. A key that did not come may be there
// all the same: a push took its version away before that came, and will come itself.
func (n *loading) sweep(ctx context.Context, stream jetstream.Stream) error {
	var missing []record
	for r := range n.old.docs.all() {
		if !n.fresh.knows(r.key) {
			missing = append(missing, r)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, max(requestTimeout, n.loadTook))
	defer cancel()
	prefix := "$KV." + n.store.opts.Bucket + "."
	now, err := stream.Info(ctx, jetstream.WithSubjectFilter(prefix+">"))
	if err != nil {
		return fmt.Errorf("ask bucket %s for its keys: %w", n.store.opts.Bucket, err)
	}
	for _, r := range missing {
		if now.State.Subjects[prefix+r.key] > 0 {
			n.fresh.docs.put(r.document(), r.revision)
		} else {
			n.edit.Replace(r.document(), nil)
		}
	}
	return nil
}

// receive gives on the watch's initial messages.
func (f *follower) receive(ctx context.Context, w *watch, add func(version)) error {
	stalled := time.NewTimer(requestTimeout)
	defer stalled.Stop()
	for {
		e, err := f.next(ctx, w, stalled.C)
		if err != nil || e == nil {
			return err
		}
		add(*e)
		stalled.Reset(requestTimeout)
	}
}
