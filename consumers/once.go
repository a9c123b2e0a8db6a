package consumers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bintubridge/subjects"

	"github.com/nats-io/nats.go/jetstream"
)

// Once returns a Handler that passes by the messages that h has done before, as told by
// their ids in the bucket, which needs per-key TTLs. A mark is kept for ttl. Between the
// end of h and its mark a process may die: then h is called again. Where the effect
// is in a database, put the id there, in the same transaction; that has no such gap.
func Once(kv jetstream.KeyValue, name string, ttl time.Duration, h Handler) Handler {
	return func(ctx context.Context, m *Message) error {
		key := name + "." + string(subjects.AppendToken(nil, m.ID))
		_, err := kv.Get(ctx, key)
		if err == nil {
			return nil
		}
		if !errors.Is(err, jetstream.ErrKeyNotFound) {
			return fmt.Errorf("look for the mark of %s: %w", m.ID, err)
		}
		if err := h(ctx, m); err != nil {
			return err
		}
		_, err = kv.Create(ctx, key, nil, jetstream.KeyTTL(ttl))
		if err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
			return fmt.Errorf("mark %s as done: %w", m.ID, err)
		}
		return nil
	}
}
