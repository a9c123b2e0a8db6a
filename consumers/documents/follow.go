// Package documents reads the KV buckets that tell consumers what to do: one key, one document. A
// document that cannot be understood is told of, and leaves the others as they are.
package documents

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"bintubridge/subjects"

	"github.com/nats-io/nats.go/jetstream"
)

// Document is one key of a bucket.
type Document struct {
	Key      string
	Value    []byte
	Revision uint64
}

const (
	lookEvery      = time.Second
	requestTimeout = 5 * time.Second
)

// Follow gives all documents of the bucket to apply, at first and whenever one has changed, until
// ctx ends. It asks the server every second whether something has changed: that is one small
// request, and nothing is missed when the server restarts or the bucket is made anew.
func Follow(ctx context.Context, js jetstream.JetStream, bucket string, log *slog.Logger, apply func([]Document)) {
	var at state
	silent := false
	for ctx.Err() == nil {
		next, err := look(ctx, js, bucket)
		if err == nil && next != at {
			var all []Document
			if all, err = Load(ctx, js, bucket); err == nil {
				apply(all)
				at = next // what changed since then is seen at the next look
			}
		}
		if err != nil && !silent && ctx.Err() == nil {
			log.Warn("the documents cannot be read; the last ones stay in force", "bucket", bucket, "error", err)
		}
		silent = err != nil
		pause(ctx)
	}
}

// state is what changes with every write to a bucket.
type state struct {
	created int64
	last    uint64
	count   uint64
}

func look(ctx context.Context, js jetstream.JetStream, bucket string) (state, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s, err := js.Stream(ctx, "KV_"+bucket)
	if err != nil {
		return state{}, fmt.Errorf("KV %s: %w", bucket, err)
	}
	info := s.CachedInfo()
	return state{info.Created.UnixNano(), info.State.LastSeq, info.State.Msgs}, nil
}

// Load reads all documents of the bucket.
func Load(ctx context.Context, js jetstream.JetStream, bucket string) ([]Document, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	kv, err := js.KeyValue(ctx, bucket)
	if err != nil {
		return nil, fmt.Errorf("KV %s: %w", bucket, err)
	}
	w, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("KV %s: %w", bucket, err)
	}
	defer func() { _ = w.Stop() }() // of no interest any more
	all := []Document{}
	for {
		select {
		case entry, ok := <-w.Updates():
			switch {
			case !ok:
				return nil, fmt.Errorf("KV %s: the load broke off", bucket)
			case entry == nil:
				return all, nil
			}
			all = append(all, Document{entry.Key(), entry.Value(), entry.Revision()})
		case <-ctx.Done():
			return nil, fmt.Errorf("KV %s: %w", bucket, ctx.Err())
		}
	}
}

func pause(ctx context.Context) {
	t := time.NewTimer(lookEvery)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// CheckKey refuses keys that cannot be the name of a consumer and a token of a subject.
func CheckKey(key string) error {
	if key == "" || len(key) > 64 || string(subjects.AppendToken(nil, key)) != key {
		return fmt.Errorf("key %q: want up to 64 letters, digits, _ and -", key)
	}
	return nil
}
