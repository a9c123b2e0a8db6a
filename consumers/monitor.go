package consumers

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Monitor is what an operator sees of the consumers in a process: metrics, as a
// prometheus.Collector, and readiness. No label is anything but a consumer's name.
type Monitor struct {
	processed, fails, dead, redelivered *prometheus.CounterVec
	lag, lastError                      *prometheus.GaugeVec

	mu     sync.Mutex
	states map[string]*state
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
		states: map[string]*state{},
	}
}

// Describe implements prometheus.Collector.
func (m *Monitor) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *Monitor) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(ch)
	}
}

func (m *Monitor) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.processed, m.fails, m.dead, m.redelivered, m.lag, m.lastError}
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

// watch begins to watch the consumer of this name.
func (m *Monitor) watch(name string) *state {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &state{
		monitor: m, name: name,
		processed: m.processed.WithLabelValues(name), fails: m.fails.WithLabelValues(name),
		dead: m.dead.WithLabelValues(name), redelivered: m.redelivered.WithLabelValues(name),
		pending: m.lag.WithLabelValues(name, "pending"), ackPending: m.lag.WithLabelValues(name, "ack_pending"),
		lastError: m.lastError.WithLabelValues(name),
		detail:    "starting",
	}
	m.states[name] = s
	return s
}

// state is what the monitor knows of one consumer.
type state struct {
	monitor                             *Monitor
	name                                string
	processed, fails, dead, redelivered prometheus.Counter
	pending, ackPending, lastError      prometheus.Gauge

	mu     sync.Mutex
	ok     bool
	detail string
	drift  []string
}

func (s *state) leave() {
	s.monitor.mu.Lock()
	defer s.monitor.mu.Unlock()
	if s.monitor.states[s.name] == s {
		delete(s.monitor.states, s.name)
	}
}

func (s *state) attached() { s.set(true, "") }

func (s *state) detached(err error) {
	s.lastError.SetToCurrentTime()
	s.set(false, err.Error())
}

func (s *state) failed(error) {
	s.fails.Inc()
	s.lastError.SetToCurrentTime()
}

func (s *state) died(string) {
	s.dead.Inc()
	s.lastError.SetToCurrentTime()
}

func (s *state) set(ok bool, detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ok, s.detail = ok, detail
}

func (s *state) setDrift(drift []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drift = drift
}

func (s *state) check() Check {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := Check{Name: s.name, OK: s.ok, Detail: s.detail}
	if s.ok && len(s.drift) > 0 {
		c.Degraded, c.Detail = true, fmt.Sprintf("the durable consumer differs: %s", strings.Join(s.drift, "; "))
	}
	return c
}

// lagEvery is how often the server is asked how much is left.
const lagEvery = 10 * time.Second
