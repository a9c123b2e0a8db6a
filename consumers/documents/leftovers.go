package documents

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"bintubridge/consumers"

	"github.com/nats-io/nats.go/jetstream"
)

// Leftovers finds the durable consumers of documents that are gone. Its methods are of one goroutine.
type Leftovers struct {
	JS     jetstream.JetStream
	Bucket string // of the documents
	Stream string // of the consumers
	Prefix string // of their names, before the key

	known map[string]bool // keys that were applied last
	gone  map[string]bool // keys that had no document at the last look
	next  time.Time       // of a look, while nothing changes
}

// findEvery is how often it is looked while nothing changes: another instance may have made anew what
// was deleted, while it did not know.
const findEvery = time.Minute

// Applied says what was applied: it is time to look.
func (l *Leftovers) Applied(all []Document) {
	l.known, l.next = keys(all), time.Time{}
}

func keys(all []Document) map[string]bool {
	set := make(map[string]bool, len(all))
	for _, d := range all {
		set[d.Key] = true
	}
	return set
}

// Look is called after each look at the documents. It returns the keys that have a consumer, and had no
// document now and at the look before: what was applied is old by now, and other instances, which are not
// in step, have seen it too. A message that is stored for a document of such a key from now on is behind
// the sequence.
func (l *Leftovers) Look(ctx context.Context) (left []string, sequence uint64, err error) {
	if time.Now().Before(l.next) {
		return nil, 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := l.JS.Stream(ctx, l.Stream)
	if err != nil {
		return nil, 0, fmt.Errorf("stream %s: %w", l.Stream, err)
	}
	gone, err := l.unknown(ctx, stream)
	if err != nil {
		return nil, 0, err
	}
	if len(gone) > 0 {
		all, err := Load(ctx, l.JS, l.Bucket)
		if err != nil {
			return nil, 0, err
		}
		for key := range keys(all) {
			delete(gone, key)
		}
	}
	for key := range gone {
		if l.gone[key] {
			left = append(left, key)
		}
	}
	if l.gone = gone; len(gone) == 0 {
		l.next = time.Now().Add(findEvery)
	}
	return left, stream.CachedInfo().State.LastSeq, nil
}

// unknown returns the keys of consumers that are none of what was applied. What package consumers has not
// made is left alone, whatever its name.
func (l *Leftovers) unknown(ctx context.Context, stream jetstream.Stream) (map[string]bool, error) {
	set := map[string]bool{}
	names := stream.ConsumerNames(ctx)
	for name := range names.Name() {
		if key, ok := strings.CutPrefix(name, l.Prefix); ok && !l.known[key] {
			set[key] = true
		}
	}
	if err := names.Err(); err != nil {
		return nil, fmt.Errorf("consumers of %s: %w", l.Stream, err)
	}
	for key := range set {
		cons, err := stream.Consumer(ctx, l.Prefix+key)
		switch {
		case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrNotPullConsumer):
			delete(set, key)
		case err != nil:
			return nil, fmt.Errorf("consumer %s of %s: %w", l.Prefix+key, l.Stream, err)
		case cons.CachedInfo().Config.Description != consumers.Description:
			delete(set, key)
		}
	}
	return set, nil
}
