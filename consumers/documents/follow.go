// Package documents reads the KV buckets that tell consumers what to do: one key, one document. When
// one cannot be understood the version before it stays in force, and the others are as they were.
package documents

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"bintubridge/subjects"

	"github.com/nats-io/nats.go/jetstream"
)

// Document is one key of a bucket.
type Document struct {
	Key      string
	Value    []byte
	Revision uint64
	Earlier  []Document // versions that the bucket still keeps, since the key was deleted last, the newest first
}

const (
	lookEvery      = time.Second
	requestTimeout = 5 * time.Second
)

// Follow gives all documents of the bucket to apply, at first and whenever one has changed, until
// ctx ends. It asks the server every second whether something has changed: that is one small
// request, and nothing is missed when the server restarts or the bucket is made anew. looked is
// told of each look: nil when apply has what the bucket has, or why it is not known.
func Follow(ctx context.Context, js jetstream.JetStream, bucket string, log *slog.Logger, apply func([]Document), looked func(error)) {
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
		if ctx.Err() != nil {
			return
		}
		looked(err)
		if err != nil && !silent {
			log.Warn("the documents cannot be read; the last ones stay in force", "bucket", bucket, "error", err)
		}
		silent = err != nil
		pause(ctx, lookEvery)
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
	w, err := kv.WatchAll(ctx, jetstream.IncludeHistory())
	if err != nil {
		return nil, fmt.Errorf("KV %s: %w", bucket, err)
	}
	defer func() { _ = w.Stop() }() // of no interest any more
	l := loading{at: map[string]int{}, all: []Document{}}
	for {
		select {
		case entry, ok := <-w.Updates():
			switch {
			case !ok:
				return nil, fmt.Errorf("KV %s: the load broke off", bucket)
			case entry == nil:
				return l.living(), nil
			}
			l.add(entry)
		case <-ctx.Done():
			return nil, fmt.Errorf("KV %s: %w", bucket, ctx.Err())
		}
	}
}

// loading puts the versions of each key together.
type loading struct {
	at  map[string]int // by key, in all
	all []Document     // those that are deleted have no revision
}

// add takes the entries of a key in the order of their revisions.
func (l *loading) add(entry jetstream.KeyValueEntry) {
	next := Document{Key: entry.Key()}
	i, known := l.at[next.Key]
	if !known {
		i = len(l.all)
		l.at[next.Key], l.all = i, append(l.all, next)
	}
	if entry.Operation() == jetstream.KeyValuePut {
		next.Value, next.Revision = entry.Value(), entry.Revision()
		if last := l.all[i]; last.Revision > 0 {
			next.Earlier = append([]Document{{Key: last.Key, Value: last.Value, Revision: last.Revision}}, last.Earlier...)
		}
	}
	l.all[i] = next
}

func (l *loading) living() []Document {
	return slices.DeleteFunc(l.all, func(d Document) bool { return d.Revision == 0 })
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
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
