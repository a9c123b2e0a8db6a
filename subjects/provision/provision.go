// Package provision defines the JetStream streams and KV buckets of the bridge
// and its consumers, creates those that are missing, and tells how those that
// exist differ. It never alters or deletes one.
//
//	stream EVENTS      stream.>   7 days,  10 GiB, refuses when full
//	stream SESSIONS    session.>  30 days, 1 GiB,  drops the oldest when full
//	stream DEAD        dead.>     30 days, 1 GiB,  drops the oldest when full
//	stream DELIVERIES  delivery.> 7 days,  1 GiB,  a work queue; refuses when full
//	KV bucket rules    8 versions a key, per-key TTL, 1 GiB
//	KV bucket live     1 version a key, per-key TTL, 256 MiB
//	KV bucket bridges  1 version a key, 30 s, 16 MiB
//	KV bucket subscriptions, chat_rooms  8 versions a key, 16 MiB
//	KV bucket sessions_state  1 version a key, 256 MiB
//	KV bucket chat_state      1 version a key, 30 days, 64 MiB
//
// All are files. Creating them is an administrator's act: a bridge whose user
// may not create runs with BRIDGE_PROVISION=check or off, and so does a consumer
// that keeps state in a bucket, with CONSUMER_PROVISION.
package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/subjects"
)

const defaultTimeout = 5 * time.Second

// Report is what Ensure found and did. Objects are named "stream EVENTS",
// "KV bucket rules".
type Report struct {
	Created []string // by this call
	Missing []string // and still so when Ensure returned
	Drift   []Drift  // of what exists
}

// Ensure looks at each stream and bucket, and creates the missing ones in mode
// Auto. Running it again changes nothing, and several bridges may run it at
// once. In mode Off it returns an empty report and asks the server nothing.
//
// The error joins one for each object that could not be looked at or created,
// with the next step to take; the report holds for the others. When no other
// object would fare better, as without an answer, the first error is the only
// one. The context bounds the whole call, Options.Timeout each request of it.
func Ensure(ctx context.Context, js jetstream.JetStream, opts Options) (Report, error) {
	if opts.Mode == Off {
		return Report{}, nil
	}
	if err := opts.check(); err != nil {
		return Report{}, err
	}
	e := ensurer{js: js, timeout: cmp.Or(opts.Timeout, defaultTimeout)}
	var errs []error
	for _, d := range definitions(opts) {
		e.mode = opts.Mode
		if opts.KeepRules && d.config.Name == "KV_"+cmp.Or(opts.RulesBucket, subjects.BucketRules) {
			e.mode = Check
		}
		err := e.ensure(ctx, d)
		errs = append(errs, err)
		if isUnreachable(err) {
			break
		}
	}
	return e.report, errors.Join(errs...)
}

// OpenBucket opens a bucket of those above, for a consumer that keeps its state there. Mode
// Auto creates a missing one, Off does not ask how it differs.
func OpenBucket(ctx context.Context, js jetstream.JetStream, name string, mode Mode) (jetstream.KeyValue, []Drift, error) {
	e := ensurer{js: js, mode: mode, timeout: defaultTimeout}
	for _, d := range definitions(Options{}) {
		if mode == Off || d.config.Name != "KV_"+name {
			continue
		}
		if err := e.ensure(ctx, d); err != nil {
			return nil, nil, err
		}
	}
	kv, err := js.KeyValue(ctx, name)
	if err != nil {
		return nil, nil, fmt.Errorf("KV bucket %s: %w", name, err)
	}
	return kv, e.report.Drift, nil
}

// ensurer is one call of Ensure or OpenBucket.
type ensurer struct {
	js      jetstream.JetStream
	mode    Mode
	timeout time.Duration // of one request
	mute    bool          // nobody says which stream holds a subject, as the user may not ask
	report  Report
}

func (e *ensurer) ensure(ctx context.Context, d definition) error {
	err := e.look(ctx, d)
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	if e.mode == Auto {
		err = e.create(ctx, d)
		if err == nil {
			return nil
		}
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another was faster
			return e.look(ctx, d)
		}
	} else {
		err = e.overlap(ctx, d)
	}
	e.report.Missing = append(e.report.Missing, d.object)
	return err
}

// look reports how what exists differs from d.
func (e *ensurer) look(ctx context.Context, d definition) error {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	s, err := e.js.Stream(ctx, d.config.Name)
	if err != nil {
		return e.explain(d, "look at it", err)
	}
	e.report.Drift = append(e.report.Drift, d.drift(s.CachedInfo().Config)...)
	return nil
}

// create never alters: the server takes an equal stream for created, and
// refuses the name of one that is not.
func (e *ensurer) create(ctx context.Context, d definition) error {
	request, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	s, err := e.js.CreateStream(request, d.config)
	if isCode(err, codeOverlap) {
		return cmp.Or(e.overlap(ctx, d), e.explain(d, "create it", err))
	}
	if err != nil {
		return e.explain(d, "create it", err)
	}
	e.report.Created = append(e.report.Created, d.object)
	// A server that is older than a setting ignores it.
	e.report.Drift = append(e.report.Drift, d.drift(s.CachedInfo().Config)...)
	return nil
}

// overlap returns an error when a stream of another name listens to a subject
// of d, which is impossible to create then. It is a courtesy: when nobody may
// ask, d is just missing, and so are the others, without waiting again.
func (e *ensurer) overlap(ctx context.Context, d definition) error {
	if e.mute {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	subject := d.config.Subjects[0]
	other, err := e.js.StreamNameBySubject(ctx, subject)
	if err != nil {
		e.mute = errors.Is(err, context.DeadlineExceeded)
		return nil //nolint:nilerr // see above
	}
	return fmt.Errorf("%s: %w: %s overlaps with the subjects of stream %q; take them away from it or delete it, then start again",
		d.object, ErrOverlap, subject, other)
}
