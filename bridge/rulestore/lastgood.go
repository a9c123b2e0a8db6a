package rulestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// findLastGood puts, for each document that was refused, the newest good version
// of its key in force: from the key's history since its last
// delete, or else what was in force before.
func (n *loading) findLastGood(ctx context.Context, kv jetstream.KeyValue, stream jetstream.Stream) error {
	info := stream.CachedInfo()
	wanted := map[string]*lineage{}
	for key := range n.fresh.invalid.all {
		if n.fresh.docs.get(key).none() && checkKey(key) == nil {
			wanted[key] = &lineage{}
		}
	}
	limit := info.Config.MaxMsgsPerSubject
	if limit > 1 && len(wanted) > 0 {
		if err := n.readHistories(ctx, kv, info, wanted); err != nil {
			return err
		}
	}
	for key, h := range wanted {
		before, good := n.old.docs.get(key), h.good
		if !h.read || !h.settled && !before.none() && !n.begins(ctx, stream, key, h) {
			good = before
		}
		if !good.none() {
			n.fallBack(good)
		}
	}
	return ctx.Err()
}

// begins reports whether a history begins with its key: nothing good came before it, and
// what was in force before, or a snapshot has, ended since. It has fewer versions than the
// bucket keeps then, and the key was not pushed to meanwhile, which takes versions away
// before they are read.
func (n *loading) begins(ctx context.Context, stream jetstream.Stream, key string, h *lineage) bool {
	if h.versions >= stream.CachedInfo().Config.MaxMsgsPerSubject {
		return false
	}
	newest, err := n.newest(ctx, stream, key)
	if err != nil {
		n.partial = true
		n.log.Warn("rules: history of a refused document may not be whole", "key", key, "error", err)
	}
	return err == nil && newest == h.last
}

// oneHistory is about how many messages of a long read come in the time that it takes
// to ask for one history.
const oneHistory = 500

// readHistories asks for one history after the other, or reads them among those of all
// keys, whichever takes less. Where that fails it is logged, and what is loaded is no
// base to go on from: the next session loads again.
func (n *loading) readHistories(ctx context.Context, kv jetstream.KeyValue, info *jetstream.StreamInfo, wanted map[string]*lineage) error {
	if n.onlyOnes(info, wanted) {
		return nil
	}
	var err error
	if uint64(len(wanted))*oneHistory > info.State.Msgs {
		err = n.readAll(ctx, info.State.LastSeq, wanted)
	} else {
		err = n.readEach(ctx, kv, wanted)
	}
	if ctx.Err() != nil || errors.Is(err, errRewatch) {
		return err
	}
	if err != nil {
		n.partial = true
		n.log.Warn("rules: histories of refused documents could not be read", "documents", len(wanted), "error", err)
	}
	return nil
}

// onlyOnes notes the histories of a bucket that has one version of each key: there is
// nothing to read.
func (n *loading) onlyOnes(info *jetstream.StreamInfo, wanted map[string]*lineage) bool {
	if info.State.Msgs != info.State.NumSubjects || n.fresh.last != info.State.LastSeq {
		return false
	}
	for key, h := range wanted {
		*h = lineage{read: true, versions: 1, last: n.fresh.invalid.all[key].Revision}
	}
	return true
}

// readAll reads the whole bucket, and of it the histories that are wanted.
func (n *loading) readAll(ctx context.Context, last uint64, wanted map[string]*lineage) error {
	const first = 1
	w, err := startWatch(ctx, n.js, n.store.opts.Bucket, first, last)
	if err != nil {
		return err
	}
	defer w.stop()
	err = n.receive(ctx, w, func(v version) {
		if h := wanted[v.key]; h != nil {
			h.take(judge(v, n.old.docs))
		}
	})
	if err != nil {
		return fmt.Errorf("read all of bucket %s: %w", n.store.opts.Bucket, err)
	}
	for _, h := range wanted {
		h.read = true
	}
	return nil
}

// readEach asks for each history. The error is the last one.
func (n *loading) readEach(ctx context.Context, kv jetstream.KeyValue, wanted map[string]*lineage) (last error) {
	for key, h := range wanted {
		if err := n.readOne(ctx, kv, key, h); err != nil {
			last = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return last
}

func (n *loading) readOne(ctx context.Context, kv jetstream.KeyValue, key string, h *lineage) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	versions, err := kv.History(ctx, key)
	if err == nil || errors.Is(err, jetstream.ErrKeyNotFound) {
		err = ctx.Err() // the library ends a history that timed out like a whole one
	}
	if err != nil {
		return fmt.Errorf("read history of key %s: %w", key, err)
	}
	for _, e := range versions {
		h.take(judge(versionOf(e), n.old.docs))
	}
	h.read = true
	return nil
}

func versionOf(e jetstream.KeyValueEntry) version {
	return version{
		key: e.Key(), data: e.Value(), removed: e.Operation() != jetstream.KeyValuePut,
		message: message{revision: e.Revision(), time: e.Created()},
	}
}

// lineage is what a key's history says of what was in force.
type lineage struct {
	read     bool   // to its end
	good     record // the newest version that compiles, since the last delete
	settled  bool   // there was such a version, or a delete
	versions int64
	last     uint64
}

// take adds a version, of which the oldest comes first.
func (h *lineage) take(v verdict) {
	h.versions, h.last = h.versions+1, v.revision
	switch {
	case v.removed:
		h.good, h.settled = record{}, true
	case v.err == nil:
		h.good, h.settled = recordOf(v.doc, v.revision), true
	}
}
