// Package bench measures a bridge beside a bare fasthttp server that answers 200, on this
// machine: how many events a second, how late the answers, how much processor time and
// memory. Load, bridge, NATS server and bare server are processes of their own.
//
// Each load drives the bare server first and then the bridge, round by round, so that what
// else the machine does falls on both. A closed loop sends the next request of a
// connection when the last is answered; an open loop sends at a fixed rate, and counts
// latency from the moment a request was due, so that one that had to wait behind others
// shows. An event costs processor time until JetStream has acked it and the bridge knows.
//
// After each load of the bridge the stream is read: each answer's event has to be there,
// once. Otherwise there is no result.
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"bintubridge/subjects"
)

// Options of a run.
type Options struct {
	Bridge   string        // program to measure; "": this one's own
	Env      []string      // NAME=value, for the bridge
	Dir      string        // for data, removed afterwards; "": the system's temporary folder
	Rules    int           // documents of one rule each
	Names    int           // of streams in the requests
	Body     int           // bytes of a request's body; 0: as they come, about 300
	Conns    int           // connections, requests in flight
	Rate     int           // events a second of the open loop
	HTTP10   bool          // measure one connection a request too
	Rounds   int           // of each load
	Warmup   time.Duration // before the first, of each server
	Duration time.Duration // of a load
	Events   uint64        // of a load at most; 0: no limit
	Outage   time.Duration // NATS is away for as long, in the middle of a load three times as long; 0: never
	Sample   time.Duration // of a soak: between two samples
	Push     int           // rules a second pushed during one more open loop; 0: none
	Progress func(Step)    // is told of each
}

// Step is what a bench does now.
type Step struct {
	Name  string
	Takes time.Duration // about; 0: nobody can tell
	Then  time.Duration // what those behind it take
}

// step tells of the next one, which takes about so long.
func (r *rig) step(takes time.Duration, format string, args ...any) {
	r.ahead = max(r.ahead-takes, 0)
	r.opts.Progress(Step{Name: fmt.Sprintf(format, args...), Takes: takes, Then: r.ahead})
}

// BadOption is a mistake in Options.
type BadOption struct{ error }

// check refuses what cannot be measured.
func (o Options) check() error {
	for _, least := range []struct {
		flag string
		n    int
	}{
		{"--rules", o.Rules}, {"--names", o.Names}, {"--connections", o.Conns}, {"--rate", o.Rate}, {"--rounds", o.Rounds},
	} {
		if least.n < 1 {
			return fmt.Errorf("%s is %d, want at least 1", least.flag, least.n)
		}
	}
	if o.Duration <= 0 {
		return fmt.Errorf("--duration is %s, want more than 0s", o.Duration)
	}
	if o.Push < 0 || o.Outage < 0 || o.Warmup < 0 {
		return errors.New("--push, --outage and --warmup cannot be negative")
	}
	if o.Body < 0 {
		return fmt.Errorf("--body is %d, want a size in bytes, or none", o.Body)
	}
	for _, entry := range o.Env {
		name, _, ok := strings.Cut(entry, "=")
		if !ok {
			return fmt.Errorf("--env %s: want NAME=value", entry)
		}
		if slices.Contains(ownEnv(), name) {
			return fmt.Errorf("--env %s: the bench sets %s itself", entry, name)
		}
	}
	return checkFiles(o.Conns)
}

// ownEnv are the variables by which a bench reaches its bridge.
func ownEnv() []string {
	return []string{
		"BRIDGE_DATA_DIR", "BRIDGE_NAME", "BRIDGE_LOG_FORMAT", "BRIDGE_LOG_LEVEL", "BRIDGE_LISTEN", "BRIDGE_ADMIN_LISTEN",
		"BRIDGE_HOOK_PATH", "BRIDGE_HOOK_SECRETS", "BRIDGE_TLS_CERT", "BRIDGE_TLS_KEY", "BRIDGE_EMBEDDED_LISTEN", "NATS_URL",
	}
}

// Run measures. The error wraps errCount when events and answers differ.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, BadOption{err}
	}
	return onRig(ctx, o, (*rig).measureAll)
}

// onRig calls measure with a rig that is not started, and clears it away.
func onRig[T any](ctx context.Context, o Options, measure func(*rig, context.Context) (*T, error)) (*T, error) {
	dir, err := os.MkdirTemp(o.Dir, "bridgectl-bench-")
	if err != nil {
		return nil, fmt.Errorf("folder for data: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &rig{opts: o, dir: dir}
	report, err := measure(r, ctx)
	r.close()
	if rmErr := os.RemoveAll(dir); rmErr != nil {
		err = errors.Join(err, fmt.Errorf("folder for data: %w", rmErr))
	}
	if err != nil {
		return nil, err
	}
	return report, nil
}

// measureAll drives the servers in turn.
func (r *rig) measureAll(ctx context.Context) (*Report, error) {
	o, plans := r.opts, r.plans()
	for _, p := range plans {
		r.ahead += p.schedule.takes()
	}
	r.ahead += outageLoad * o.Outage * time.Duration(len(r.forms()))
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	report := &Report{Rules: o.Rules, Names: o.Names, Body: newRequests(keepAlive, o.Names, o.Body).size(), Connections: o.Conns, Rate: o.Rate, Processors: runtime.NumCPU(), Go: runtime.Version()}
	var err error
	if report.AtRest, err = r.memory(); err != nil {
		return nil, err
	}
	for _, p := range plans {
		m, err := r.measure(ctx, p)
		if err != nil {
			return nil, err
		}
		if p.round > 0 {
			report.add(m)
		}
	}
	if o.Outage > 0 {
		for _, f := range r.forms() {
			phases, err := r.measureOutage(ctx, f)
			if err != nil {
				return nil, err
			}
			report.Outage = append(report.Outage, phases...)
		}
	}
	if report.AtEnd, err = r.memory(); err != nil {
		return nil, err
	}
	report.summarize()
	return report, nil
}

func (r *rig) forms() []form {
	if r.opts.HTTP10 {
		return []form{keepAlive, http10}
	}
	return []form{keepAlive}
}

// plans are all loads but those with an outage. Those of the warm-up have no round.
func (r *rig) plans() []plan {
	var list []plan
	if r.opts.Warmup > 0 {
		for _, server := range []string{roleBare, roleBridge} {
			list = append(list, plan{server: server, form: keepAlive, schedule: schedule{end: r.opts.Warmup}})
		}
	}
	for round := 1; round <= r.opts.Rounds; round++ {
		for _, f := range r.forms() {
			list = append(list, r.round(round, f)...)
		}
	}
	return list
}

// round is the loads of one round.
func (r *rig) round(n int, f form) []plan {
	closed := schedule{total: r.opts.Events, end: r.opts.Duration}
	open := closed
	open.rate = r.opts.Rate
	list := []plan{
		{server: roleBare, form: f, schedule: closed}, {server: roleBridge, form: f, schedule: closed},
		{server: roleBare, form: f, schedule: open}, {server: roleBridge, form: f, schedule: open},
	}
	if r.opts.Push > 0 {
		pushes := plan{server: roleBridge, form: f, schedule: open, push: r.opts.Push, bucket: subjects.BucketRules}
		unread := pushes
		unread.bucket = bucketUnread
		list = append(list, pushes, unread)
	}
	for i := range list {
		list[i].round = n
	}
	return list
}

// memory is what the bridge holds now.
func (r *rig) memory() (Memory, error) {
	u, err := r.bridge.usage()
	return Memory{Resident: u.resident, Peak: u.peak, Files: u.files, Threads: u.threads}, err
}
