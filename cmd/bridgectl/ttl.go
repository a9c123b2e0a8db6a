package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ttlDisabled is the server's error code for a TTL in a bucket that takes none.
const ttlDisabled jetstream.ErrorCode = 10166

// checkTTL refuses what the server would cut off or refuse: it counts whole seconds.
func checkTTL(ttl time.Duration) error {
	if ttl < 0 || ttl%time.Second != 0 {
		return usageError{errors.New("--ttl: want whole seconds, at least 1s")}
	}
	return nil
}

// opened is the server's time, which TTLs go by, when the bucket was opened.
func (b *bucket) opened() time.Time { return cmp.Or(b.stream.CachedInfo().TimeStamp, time.Now()) }

// left returns what is left at a time of the version's TTL in whole seconds, 0 when it
// has none. It is an error when nothing is.
func (e *entry) left(at time.Time) (time.Duration, error) {
	if e.ttl == 0 {
		return 0, nil
	}
	left := e.at.Add(e.ttl).Sub(at).Truncate(time.Second)
	if left <= 0 {
		return 0, fmt.Errorf("revision %d of key %s ended at %s; to bring it back say for how long: --ttl D, or --ttl 0 for ever",
			e.revision, e.key, expiry(e))
	}
	return left, nil
}

func (b *bucket) ttlHint(err error) error {
	return fmt.Errorf("%w: bucket %s takes no TTL; a bucket that a bridge has made does, and for this one: nats kv edit %s --marker-ttl=1s",
		err, b.name, b.name)
}

// ttlWarning compares the TTL that was asked for with what the server made of it, of
// the version at a revision: "" when that will end when it should.
func (b *bucket) ttlWarning(ctx context.Context, revision uint64, asked time.Duration) string {
	msg, err := b.stream.GetMsg(ctx, revision)
	if errors.Is(err, jetstream.ErrMsgNotFound) { // over already, or replaced
		return ""
	}
	if err != nil {
		return fmt.Sprintf("it may not end after %v: what the server stored cannot be read: %v", asked, err)
	}
	config := b.stream.CachedInfo().Config
	stored := b.entry(msg.Subject, msg.Header, nil, revision, msg.Time).ttl
	switch {
	case config.MaxAge > 0 && config.MaxAge < max(stored, asked):
		return fmt.Sprintf("it ends after %v, not %v: bucket %s keeps nothing for longer (its max-age)", config.MaxAge, asked, b.name)
	case stored > asked && stored == config.SubjectDeleteMarkerTTL:
		return fmt.Sprintf("it ends after %v, not %v: that is the least TTL of bucket %s, because it keeps markers of deleted keys that long (its subject_delete_marker_ttl)", stored, asked, b.name)
	case stored == 0:
		return fmt.Sprintf("it does not end after %v: the server has dropped the TTL", asked)
	case stored != asked:
		return fmt.Sprintf("it ends after %v, not %v: the server has changed the TTL", stored, asked)
	}
	return ""
}
