package sessions

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"bintubridge/consumers"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Name is the consumer's in metrics, readiness and dead letters.
const Name = "sessions"

// Config is what the environment says.
type Config struct {
	Timeout time.Duration `env:"CONSUMER_SESSIONS_TIMEOUT" envDefault:"2m" doc:"a session of which nothing was heard for this long is lost; more than the media server's interval of updates. 0s is never"`
	Grace   time.Duration `env:"CONSUMER_SESSIONS_GRACE" envDefault:"30s" doc:"a publisher that comes back within this time goes on with its session; its end is told that much later. 0s is none"`
	Lease   time.Duration `env:"CONSUMER_SESSIONS_LEASE" envDefault:"10s" doc:"an instance that stands by takes over from one that was silent this long"`

	Provision provision.Mode `env:"CONSUMER_PROVISION" envDefault:"auto" doc:"the bucket sessions_state: auto creates it when it is missing, check only reports, off does neither"`
}

// Check implements settings.Checker.
func (c Config) Check() []error {
	var problems []error
	if c.Timeout < 0 {
		problems = append(problems, fmt.Errorf("CONSUMER_SESSIONS_TIMEOUT=%v: may not be negative", c.Timeout))
	}
	if c.Grace < 0 {
		problems = append(problems, fmt.Errorf("CONSUMER_SESSIONS_GRACE=%v: may not be negative", c.Grace))
	}
	if c.Lease < minLease {
		problems = append(problems, fmt.Errorf("CONSUMER_SESSIONS_LEASE=%v: want %v or more", c.Lease, minLease))
	}
	return problems
}

const (
	requestTimeout  = 5 * time.Second
	tickEvery       = time.Second
	readTime        = 5 * time.Second // to read on where a process stood still
	checkpointEvery = 10 * time.Second
	retryEvery      = time.Second
	minLease        = time.Second
)

// errFenced says that another instance has told something in between.
var errFenced = errors.New("another instance is at work")

// Run derives sessions until ctx ends, and then returns nil. Of several instances one is active,
// the others stand by. It outlives outages of NATS, and waits for streams that are not
// there yet.
func Run(ctx context.Context, js jetstream.JetStream, cfg Config, monitor *consumers.Monitor, log *slog.Logger) error {
	if err := errors.Join(cfg.Check()...); err != nil {
		return err
	}
	watch := monitor.Watch(Name, js.Conn())
	defer watch.Leave()
	r := &runner{js: js, cfg: cfg, watch: watch, log: log.With("consumer", Name)}
	for ctx.Err() == nil {
		err := r.turn(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, jetstream.ErrConnectionClosed):
			return err
		case err != nil:
			watch.Detached(err)
			r.log.Warn("sessions stop, and are taken up again", "error", err)
			_ = pause(ctx, retryEvery) // its error is the end, too
		}
	}
	return nil
}

// runner is what the turns of a process have in common.
type runner struct {
	js    jetstream.JetStream
	cfg   Config
	watch *consumers.Watch
	log   *slog.Logger
}

// turn stands by, and is the active one until ctx ends or something goes wrong.
func (r *runner) turn(ctx context.Context) error {
	kv, err := r.openState(ctx)
	if err != nil {
		return err
	}
	l := newLease(kv, r.cfg.Lease)
	standby := func() { r.watch.Attached("stands by, another instance is active") }
	if err := l.acquire(ctx, standby); err != nil {
		return err
	}
	r.log.Info("this instance is the active one")
	active, end := context.WithCancelCause(ctx)
	held := make(chan struct{})
	go func() {
		defer close(held)
		if err := l.hold(active); err != nil {
			end(err)
		}
	}()
	err = r.work(active, kv)
	if cause := context.Cause(active); errors.Is(cause, errLeaseLost) {
		err = cause
	}
	end(nil)
	<-held
	if errors.Is(err, errLeaseLost) {
		return err
	}
	return errors.Join(err, l.release(context.WithoutCancel(ctx)))
}

// openState returns the bucket of lease and checkpoint.
func (r *runner) openState(ctx context.Context) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	kv, drift, err := provision.OpenBucket(ctx, r.js, subjects.BucketSessionsState, r.cfg.Provision)
	for _, d := range drift {
		r.log.Warn("the bucket differs and is left as it is", "difference", d.String())
	}
	return kv, err
}

// work takes up where the last one stood, and goes on until ctx ends.
func (r *runner) work(ctx context.Context, kv jetstream.KeyValue) error {
	d, err := r.takeUp(ctx, kv)
	if err != nil {
		return fmt.Errorf("take up: %w", err)
	}
	if err := d.follow(ctx); err != nil || errors.Is(context.Cause(ctx), errLeaseLost) {
		return err // without a checkpoint: the next one applies again what was not told
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	return errors.Join(d.board.flush(limit, d.machine), d.save(limit))
}
