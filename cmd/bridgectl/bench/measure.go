package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// plan is one load of one server.
type plan struct {
	server   string
	form     form
	schedule schedule
	push     int    // rules a second meanwhile,
	bucket   string // into it
	round    int    // from 1; 0: a load that is not part of the result
}

func (p plan) turn(rounds int) string {
	if p.round == 0 || rounds == 1 {
		return ""
	}
	return fmt.Sprintf(", round %d of %d", p.round, rounds)
}

// outageLoad is how many times as long as the outage its load takes.
const outageLoad = 3

func (r *rig) load(p plan) load {
	return load{
		addr: r.addr(p.server), form: p.form, connections: r.opts.Conns, first: r.sent, schedule: p.schedule,
		requests: newRequests(p.form, r.opts.Names, r.opts.Body),
	}
}

// accounts are those of all processes a load keeps busy.
type accounts struct {
	server, nats, self usage
}

func (r *rig) accounts(server string) (a accounts, err error) {
	under := r.bridge
	if server == roleBare {
		under = r.bare
	}
	if a.server, err = under.usage(); err != nil {
		return a, err
	}
	if a.nats, err = r.nats.usage(); err != nil {
		return a, err
	}
	a.self, err = readUsage(os.Getpid())
	return a, err
}

// measure carries out p, and checks what it has left in the stream.
func (r *rig) measure(ctx context.Context, p plan) (Measurement, error) {
	m := Measurement{Server: p.server, Form: p.form, Rate: p.schedule.rate, Push: p.push, Unread: p.bucket == bucketUnread, Round: p.round}
	r.step(p.schedule.takes(), "%s%s", m.title(), p.turn(r.opts.Rounds))
	before, err := r.accounts(p.server)
	if err != nil {
		return m, err
	}
	var rules *pusher
	if p.push > 0 {
		rules = startPusher(r.sink.js, p.bucket, r.opts.Rules, p.push)
	}
	got, err := r.load(p).run(ctx)
	r.sent += got.total()
	if rules != nil {
		pushed, pushErr := rules.stop()
		m.PushedPerSecond = float64(pushed) / got.took.Seconds()
		err = errors.Join(err, pushErr)
	}
	if err != nil {
		return m, err
	}
	loaded, err := r.accounts(p.server)
	if err != nil {
		return m, err
	}
	after := loaded
	if p.server == roleBridge {
		if after, err = r.settle(ctx, &m, got); err != nil {
			return m, err
		}
	}
	m.count(got, before, after)
	m.GeneratorCPU = perEvent(loaded.self.user+loaded.self.system-before.self.user-before.self.system, m.Events)
	if p.server == roleBridge {
		return m, r.sink.check(ctx, got)
	}
	return m, nil
}

// settle waits until the events of all answers are acked, and returns the accounts then.
func (r *rig) settle(ctx context.Context, m *Measurement, got answers) (accounts, error) {
	began := time.Now()
	stored, err := r.sink.stored(ctx)
	if err != nil {
		return accounts{}, err
	}
	m.Backlog = got.total() - min(stored, got.total())
	if err := r.drained(ctx, got.total()); err != nil {
		return accounts{}, err
	}
	m.DrainSeconds = time.Since(began).Seconds()
	if m.Stored, err = r.sink.eventBytes(ctx); err != nil {
		return accounts{}, err
	}
	return r.accounts(m.Server)
}

// measureOutage drives the bridge at the fixed rate for three phases, and takes NATS away in
// the second.
func (r *rig) measureOutage(ctx context.Context, f form) ([]Phase, error) {
	d := r.opts.Outage
	s := schedule{rate: r.opts.Rate, end: outageLoad * d}
	r.step(s.end, "%s, %d events/s for %s, NATS away in the middle third", f, s.rate, s.end)
	l := r.load(plan{server: roleBridge, form: f, schedule: s})
	l.phase = d
	load, cancel := context.WithCancel(ctx)
	defer cancel()
	outage := make(chan error, 1)
	go func() { outage <- r.outage(ctx, load, d) }()
	got, err := l.run(ctx)
	r.sent += got.total()
	if err != nil {
		cancel()
		return nil, errors.Join(err, <-outage)
	}
	if err := <-outage; err != nil {
		return nil, err
	}
	if err := r.drained(ctx, got.total()); err != nil {
		return nil, err
	}
	phases := newPhases(f, got.latency)
	return phases, r.sink.check(ctx, got)
}

// newPhases names the thirds and sets each beside the first.
func newPhases(f form, latency []*hdrhistogram.Histogram) []Phase {
	phases := make([]Phase, len(latency))
	for i, h := range latency {
		l := newLatency(h)
		phases[i] = Phase{Form: f, Name: [...]string{"before", "during", "after"}[i], Events: uint64(h.TotalCount()), Latency: l}
		if first := phases[0].Latency; first.P50 > 0 && first.P99 > 0 {
			phases[i].P50Percent, phases[i].P99Percent = percent(l.P50, first.P50), percent(l.P99, first.P99)
		}
	}
	return phases
}

// count fills in what was measured between the accounts.
func (m *Measurement) count(got answers, before, after accounts) {
	m.Events, m.Refused, m.Seconds = got.total(), got.refused, got.took.Seconds()
	m.latency = got.latency[0]
	m.Latency = newLatency(m.latency)
	m.PerSecond = float64(m.Events) / m.Seconds
	m.UserCPU = perEvent(after.server.user-before.server.user, m.Events)
	m.SystemCPU = perEvent(after.server.system-before.server.system, m.Events)
	m.CPU = m.UserCPU + m.SystemCPU
	if m.Server == roleBridge {
		m.NATSCPU = perEvent(after.nats.user+after.nats.system-before.nats.user-before.nats.system, m.Events)
	}
	m.Memory = Memory{Resident: after.server.resident, Peak: after.server.peak, Files: after.server.files, Threads: after.server.threads}
}

// perEvent is microseconds.
func perEvent(d time.Duration, events uint64) float64 {
	if events == 0 {
		return 0
	}
	return d.Seconds() * 1e6 / float64(events)
}

func newLatency(h *hdrhistogram.Histogram) Latency {
	at := func(percentile float64) float64 { return float64(h.ValueAtQuantile(percentile)) / 1e3 }
	return Latency{P50: at(50), P99: at(99), P999: at(99.9), Max: float64(h.Max()) / 1e3}
}
