package rulestore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"bintubridge/bridge/decide"
	"bintubridge/subjects"

	"github.com/nats-io/nats.go/jetstream"
)

// ReasonStale is the reason of a denial because the rules are too old.
const ReasonStale = "rules_stale"

// Options say what to follow and how. The zero value of a field is its default.
type Options struct {
	Bucket   string          // KV bucket of the rule documents; "rules"
	Defaults decide.Defaults // for publish and play without a matching rule; deny

	// SnapshotPath is the file that keeps the rules over a restart; "" keeps
	// none. Its folder is made when missing and must belong to one Store.
	SnapshotPath string

	// StaleAfter is how old the rules may get before StaleDeny counts; 0 is for
	// ever. Age is the time since they were last known to be current.
	StaleAfter time.Duration
	StaleDeny  bool // deny publish and play with stale rules; else keep deciding

	// CheckEvery is how often the bucket is compared with what is known; 30 s,
	// and never more than a third of StaleAfter, so that a healthy bridge is
	// never stale.
	CheckEvery    time.Duration
	SnapshotEvery time.Duration // least time between two snapshots, and never less than 10 times what one takes; 1 s
	RetryMin      time.Duration // first wait after a failure; 250 ms
	RetryMax      time.Duration // longest wait after failures; 30 s

	// Changed gets a signal after each change of the rules in force or of the
	// documents refused, as long as it has room. Nil is allowed.
	Changed chan<- struct{}

	Log *slog.Logger // nil: silent
}

func (o Options) withDefaults() (Options, error) {
	if o.Bucket == "" {
		o.Bucket = "rules"
	}
	if !validBucket(o.Bucket) {
		return o, fmt.Errorf("rules bucket %q: want a name of A-Z a-z 0-9 _ -", o.Bucket)
	}
	if o.StaleAfter < 0 {
		return o, fmt.Errorf("rules stale after %v: want 0 (never) or more", o.StaleAfter)
	}
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{{&o.CheckEvery, 30 * time.Second}, {&o.SnapshotEvery, time.Second}, {&o.RetryMin, 250 * time.Millisecond}, {&o.RetryMax, 30 * time.Second}} {
		if *d.value <= 0 {
			*d.value = d.fallback
		}
	}
	o.RetryMax = max(o.RetryMax, o.RetryMin)
	if o.StaleAfter > 0 {
		o.CheckEvery = max(min(o.CheckEvery, o.StaleAfter/3), time.Millisecond)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Store answers by the newest rules it could get. Decide and Status are safe for
// concurrent use from Open on, also after Close.
type Store struct {
	opts    Options
	started time.Time // of Open; contact counts from here
	view    atomic.Pointer[view]
	trouble atomic.Pointer[string] // why the bucket is not followed now, "" when it is
	contact atomic.Int64           // ns from started to the last time the rules were known to be current
	saver   *saver                 // nil without a SnapshotPath

	mu     sync.Mutex
	cancel context.CancelFunc // ends the follower; nil before Start
	closed bool
	done   chan struct{} // closed when the follower has ended

	// The ledger belongs to Open, and from Start on to the follower. Whoever
	// changes it holds mine, and so does the saver, who takes frozen copies.
	mine   sync.Mutex
	ledger *ledger
}

// view is one immutable state of the rules.
type view struct {
	table        *decide.Table
	source       Source
	created      time.Time // of the bucket
	documents    int
	invalid      []InvalidDocument // the first by key
	invalidCount int
}

// Open reads the snapshot, if there is one, and returns a store that decides by
// it. NATS is not needed. A snapshot that cannot be used is logged and ignored;
// a folder that cannot hold one is an error.
func Open(opts Options) (*Store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{opts: opts, started: time.Now(), ledger: newLedger(0)}
	s.setTrouble("not connected yet")
	s.publish(decide.NewTable(0, opts.Defaults, nil), SourceNone)
	if opts.SnapshotPath != "" {
		if err := prepareFolder(opts.SnapshotPath); err != nil {
			return nil, err
		}
		s.restore()
		s.saver = startSaver(opts.SnapshotPath, opts.SnapshotEvery, s.snapshot, opts.Log)
	}
	return s, nil
}

// Start begins to follow the bucket. It may be called once. The store does not
// own js or its connection: Close the store first. Each value on reconnected
// says that the connection was lost and is back; it should have room for one,
// and nil is allowed.
func (s *Store) Start(js jetstream.JetStream, reconnected <-chan struct{}) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.cancel != nil {
		return errors.New("rule store: started twice or after Close; open a new one")
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.done = cancel, make(chan struct{})
	f := &follower{store: s, js: js, reconnected: reconnected, log: s.opts.Log}
	go func() {
		defer close(s.done)
		f.run(ctx)
	}()
	return nil
}

// Close ends following, writes a last snapshot and waits for both goroutines.
// Closing again does nothing. The error is that of the last snapshot.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.cancel != nil {
		s.cancel()
		<-s.done
	}
	s.setTrouble("closed")
	if s.saver == nil {
		return nil
	}
	if s.view.Load().source == SourceKV {
		s.saver.changed() // once more, for the time of the last contact
	}
	return s.saver.close()
}

// Decide answers one request, with the revision of the rules and their age in
// milliseconds: the time since they were last known to be current, or since Open
// when they never were. It does not allocate.
func (s *Store) Decide(in *decide.Input, now time.Time) (d decide.Decision, revision uint64, ageMS int64) {
	table := s.view.Load().table
	age := s.age(now)
	if d, denied := s.tooOld(in, age); denied {
		return d, table.Revision(), age.Milliseconds()
	}
	return table.Decide(in, now), table.Revision(), age.Milliseconds()
}

// Shadow returns the shadow rules that match the request, as decide.Table does. It
// looks at the newest rules, which a push may have changed since a Decide before it.
func (s *Store) Shadow(m *decide.Shadows, in *decide.Input, now time.Time) []subjects.ShadowDecision {
	return s.view.Load().table.Shadow(m, in, now)
}

func (s *Store) age(now time.Time) time.Duration {
	return max(now.Sub(s.started)-time.Duration(s.contact.Load()), 0)
}

func (s *Store) stale(age time.Duration) bool {
	return s.opts.StaleAfter > 0 && age > s.opts.StaleAfter
}

// touch notes that the rules are current now.
func (s *Store) touch() { s.contact.Store(int64(time.Since(s.started))) }

func (s *Store) setTrouble(text string) { s.trouble.Store(&text) }

// publish puts a table, which is of the ledger's documents, in force.
func (s *Store) publish(table *decide.Table, source Source) {
	l := s.ledger
	s.view.Store(&view{
		table:        table,
		source:       source,
		created:      l.created,
		documents:    l.docs.count(),
		invalid:      l.invalid.first,
		invalidCount: len(l.invalid.all),
	})
	select {
	case s.opts.Changed <- struct{}{}:
	default:
	}
}
