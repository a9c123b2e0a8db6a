package bridge

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/bridge/buildinfo"
	"bintubridge/bridge/rulestore"
	"bintubridge/subjects"
)

const (
	fleetPause   = 250 * time.Millisecond // least time between two writes
	fleetTimeout = 3 * time.Second        // of one write
	fleetGoodbye = time.Second            // of the delete at the end
	// fleetKnown is how long an ack tells what the key holds: less than the bucket
	// keeps it, for a key that expired reads like one that another bridge wrote.
	fleetKnown = 20 * time.Second
	// fleetConflicts is how many writes in a row must find the key written by
	// another: once is an administrator who deleted it, or a new bucket.
	fleetConflicts = 2
	fleetTell      = 2 // failures in a row that are worth a warning
)

// fleet keeps this bridge's key in KV bridges, which needs no permission but to
// publish to the key's subject. What happens to it hurts nothing else. Its
// goroutine owns the fields from started on.
type fleet struct {
	js       jetstream.JetStream
	name     string // of the bridge
	interval time.Duration
	changed  <-chan struct{}              // the rules changed, or the bucket may be there again
	look     func() subjects.BridgeStatus // all but what the fleet itself knows
	log      *slog.Logger

	cancel context.CancelFunc
	loop   sync.WaitGroup

	started   time.Time
	instance  string
	failures  uint64
	row       int       // of failures since the last write that went well
	acked     uint64    // sequence of the last write
	ackedAt   time.Time // zero: it is not known what the key holds
	conflicts int       // in a row
	shared    bool
	sample    eventSample
}

// readFleet returns what all bridges say of themselves; none when the bucket is missing.
func readFleet(ctx context.Context, js jetstream.JetStream) ([]subjects.BridgeStatus, error) {
	kv, err := js.KeyValue(ctx, subjects.BucketBridges)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read KV %s: %w", subjects.BucketBridges, err)
	}
	watch, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("read KV %s: %w", subjects.BucketBridges, err)
	}
	defer watch.Stop() //nolint:errcheck // it ends with ctx in any case
	var all []subjects.BridgeStatus
	for {
		select {
		case e, ok := <-watch.Updates():
			if !ok || e == nil {
				return all, ctx.Err()
			}
			var s subjects.BridgeStatus
			if json.Unmarshal(e.Value(), &s) == nil { // what is not a bridge's is nobody's rules
				all = append(all, s)
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (f *fleet) start() {
	var ctx context.Context
	ctx, f.cancel = context.WithCancel(context.Background())
	f.started, f.instance = time.Now(), rand.Text()
	f.sample.at = f.started
	f.loop.Go(func() {
		f.run(ctx)
		f.leave()
	})
}

// close deletes the key, if it is this bridge's own, and waits for the end.
func (f *fleet) close() {
	f.cancel()
	f.loop.Wait()
}

func (f *fleet) run(ctx context.Context) {
	tick := time.NewTicker(f.interval)
	defer tick.Stop()
	for {
		f.write(ctx)
		select {
		case <-time.After(fleetPause):
		case <-ctx.Done():
			return
		}
		select {
		case <-tick.C:
		case <-f.changed:
		case <-ctx.Done():
			return
		}
	}
}

// write writes the present status. It counts failures, and logs the second of a
// row: the first may be a start before the bucket is there.
func (f *fleet) write(ctx context.Context) {
	err := f.put(ctx, f.status(time.Now()))
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		if f.row >= fleetTell {
			f.log.Info("this bridge shows in KV bridges again")
		}
		f.row = 0
		return
	}
	f.failures++
	if f.row++; f.row == fleetTell {
		f.log.Warn("this bridge does not show in KV bridges", "error", err)
	}
}

// status adds to the parts' figures what the fleet knows.
func (f *fleet) status(now time.Time) subjects.BridgeStatus {
	s := f.look()
	s.Instance, s.Started, s.Time = f.instance, f.started.UTC(), now.UTC()
	s.Shared, s.NATS.Failures = f.shared, f.failures
	if now.Sub(f.sample.at) >= f.interval/2 {
		f.sample = f.sample.next(s.Events, now)
	}
	s.Events.AnsweredRate, s.Events.DeniedRate, s.Events.LostRate = f.sample.answered, f.sample.denied, f.sample.lost
	return s
}

// put writes the key, by what is known of it: so that another bridge of the same
// name is noticed without reading.
func (f *fleet) put(ctx context.Context, s subjects.BridgeStatus) error {
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode the status: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, fleetTimeout)
	defer cancel()
	msg := &nats.Msg{Subject: f.subject(), Data: data}
	var ack *jetstream.PubAck
	if time.Since(f.ackedAt) < fleetKnown {
		ack, err = f.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(f.acked))
		conflict := writtenByAnother(err)
		f.noteConflict(conflict, err)
		if conflict {
			msg.Header = nil // of the expectation
			ack, err = f.js.PublishMsg(ctx, msg)
		}
	} else {
		ack, err = f.js.PublishMsg(ctx, msg)
	}
	if errors.Is(err, nats.ErrReconnectBufExceeded) { // how the client says it while nothing is buffered
		err = nats.ErrDisconnected
	}
	if err != nil {
		f.ackedAt = time.Time{} // it may be stored all the same
		return fmt.Errorf("write key %s: %w", f.subject(), err)
	}
	f.acked, f.ackedAt = ack.Sequence, time.Now()
	return nil
}

func (f *fleet) subject() string {
	return "$KV." + subjects.BucketBridges + "." + subjects.BridgeKey(f.name)
}

func writtenByAnother(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}

// noteConflict counts the writes in a row that found the key changed. An error
// of another kind says nothing.
func (f *fleet) noteConflict(conflict bool, err error) {
	switch {
	case conflict:
		f.conflicts++
	case err == nil:
		f.conflicts = 0
	}
	shared := f.conflicts >= fleetConflicts
	if shared && !f.shared {
		f.log.Warn("another bridge of this name runs: they hide each other in KV bridges, and events do not tell them apart; give each a BRIDGE_NAME of its own", "bridge", f.name)
	}
	f.shared = shared
}

// leave deletes the key, so that nobody waits for this bridge. Not the key of
// another one: what was there last must be our own.
func (f *fleet) leave() {
	if time.Since(f.ackedAt) >= fleetKnown || f.shared {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), fleetGoodbye)
	defer cancel()
	msg := &nats.Msg{Subject: f.subject(), Header: nats.Header{"KV-Operation": {"DEL"}}}
	if _, err := f.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(f.acked)); err != nil {
		f.log.Debug("this bridge stays in KV bridges until its key expires", "error", err)
	}
}

// eventSample is the totals at one time, and the rates a second before it.
type eventSample struct {
	at                     time.Time
	totals                 subjects.BridgeEvents
	answered, denied, lost float64
}

func (e eventSample) next(totals subjects.BridgeEvents, now time.Time) eventSample {
	rate := func(before, after uint64) float64 {
		return float64(after-before) / now.Sub(e.at).Seconds()
	}
	return eventSample{
		at: now, totals: totals,
		answered: rate(e.totals.Answered, totals.Answered),
		denied:   rate(e.totals.Denied, totals.Denied),
		lost:     rate(e.totals.Lost, totals.Lost),
	}
}

// Bounds of what KV bridges shows of refused documents, in bytes.
const (
	fleetInvalidSize = 32 << 10
	fleetInvalidRest = 100 // of one, beside its key and error
	fleetErr         = 500 // of the error of each of the first
	fleetErrOther    = 100 // of the others
	fleetErrs        = 10  // how many are the first
)

// fleetInvalid is what KV bridges shows of refused documents: the first by key, as many
// as fit, with their errors cut. /status has those whole.
func fleetInvalid(refused []rulestore.InvalidDocument) (list []subjects.BridgeInvalid) {
	size := 0
	for i, d := range refused {
		limit := fleetErrOther
		if i < fleetErrs {
			limit = fleetErr
		}
		text := strings.ToValidUTF8(d.Err[:min(len(d.Err), limit)], "")
		if size += len(d.Key) + len(text) + fleetInvalidRest; size > fleetInvalidSize {
			break
		}
		list = append(list, subjects.BridgeInvalid{Key: d.Key, Revision: d.Revision, InForce: d.InForce, Error: text})
	}
	return list
}

// fleetStatus is the part of the status that the bridge's parts know.
func (b *Bridge) fleetStatus() subjects.BridgeStatus {
	r, s := b.rules.Status(), b.spool.Stats()
	return subjects.BridgeStatus{
		Bridge: b.cfg.Name, Version: buildinfo.Read().Version, Dialect: b.cfg.Dialect.String(),
		Rules: subjects.BridgeRules{
			Bucket: b.cfg.RulesBucket, BucketCreated: r.Created, Source: string(r.Source), Revision: r.Revision,
			AgeMS: r.AgeMS, Stale: r.Stale, Trouble: r.Trouble,
			Documents: r.Documents, Rules: r.Rules, InvalidCount: r.InvalidCount, Invalid: fleetInvalid(r.Invalid),
		},
		Spool:  subjects.BridgeSpool{Events: s.Events, Bytes: s.Bytes, OldestMS: s.OldestAge.Milliseconds()},
		Events: b.answers.counts.totals(),
		NATS: subjects.BridgeNATS{
			Publishing: b.publishing.connected(), Watching: b.watching.connected(), Embedded: b.embedded != nil,
		},
	}
}

// startFleet starts to show this bridge in KV bridges.
func (b *Bridge) startFleet() error {
	js, err := jetstream.New(b.publishing.conn)
	if err != nil {
		return fmt.Errorf("NATS: %w", err)
	}
	b.fleet = &fleet{
		js: js, name: b.cfg.Name, interval: subjects.BridgeInterval, changed: b.toFleet,
		look: b.fleetStatus, log: b.log,
	}
	b.fleet.start()
	return nil
}
