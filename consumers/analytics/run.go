package analytics

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"bintubridge/consumers"
	"bintubridge/subjects"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	postgresWorkers = 2
	retryEvery      = time.Second
	retentionEvery  = time.Hour
)

// Run keeps events and sessions in the database until ctx ends, and then returns nil. It outlives
// outages of NATS and of the database. It returns an error when it cannot go on: a wrong
// configuration, a database of a later version.
func Run(ctx context.Context, js jetstream.JetStream, cfg Config, monitor *consumers.Monitor, log *slog.Logger) error {
	if err := errors.Join(cfg.Check()...); err != nil {
		return err
	}
	store, err := Open(cfg.DSN)
	if err != nil {
		return err
	}
	r := &runner{js, cfg, store, monitor, log.With("consumer", Name), log}
	err = r.prepare(ctx)
	if err == nil && ctx.Err() == nil {
		err = r.work(ctx)
	}
	return errors.Join(err, store.Close())
}

type runner struct {
	js      jetstream.JetStream
	cfg     Config
	store   *Store
	monitor *consumers.Monitor
	log     *slog.Logger // of its own
	base    *slog.Logger // that the runner marks by itself
}

// prepare migrates the database, as soon as it is there.
func (r *runner) prepare(ctx context.Context) error {
	watch := r.monitor.Watch(Name, r.js.Conn())
	defer watch.Leave()
	for told := false; ; told = true {
		limit, cancel := context.WithTimeout(ctx, consumers.DefaultTimeout)
		err := r.store.Migrate(limit)
		cancel()
		if err == nil || ctx.Err() != nil {
			return nil //nolint:nilerr // it is of the end
		}
		if errors.Is(err, ErrNewer) {
			return err
		}
		watch.Detached(err)
		if !told {
			r.log.Warn("the database cannot be prepared; trying again and again", "error", err)
		}
		pause(ctx, retryEvery)
	}
}

// work runs the two consumers and the retention. When one of them ends, all do.
func (r *runner) work(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var parts sync.WaitGroup
	var errs [2]error
	start := func(err *error, opts consumers.Options, h consumers.BatchHandler) {
		opts.Workers, opts.Batch, opts.MaxBytes, opts.Timeout = postgresWorkers, r.cfg.Batch, r.cfg.MaxBytes, r.cfg.Timeout
		opts.Monitor, opts.Log = r.monitor, r.base
		parts.Go(func() {
			defer cancel()
			*err = consumers.RunBatch(ctx, r.js, opts, h)
		})
	}
	start(&errs[0], consumers.Options{Name: Name}, r.events)
	start(&errs[1], consumers.Options{Name: SessionsName, Stream: subjects.StreamSessions}, r.sessions)
	parts.Go(func() { r.retain(ctx) })
	parts.Wait()
	return errors.Join(errs[:]...)
}

func (r *runner) events(ctx context.Context, batch []*consumers.Message) error {
	list := make([]*subjects.Event, len(batch))
	for i, m := range batch {
		list[i] = &m.Event
	}
	return r.store.WriteEvents(ctx, list)
}

func (r *runner) sessions(ctx context.Context, batch []*consumers.Message) error {
	return r.store.WriteSessions(ctx, latest(batch))
}

// retain deletes what is old until ctx ends.
func (r *runner) retain(ctx context.Context) {
	began := time.Now()
	for r.cfg.Retention > 0 && ctx.Err() == nil {
		passed, now := began.Add(time.Since(began)), time.Now()
		before := retainedFrom(r.cfg.Retention, passed.Round(0), now.Round(0)) // the clock's reading, which may have been set
		n, err := r.store.Delete(ctx, before)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.log.Warn("old rows are not deleted; the next try is in an hour", "error", err)
		case n > 0:
			r.log.Info("old rows are deleted", "rows", n)
		}
		pause(ctx, retentionEvery)
	}
}

// retainedFrom returns before which time rows are old: by what the clock says now, or by the time that has passed
// since the start, whichever keeps more. A clock that is set to another year deletes nothing.
func retainedFrom(retention time.Duration, passed, now time.Time) time.Time {
	if now.Before(passed) {
		passed = now
	}
	return passed.Add(-retention)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
