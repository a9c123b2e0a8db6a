package rulestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// checkTimeout bounds each step of a check: no change is taken meanwhile.
const checkTimeout = time.Second

// stream reads the state of the bucket's stream.
func (f *follower) stream(ctx context.Context, timeout time.Duration) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	name := f.store.opts.Bucket
	stream, err := f.js.Stream(ctx, "KV_"+name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("bucket %s: %w; create it, which ends the rules in force, or set another name", name, jetstream.ErrBucketNotFound)
	}
	if errors.Is(err, nats.ErrReconnectBufExceeded) { // how the client says it while nothing is buffered
		err = nats.ErrDisconnected
	}
	if err != nil {
		return nil, fmt.Errorf("read state of bucket %s: %w", name, err)
	}
	if at := stream.CachedInfo().TimeStamp; !at.IsZero() {
		f.ahead = time.Until(at)
	}
	return stream, nil
}

func (f *follower) bucket(ctx context.Context) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	kv, err := f.js.KeyValue(ctx, f.store.opts.Bucket)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", f.store.opts.Bucket, err)
	}
	return kv, nil
}

// check compares the bucket with the ledger. An error ends the session: a watch
// looks healthy, and is silent, when its bucket was replaced under it. A server
// that does not answer is no such error: the watch may well be in order.
func (f *follower) check(ctx context.Context, w *watch) error {
	f.rolledUp = false
	before := f.store.ledger.last
	stream, err := f.stream(ctx, checkTimeout)
	if errors.Is(err, jetstream.ErrBucketNotFound) || ctx.Err() != nil {
		return err
	}
	if err != nil {
		f.troubled(err)
		return nil
	}
	f.recovered()
	info := stream.CachedInfo()
	f.drainTo(ctx, w, info.State.LastSeq)
	l := f.store.ledger
	switch last := info.State.LastSeq; {
	case !info.Created.Equal(l.created):
		return fmt.Errorf("%w: it was deleted and created again", errReload)
	case last < before:
		return fmt.Errorf("%w: it ends at revision %d, %d was seen", errReload, last, before)
	case last != l.last:
		// On its way, most likely. But a watch that made no step since the last
		// check, or a message that was removed before it came, ends here.
		if f.lagging && f.laggedAt == l.last {
			return fmt.Errorf("%w: the watch stays at revision %d of %d", errReload, l.last, last)
		}
		f.lagging, f.laggedAt = true, l.last
		return nil
	case !l.tail.IsZero() && !info.State.LastTime.Equal(l.tail):
		return fmt.Errorf("%w: its revision %d is another message than it was", errReload, last)
	}
	if err := f.accountFor(ctx, stream); err != nil {
		return err
	}
	if err := f.accountForEndings(ctx, stream); err != nil && !errors.Is(err, errVanished) {
		return fmt.Errorf("%w: %w", errVanished, err)
	} else if err != nil {
		return err
	}
	f.lagging = false
	f.store.touch()
	f.refreshSnapshot()
	return nil
}

// drainTo takes what is on its way up to a revision, and nothing beyond: the
// bucket and the ledger are compared as of that.
func (f *follower) drainTo(ctx context.Context, w *watch, last uint64) {
	const patience = 100 * time.Millisecond
	enough := time.NewTimer(patience)
	defer enough.Stop()
	for f.store.ledger.last < last {
		select {
		case e, ok := <-w.updates:
			if !ok {
				return // keepUp sees the closed channel too
			}
			f.take(e)
			f.flush()
			continue
		case <-enough.C:
		case <-ctx.Done():
		}
		break
	}
}

// maxMarkersAsked bounds how many markers one check asks for.
const maxMarkersAsked = 1000

// accountFor compares the number of keys. All messages were seen, so the bucket
// can only have fewer: markers that expired, or keys that went without a message.
func (f *follower) accountFor(ctx context.Context, stream jetstream.Stream) error {
	l := f.store.ledger
	known, there := l.keys(), int(stream.CachedInfo().State.NumSubjects)
	expired := known - there
	if expired > 0 && expired <= min(len(l.gone), maxMarkersAsked) {
		ctx, cancel := context.WithTimeout(ctx, max(checkTimeout, f.loadTook)) // pushes wait for no longer than for a load
		defer cancel()
		for _, key := range f.markers() {
			if expired == 0 {
				break
			}
			ok, err := f.holds(ctx, stream, key)
			if err != nil {
				return fmt.Errorf("%w: %w", errVanished, err)
			}
			if !ok {
				delete(l.gone, key)
				expired--
			}
		}
	}
	if expired != 0 {
		return fmt.Errorf("%w: it has %d, %d are known", errVanished, there, known)
	}
	return f.accountForMessages(stream.CachedInfo(), max(known-there, 0))
}

// accountForMessages compares the number of messages with the last check's. A
// newest version that expires or is removed alone leaves no marker while an older
// one of its key is there, which is the key's value again. Pushes since then hide it,
// for how many versions each took away is not known.
func (f *follower) accountForMessages(info *jetstream.StreamInfo, markers int) error {
	l, now := f.store.ledger, countOf(info)
	removed, pushes := now.removed(l.counted), int(now.last-l.counted.last)
	// One push takes away as many versions as a key has at most.
	history := max(int(info.Config.MaxMsgsPerSubject), 1)
	if removed > markers+pushes*history {
		return fmt.Errorf("%w: %d messages went, %d came", errVanished, removed, pushes)
	}
	l.counted = now
	return nil
}

// maxEndingsAsked bounds how many versions whose TTL is over are asked for at once.
const maxEndingsAsked = 20

// endingGrace is how long a server may take to remove a version whose TTL is over, and
// its word of it to come.
const endingGrace = 300 * time.Millisecond

// accountForEndings asks for the versions whose TTL is over and for which no marker
// came, whatever was pushed meanwhile.
func (f *follower) accountForEndings(ctx context.Context, stream jetstream.Stream) error {
	endings := f.store.ledger.endings
	for range maxEndingsAsked {
		l, ok := endings.first()
		now := f.serverTime()
		if !ok || l.at.Add(endingGrace).After(now) {
			return nil
		}
		there, err := f.newest(ctx, stream, l.key)
		if err == nil && there < l.revision {
			return fmt.Errorf("%w: revision %d of key %s expired", errVanished, l.revision, l.key)
		}
		// Still there: the server is late. It is given as long again.
		late := now.Sub(endings.byKey[l.key].at)
		endings.again(now.Add(min(late, f.store.opts.CheckEvery)))
		if err != nil {
			return err
		}
	}
	return nil // the others have their turn
}

// serverTime is what the server's clock says, which TTLs go by.
func (f *follower) serverTime() time.Time { return time.Now().Add(f.ahead) }

// untilEnding returns how long to wait for the next look at a version whose TTL is
// over. A bucket that takes long to load is not loaded again for each.
func (f *follower) untilEnding() time.Duration {
	const never = 24 * time.Hour
	l, ok := f.store.ledger.endings.first()
	if !ok {
		return never
	}
	return max(l.at.Add(endingGrace).Sub(f.serverTime()), time.Until(f.rested), 0)
}

// newest returns the revision of a key's newest message, 0 when there is none.
func (f *follower) newest(ctx context.Context, stream jetstream.Stream, key string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	msg, err := stream.GetLastMsgForSubject(ctx, "$KV."+f.store.opts.Bucket+"."+key)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the newest version of a key: %w", err)
	}
	return msg.Sequence, nil
}

// markers returns the keys of the markers to ask for, the newest first: those
// that expire are young.
func (f *follower) markers() []string {
	gone := f.store.ledger.gone
	keys := make([]string, 0, len(gone))
	for key := range gone {
		if checkKey(key) == nil { // a wildcard would ask for others
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Compare(gone[b], gone[a]) })
	return keys[:min(len(keys), maxMarkersAsked)]
}

// holds reports whether the bucket has a message of the key.
func (f *follower) holds(ctx context.Context, stream jetstream.Stream, key string) (bool, error) {
	subject := "$KV." + f.store.opts.Bucket + "." + key
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return false, fmt.Errorf("ask for a marker: %w", err)
	}
	return len(info.State.Subjects) > 0, nil
}

// refreshSnapshot saves the time of contact often enough that a bridge that was
// killed and comes back does not take its rules for much older than they are.
func (f *follower) refreshSnapshot() {
	const perLimit = 4
	limit := f.store.opts.StaleAfter
	if limit > 0 && time.Since(f.saved) >= limit/perLimit {
		f.save()
	}
}
