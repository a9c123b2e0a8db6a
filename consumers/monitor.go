package consumers

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

// Monitor is what an operator sees of the consumers in a process: metrics, as a
// prometheus.Collector, and readiness. No label is anything but a consumer's name.
type Monitor struct {
	processed, fails, dead, redelivered *prometheus.CounterVec
	lag, lastError, refused             *prometheus.GaugeVec
	ready, degraded                     *prometheus.Desc

	mu     sync.Mutex
	states map[string]*Watch
}

// NewMonitor returns one that watches nothing yet. Give it to Options.Monitor.
func NewMonitor() *Monitor {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"consumer"})
	}
	return &Monitor{
		processed:   counter("consumer_processed_total", "Messages that were done and acked."),
		fails:       counter("consumer_failed_total", "Tries that failed and are repeated."),
		dead:        counter("consumer_dead_total", "Messages set aside in the stream DEAD."),
		redelivered: counter("consumer_redelivered_total", "Deliveries of a message that was delivered before."),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "consumer_lag_messages", Help: "Messages that are not done yet: still in the stream (pending), or on their way (ack_pending).",
		}, []string{"consumer", "state"}),
		lastError: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "consumer_last_error_timestamp_seconds", Help: "When a message or the connection last failed.",
		}, []string{"consumer"}),
		refused: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "consumer_refused_documents", Help: "Subscriptions or chat rooms whose newest version is not understood.",
		}, []string{"consumer"}),
		ready: prometheus.NewDesc("consumer_ready", "1 when the consumer gets messages or stands by, as /readyz says.", []string{"consumer"}, nil),
		degraded: prometheus.NewDesc("consumer_degraded", "1 when the consumer gets messages and not all is as it should be, as /readyz?verbose says.",
			[]string{"consumer"}, nil),
		states: map[string]*Watch{},
	}
}

// Describe implements prometheus.Collector.
func (m *Monitor) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.ready
	ch <- m.degraded
	for _, c := range m.collectors() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *Monitor) Collect(ch chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, is bool, name string) {
		v := 0.0
		if is {
			v = 1
		}
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, name)
	}
	for _, c := range m.Checks() {
		gauge(m.ready, c.OK, c.Name)
		gauge(m.degraded, c.Degraded, c.Name)
	}
	for _, c := range m.collectors() {
		c.Collect(ch)
	}
}

func (m *Monitor) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.processed, m.fails, m.dead, m.redelivered, m.lag, m.lastError, m.refused}
}

// Check is the state of one consumer. The zero value is a failure.
type Check struct {
	Name     string // of the consumer
	OK       bool   // it gets messages
	Degraded bool   // it gets messages, but not all is as it should be
	Detail   string // a few words for the operator
}

// Checks returns the state of each consumer, in the order of names.
func (m *Monitor) Checks() []Check {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]Check, 0, len(m.states))
	for _, s := range m.states {
		list = append(list, s.check())
	}
	slices.SortFunc(list, func(a, b Check) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Watch begins to watch the consumer of this name, which is not ready while nc has no server;
// nil always has. Run does it by itself; a consumer with a loop of its own calls it.
func (m *Monitor) Watch(name string, nc *nats.Conn) *Watch {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := &Watch{
		monitor: m, name: name, nc: nc,
		processed: m.processed.WithLabelValues(name), fails: m.fails.WithLabelValues(name),
		dead: m.dead.WithLabelValues(name), redelivered: m.redelivered.WithLabelValues(name),
		pending: m.lag.WithLabelValues(name, "pending"), ackPending: m.lag.WithLabelValues(name, "ack_pending"),
		lastError: m.lastError.WithLabelValues(name),
		detail:    "starting",
	}
	m.states[name] = w
	return w
}

// Watch is what the monitor knows of one consumer.
type Watch struct {
	monitor                             *Monitor
	name                                string
	nc                                  *nats.Conn
	processed, fails, dead, redelivered prometheus.Counter
	pending, ackPending, lastError      prometheus.Gauge

	mu     sync.Mutex
	ok     bool
	detail string
	drift  []string
	broken string // what of its documents is not understood

	failing time.Time // when tries began to fail, without one message done since; zero is not
	failure error     // of the last one
}

// Died counts a message that the consumer of this name set aside by itself.
func (m *Monitor) Died(name string) { m.dead.WithLabelValues(name).Inc() }

// Leave ends it: the consumer is no longer part of readiness, and its gauges are gone: nobody
// would bring them up to date.
func (w *Watch) Leave() {
	m := w.monitor
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.states[w.name] != w {
		return
	}
	delete(m.states, w.name)
	for _, gauge := range []*prometheus.GaugeVec{m.lag, m.lastError, m.refused} {
		gauge.DeletePartialMatch(prometheus.Labels{"consumer": w.name})
	}
}

// Attached says that the consumer gets messages, or stands by; detail may be empty.
func (w *Watch) Attached(detail string) { w.set(true, detail) }

// Detached says that it gets none, and why.
func (w *Watch) Detached(err error) {
	w.lastError.SetToCurrentTime()
	w.set(false, err.Error())
}

// Looked says whether the last look at its documents has worked.
func (w *Watch) Looked(err error) {
	if err != nil {
		w.Detached(err)
		return
	}
	w.Attached("")
}

// Processed counts a message that was done.
func (w *Watch) Processed() {
	w.processed.Inc()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failing, w.failure = time.Time{}, nil
}

// Redelivered counts a delivery that was not the first.
func (w *Watch) Redelivered() { w.redelivered.Inc() }

// Failed counts a try that is repeated, and why it failed.
func (w *Watch) Failed(err error) {
	w.fails.Inc()
	w.lastError.SetToCurrentTime()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure == nil {
		w.failing = time.Now()
	}
	w.failure = err
}

// Died counts a message that was set aside.
func (w *Watch) Died() {
	w.dead.Inc()
	w.lastError.SetToCurrentTime()
}

// Lag says how many messages are not done yet: still in the stream, and on their way.
func (w *Watch) Lag(pending, ackPending uint64) {
	w.pending.Set(float64(pending))
	w.ackPending.Set(float64(ackPending))
}

// Refused says which documents of this kind, as in "chat rooms", are not understood.
func (w *Watch) Refused(what string, keys []string) {
	w.monitor.refused.WithLabelValues(w.name).Set(float64(len(keys)))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = ""
	if len(keys) > 0 {
		w.broken = fmt.Sprintf("%d %s are not understood: %s", len(keys), what, oneLine(shorten(strings.Join(keys, ", "), maxReason)))
	}
}

func (w *Watch) set(ok bool, detail string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ok, w.detail = ok, detail
}

func (w *Watch) setDrift(drift []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drift = drift
}

func (w *Watch) check() Check {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := Check{Name: w.name, OK: w.ok, Detail: w.detail}
	if w.nc != nil && !w.nc.IsConnected() { // which the wait for the next message does not tell
		c.OK, c.Detail = false, "NATS is not connected"
		if err := w.nc.LastError(); err != nil {
			c.Detail += ": " + oneLine(shorten(err.Error(), maxReason))
		}
		return c
	}
	if w.ok && len(w.drift) > 0 {
		c.Degraded, c.Detail = true, fmt.Sprintf("the durable consumer differs: %s", strings.Join(w.drift, "; "))
	}
	if w.ok && w.broken != "" {
		c.Degraded, c.Detail = true, w.broken
	}
	if took := time.Since(w.failing); w.ok && w.failure != nil && took > degradedAfter {
		c.Degraded, c.Detail = true, fmt.Sprintf("nothing is done for %v: %s", took.Round(time.Second), oneLine(shorten(w.failure.Error(), maxReason)))
	}
	return c
}

// degradedAfter is how long all tries may fail until readiness tells it.
const degradedAfter = 10 * time.Second

// lagEvery is how often the server is asked how much is left.
const lagEvery = 10 * time.Second
