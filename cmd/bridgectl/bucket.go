package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"bintubridge/subjects"
)

// bucketFlags say which bucket of rules is meant, and on which server.
type bucketFlags struct {
	environment
	url  string
	name string

	progress *progress // counts the documents that are read; may be nil
}

func (f *bucketFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.url, "nats-url", "", "NATS server (default: NATS_URL, or the embedded server's address)")
	cmd.Flags().StringVar(&f.name, "bucket", "", "KV bucket of the rules (default: BRIDGE_RULES_BUCKET, or "+subjects.BucketRules+")")
}

// open connects to the bucket of the rules. The caller closes it.
func (f *bucketFlags) open(ctx context.Context) (*bucket, error) {
	name := cmp.Or(f.name, f.getenv("BRIDGE_RULES_BUCKET"), subjects.BucketRules)
	if subjects.ReservedBucket(name) {
		return nil, usageError{fmt.Errorf("bucket %s has another use and holds no rules: set --bucket or BRIDGE_RULES_BUCKET to another", name)}
	}
	return f.openNamed(ctx, name)
}

func (f *bucketFlags) openNamed(ctx context.Context, name string) (*bucket, error) {
	js, nc, err := connect(f.url, f.environment)
	if err != nil {
		return nil, err
	}
	b := &bucket{js: js, nc: nc, name: name, progress: f.progress}
	b.stream, err = js.Stream(ctx, "KV_"+b.name)
	if err != nil {
		err = fmt.Errorf("bucket %s: %w", shown(b.name), bucketHint(js, err))
		nc.Close()
		return nil, err
	}
	return b, nil
}

func bucketHint(js jetstream.JetStream, err error) error {
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrInvalidStreamName) {
		return errors.New("there is none of this name; set --bucket, or make it with bridgectl setup: a new one ends the rules that bridges still have")
	}
	return unanswered(js, err)
}

// bucket is the KV bucket of the rules, as the stream that it is: that shows a
// key's TTL, and lets one message replace a key's whole history.
type bucket struct {
	js     jetstream.JetStream
	nc     *nats.Conn
	stream jetstream.Stream
	name   string

	progress *progress // of all
}

func (b *bucket) close() { b.nc.Close() }

// created tells the bucket from another one of its name, before or after it.
func (b *bucket) created() time.Time { return b.stream.CachedInfo().Created }

func (b *bucket) subject(key string) string { return "$KV." + b.name + "." + key }

// entry is one version of a key.
type entry struct {
	key      string
	data     []byte
	revision uint64
	at       time.Time
	ttl      time.Duration // 0: none
	deleted  bool          // a marker: the key was deleted, purged, or its TTL has ended
}

// gone says whether there is no document. A nil entry is a key that never was.
func (e *entry) gone() bool { return e == nil || e.deleted }

// last returns the revision that a write must find.
func (e *entry) last() uint64 {
	if e == nil {
		return 0
	}
	return e.revision
}

// headers of the messages of a bucket.
const (
	headerOperation = "KV-Operation"
	headerMarker    = "Nats-Marker-Reason"
	headerTTL       = "Nats-TTL"
	headerRollup    = "Nats-Rollup"
)

func (b *bucket) entry(subject string, header nats.Header, data []byte, revision uint64, at time.Time) *entry {
	e := &entry{key: strings.TrimPrefix(subject, b.subject("")), data: data, revision: revision, at: at}
	operation := header.Get(headerOperation)
	e.deleted = operation == "DEL" || operation == "PURGE" || header.Get(headerMarker) != ""
	if ttl := header.Get(headerTTL); ttl != "" && !e.deleted {
		e.ttl = parseTTL(ttl)
	}
	return e
}

// parseTTL reads the header of a message, which the server has checked: a duration, or
// whole seconds.
func parseTTL(text string) time.Duration {
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	ttl, _ := time.ParseDuration(text)
	return ttl
}

// get returns the newest version of a key, or nil when there never was one.
func (b *bucket) get(ctx context.Context, key string) (*entry, error) {
	if checkKey(key) != nil { // a wildcard would ask for others
		versions, err := b.history(ctx, key)
		if err != nil || len(versions) == 0 {
			return nil, err
		}
		return versions[len(versions)-1], nil
	}
	msg, err := b.stream.GetLastMsgForSubject(ctx, b.subject(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", key, unanswered(b.js, err))
	}
	return b.entry(msg.Subject, msg.Header, msg.Data, msg.Sequence, msg.Time), nil
}

// live returns the newest version of a key that has a document.
func (b *bucket) live(ctx context.Context, key string) (*entry, error) {
	e, err := b.get(ctx, key)
	if err == nil && e.gone() {
		err = fmt.Errorf("there is no key %s in bucket %s", shown(key), b.name)
	}
	return e, err
}

// all returns the newest version of each key that has a document, by key.
func (b *bucket) all(ctx context.Context) ([]*entry, error) {
	var list []*entry
	err := b.read(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, FilterSubject: b.subject(">"),
	}, func(e *entry) {
		b.progress.add(1)
		if !e.deleted {
			list = append(list, e)
		}
	})
	slices.SortFunc(list, func(x, y *entry) int { return strings.Compare(x.key, y.key) })
	return list, err
}

// history returns what the bucket has of a key, the oldest first.
func (b *bucket) history(ctx context.Context, key string) ([]*entry, error) {
	var list []*entry
	cfg := jetstream.ConsumerConfig{FilterSubject: b.subject(key)}
	if checkKey(key) != nil { // the request's own subject cannot have it, its body can
		cfg = jetstream.ConsumerConfig{FilterSubjects: []string{b.subject(key)}}
	}
	err := b.read(ctx, cfg, func(e *entry) {
		if e.key == key {
			list = append(list, e)
		}
	})
	return list, err
}

// readBatch is how many messages are asked for at once.
const readBatch = 2000

// read gives each message to each, up to what the bucket has at the start.
func (b *bucket) read(ctx context.Context, cfg jetstream.ConsumerConfig, each func(*entry)) error {
	cfg.AckPolicy, cfg.MemoryStorage, cfg.Replicas = jetstream.AckNonePolicy, true, 1
	cfg.InactiveThreshold = 10 * patience(b.js)
	consumer, err := b.stream.CreateConsumer(ctx, cfg)
	if err != nil {
		return fmt.Errorf("read bucket %s: %w", b.name, unanswered(b.js, err))
	}
	left, next := consumer.CachedInfo().NumPending, uint64(1)
	for left > 0 {
		batch, err := consumer.Fetch(int(min(left, readBatch)), jetstream.FetchMaxWait(patience(b.js)))
		if err != nil {
			return fmt.Errorf("read bucket %s: %w", b.name, err)
		}
		got := 0
		for msg := range batch.Messages() {
			meta, err := msg.Metadata()
			if err != nil {
				return fmt.Errorf("read bucket %s: %w", b.name, err)
			}
			if meta.Sequence.Consumer != next {
				return fmt.Errorf("read bucket %s: message %d was lost on its way; try again", b.name, next)
			}
			got, next, left = got+1, next+1, min(left-1, meta.NumPending)
			each(b.entry(msg.Subject(), msg.Headers(), msg.Data(), meta.Sequence.Stream, meta.Timestamp))
		}
		if err := cmp.Or(batch.Error(), ctx.Err()); err != nil && left > 0 {
			return fmt.Errorf("read bucket %s: %w", b.name, err)
		}
		if got == 0 {
			return fmt.Errorf("read bucket %s: %s missing: %w", b.name, plural(left, "message"), unanswered(b.js, errNoAnswer))
		}
	}
	if err := b.stream.DeleteConsumer(ctx, consumer.CachedInfo().Name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("read bucket %s: %w", b.name, unanswered(b.js, err))
	}
	return nil
}

// errConflict is a write that found another revision than it was made for.
var errConflict = errors.New("it was changed meanwhile")

// write puts a new version of a key whose newest revision is last (0: none), and
// returns the new revision. With a TTL it takes the key's history away in the same
// step: the server takes out the expired version alone, so that the one before it
// would be in force again, and no bridge be told.
func (b *bucket) write(ctx context.Context, key string, data []byte, last uint64, ttl time.Duration) (uint64, error) {
	msg := &nats.Msg{Subject: b.subject(key), Data: data}
	var opts []jetstream.PublishOpt
	if ttl > 0 {
		msg.Header = nats.Header{headerRollup: {jetstream.MsgRollupSubject}}
		opts = append(opts, jetstream.WithMsgTTL(ttl))
	}
	return b.publish(ctx, key, msg, last, opts)
}

// remove deletes a key whose newest revision is last. Its history stays.
func (b *bucket) remove(ctx context.Context, key string, last uint64) (uint64, error) {
	msg := &nats.Msg{Subject: b.subject(key), Header: nats.Header{headerOperation: {"DEL"}}}
	return b.publish(ctx, key, msg, last, nil)
}

func (b *bucket) publish(ctx context.Context, key string, msg *nats.Msg, last uint64, opts []jetstream.PublishOpt) (uint64, error) {
	ack, err := b.js.PublishMsg(ctx, msg, append(opts, jetstream.WithExpectLastSequencePerSubject(last), jetstream.WithRetryAttempts(0))...)
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return 0, fmt.Errorf("key %s: %w: it is no longer at revision %d; look at it and try again", key, errConflict, last)
	}
	if api != nil && api.ErrorCode == ttlDisabled {
		err = b.ttlHint(err)
	}
	if err != nil {
		return 0, fmt.Errorf("write key %s: %w", key, unanswered(b.js, err))
	}
	return ack.Sequence, nil
}

// checkStored refuses what cannot even have come into the bucket by a plain publish,
// which stores keys that a bridge refuses: they can be looked at and deleted.
func checkStored(key string) error {
	if err := checkKey(key); err != nil && (key == "" || strings.ContainsAny(key, " \t\r\n\x00") || slices.Contains(strings.Split(key, "."), "")) {
		return err
	}
	return nil
}

// checkKey refuses what is no key of a bucket.
func checkKey(key string) error {
	const allowed = "-/_.=abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	switch {
	case key == "":
		return errors.New("an empty key")
	case strings.ContainsFunc(key, func(r rune) bool { return !strings.ContainsRune(allowed, r) }):
		return fmt.Errorf("key %s: allowed are A-Z a-z 0-9 and - / _ . =", shown(key))
	case key[0] == '.' || key[len(key)-1] == '.' || strings.Contains(key, ".."):
		return fmt.Errorf("key %s: a dot stands between other characters", shown(key))
	}
	return nil
}
