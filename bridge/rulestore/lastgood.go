package rulestore

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// maxHistory bounds how many histories one load asks for.
const maxHistory = 256

// findLastGood puts, for each document that was refused, the newest good version
// of its key in force: from the key's history since its last
// delete, or else what was in force before.
func (n *loading) findLastGood(ctx context.Context, kv jetstream.KeyValue, info *jetstream.StreamInfo) {
	asked := 0
	for key, bad := range n.fresh.invalid.all {
		if n.fresh.docs.get(key).doc != nil || checkKey(key) != nil {
			continue
		}
		if info.Config.MaxMsgsPerSubject > 1 && asked < maxHistory {
			asked++
			good, known, err := history(ctx, kv, bad, info.Config.MaxMsgsPerSubject, n.old)
			if err != nil {
				n.log.Warn("rules: no history of a refused document", "key", key, "revision", bad.Revision, "error", err)
			}
			if known {
				if good.doc != nil {
					n.fallBack(good)
				}
				continue
			}
		}
		if good := n.old.docs.get(key); good.doc != nil {
			n.fallBack(good)
		}
	}
}

// history returns the newest version that compiles of the key of a refused document.
// Limit is how many versions the bucket keeps. Known is false when the history is cut
// off before a good version or a delete, so that it says nothing about what was in force
// before. A shorter one begins with the key: nothing good came before it, and what a
// snapshot has of the key has ended since. Unless it was pushed to meanwhile, which
// takes versions away while they are read.
func history(ctx context.Context, kv jetstream.KeyValue, bad InvalidDocument, limit int64, old *ledger) (good record, known bool, err error) {
	key := bad.Key
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
		v := judge(versionOf(e), old.docs)
		if v.removed {
			return record{}, true, nil
		}
		if v.err == nil {
			return record{doc: v.doc, revision: v.revision}, true, nil
		}
	}
	whole := len(versions) == 0 || versions[len(versions)-1].Revision() == bad.Revision
	return record{}, whole && int64(len(versions)) < limit, nil
}

func versionOf(e jetstream.KeyValueEntry) version {
	return version{
		key: e.Key(), data: e.Value(), removed: e.Operation() != jetstream.KeyValuePut,
		message: message{revision: e.Revision(), time: e.Created()},
	}
}
