package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

// provisionInterval is how often the streams and buckets are looked at when
// nothing else asks for it.
const provisionInterval = time.Minute

// provisioner sees to the streams and buckets: at the start, whenever NATS is
// there again, and once in a while, because an administrator may delete one.
type provisioner struct {
	js        jetstream.JetStream
	opts      provision.Options
	hasRules  func() bool // rules are in force; an empty bucket would end them
	connected <-chan struct{}
	created   []chan<- struct{} // signalled when something was created
	log       *slog.Logger

	status atomic.Pointer[provisionStatus]
	cancel context.CancelFunc
	loop   sync.WaitGroup
}

// provisionStatus is what the last look found.
type provisionStatus struct {
	Missing []string `json:"missing,omitempty"`
	Drift   []string `json:"drift,omitempty"`
	Error   string   `json:"error,omitempty"`
}

func (s provisionStatus) String() string {
	var parts []string
	if len(s.Missing) > 0 {
		parts = append(parts, "missing: "+strings.Join(s.Missing, ", "))
	}
	parts = append(parts, s.Drift...)
	if s.Error != "" {
		parts = append(parts, s.Error)
	}
	return strings.Join(parts, "; ")
}

// start looks after everything until close. With wait, it returns after the first look.
func (p *provisioner) start(wait bool) {
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	p.status.Store(&provisionStatus{Error: "NATS is not connected"})
	if wait {
		p.look(ctx)
	}
	p.loop.Go(func() { p.run(ctx) })
}

func (p *provisioner) close() {
	p.cancel()
	p.loop.Wait()
}

func (p *provisioner) run(ctx context.Context) {
	tick := time.NewTicker(provisionInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.connected:
		case <-tick.C:
		}
		p.look(ctx)
	}
}

// look runs once, and logs what is new about it.
func (p *provisioner) look(ctx context.Context) {
	before := p.status.Load()
	if !p.js.Conn().IsConnected() {
		p.status.Store(&provisionStatus{Missing: before.Missing, Drift: before.Drift, Error: "NATS is not connected"})
		return
	}
	opts := p.opts
	keep, keepErr := p.keepRules(ctx)
	opts.KeepRules = keep
	report, err := provision.Ensure(ctx, p.js, opts)
	if ctx.Err() != nil {
		return
	}
	err = errors.Join(err, keepErr)
	now := provisionStatus{Missing: report.Missing}
	for _, drift := range report.Drift {
		now.Drift = append(now.Drift, drift.String())
	}
	if err != nil {
		now.Error = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	p.status.Store(&now)
	if len(report.Created) > 0 {
		p.log.Info("created in NATS", "objects", report.Created)
		for _, c := range p.created {
			signal(c)
		}
	}
	if before.Error != now.Error && err != nil {
		p.log.Warn("streams and buckets are not all seen to", "error", err)
	}
	if !slices.Equal(before.Missing, now.Missing) && len(now.Missing) > 0 {
		p.log.Warn("missing in NATS: without the stream, events wait in the spool; without the bucket, the last known rules stay in force", "objects", now.Missing)
	}
	if !slices.Equal(before.Drift, now.Drift) && len(now.Drift) > 0 {
		p.log.Warn("streams or buckets differ from what the bridge needs; it does not alter them", "drift", now.Drift)
	}
}

// keepRules reports whether a missing bucket of rules is to stay missing: this bridge
// or another has rules of it in force, which a new, empty bucket would end.
func (p *provisioner) keepRules(ctx context.Context) (bool, error) {
	if p.hasRules() || p.opts.Mode != provision.Auto {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, fleetTimeout)
	defer cancel()
	fleet, err := readFleet(ctx, p.js)
	if err != nil {
		return true, fmt.Errorf("a missing bucket of rules is not made: whether other bridges have rules is not known: %w", err)
	}
	return slices.ContainsFunc(fleet, func(s subjects.BridgeStatus) bool {
		return s.Rules.Bucket == p.opts.RulesBucket && s.Rules.Documents > 0
	}), nil
}

// signal wakes whoever waits on c, which has room for one signal.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
