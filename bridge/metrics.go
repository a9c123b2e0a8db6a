package bridge

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bintubridge/bridge/buildinfo"
	"bintubridge/bridge/forward"
	"bintubridge/bridge/spool"
	"bintubridge/subjects"
)

// metrics shows the parts' own counters to Prometheus: they are read when a
// scrape asks, and cost the request path nothing. No label has a text of the
// sender's.
type metrics struct{ b *Bridge }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("bridge_"+name, help, labels, nil)
}

// Describe sends nothing: what there is depends on what was counted.
func (m metrics) Describe(chan<- *prometheus.Desc) {}

// Collect reads all parts.
func (m metrics) Collect(out chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	m.checks(gauge)
	m.requests(counter, gauge)
	m.spool(m.b.spool.Stats(), out, counter, gauge)
	m.forward(m.b.forwarder.Stats(), counter, gauge)
	m.rules(gauge)
	m.keys(counter, gauge)
	m.nats(counter, gauge)
	build := buildinfo.Read()
	gauge(desc("build_info", "1, with the version, the commit and the Go this bridge was built from.", "version", "revision", "go_version"),
		1, build.Version, build.Revision, build.Go)
}

// truth is how a gauge says yes and no.
func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func (m metrics) checks(gauge gaugeFunc) {
	ready := true
	troubled := desc("check_troubled", "1 when this check of /readyz?verbose is failed or degraded.", "check")
	for _, c := range m.b.ready() {
		ready = ready && c.OK
		gauge(troubled, truth(!c.OK || c.Degraded), c.Name)
	}
	gauge(desc("ready", "1 when the bridge is ready, as /readyz says."), truth(ready))
}

func (m metrics) nats(counter countFunc, gauge gaugeFunc) {
	connected := desc("nats_connected", "1 when the connection to NATS is up.", "connection")
	for name, l := range map[string]*link{"publish": m.b.publishing, "watch": m.b.watching} {
		gauge(connected, truth(l.connected()), name)
	}
	if m.b.embedded != nil {
		counter(desc("nats_embedded_restarts_total", "Times the embedded NATS was started again."), m.b.embedded.Status().Restarts)
	}
}

type (
	countFunc func(d *prometheus.Desc, v uint64, labels ...string)
	gaugeFunc func(d *prometheus.Desc, v float64, labels ...string)
)

func (m metrics) requests(counter countFunc, gauge gaugeFunc) {
	requests := desc("requests_total", "Webhooks answered, by call and by what became of them.", "call", "outcome")
	for outcome := range m.b.answers.counts.requests {
		for call := range subjects.NumCalls {
			if n := m.b.answers.counts.requests[outcome][call].Load(); n > 0 {
				name := call.String()
				if call == subjects.UnknownCall {
					name = "unknown"
				}
				counter(requests, n, name, subjects.Outcome(outcome).String())
			}
		}
	}
	fallback := desc("fallback_decisions_total", "Decisions that no rule made: by the default, without a name, or with rules that are too old.", "call")
	for call := range subjects.NumCalls {
		if call.Asks() {
			counter(fallback, m.b.answers.counts.fallback[call].Load(), call.String())
		}
	}
	counter(desc("events_lost_total", "Events answered but not kept: the spool took none or lost them to damage, or NATS will never take them and the dead-letter file took no more."), m.b.lost())
	counter(desc("requests_rejected_total", "Webhooks answered 503, because the spool took no event."), m.b.answers.counts.rejected.Load())
	s := m.b.receiver.Stats()
	refused := desc("http_refused_total", "HTTP requests and connections that never became a webhook, by reason.", "reason")
	for reason, n := range map[string]uint64{
		"caller": s.Forbidden, "path": s.NotFound, "method": s.WrongMethod, "malformed": s.Malformed,
		"truncated": s.Truncated, "timeout": s.TimedOut, "body_too_large": s.BodyTooLarge,
		"header_too_large": s.HeaderTooLarge, "overloaded": s.Overloaded, "crowded": s.Crowded, "displaced": s.Displaced, "tls": s.HandshakeFailed, "panic": s.Panics,
	} {
		counter(refused, n, reason)
	}
	counter(desc("http_unsent_replies_total", "Answers that could not be written to the caller."), s.Unsent)
	gauge(desc("http_connections", "Open connections of callers."), float64(s.Open))
	gauge(desc("http_requests_in_flight", "Requests being answered."), float64(s.InFlight))
}

func (m metrics) spool(s spool.Stats, out chan<- prometheus.Metric, counter countFunc, gauge gaugeFunc) {
	gauge(desc("spool_events", "Events in the spool that JetStream has not acked."), float64(s.Events))
	gauge(desc("spool_bytes", "Size of the spool on disk, acked segments that are kept for a while included."), float64(s.Bytes))
	gauge(desc("spool_segments", "Files of the spool."), float64(s.Segments))
	gauge(desc("spool_damaged_segments", "Files of the spool with bytes that cannot be read."), float64(s.Damaged))
	counter(desc("spool_unreadable_events_total", "Events that did not read back from the spool, or are missing in it."), s.Lost)
	gauge(desc("spool_failing", "1 when the last event could not be spooled."), truth(m.b.answers.failing.Load()))
	gauge(desc("spool_max_bytes", "Size that the events in the spool that JetStream has not acked may reach."), float64(m.b.cfg.SpoolMaxBytes))
	gauge(desc("spool_unacked_bytes", "Size of the events in the spool that JetStream has not acked."), float64(s.Unacked))
	gauge(desc("spool_oldest_event_age_seconds", "Age of the oldest event that JetStream has not acked, 0 when there is none."), s.OldestAge.Seconds())
	gauge(desc("spool_quarantined_segments", "Damaged files of the spool that were set aside."), float64(s.Quarantined))
	counter(desc("spool_append_failures_total", "Events the spool did not take."), s.Append.Failed)
	summary := func(name, help string, count uint64, total time.Duration) {
		out <- prometheus.MustNewConstSummary(desc(name, help), count, total.Seconds(), nil)
	}
	summary("spool_append_seconds", "Time of appending an event; one in 64 is measured.", s.Append.Timed, s.Append.Total)
	summary("spool_fsync_seconds", "Time of forcing events to the disk.", s.Fsync.Count, s.Fsync.Total)
	counter(desc("spool_fsync_failures_total", "Times the disk did not take what it was forced to."), s.Fsync.Failed)
}

func (m metrics) forward(f forward.Stats, counter countFunc, gauge gaugeFunc) {
	counter(desc("forward_acked_total", "Events acked by JetStream, or found in the stream."), f.Acked)
	counter(desc("forward_resent_total", "Events published more than once."), f.Resent)
	counter(desc("forward_duplicates_total", "Events JetStream had already."), f.Duplicates)
	counter(desc("forward_dead_letters_total", "Events NATS will never take, in the dead-letter file."), f.Dead)
	gauge(desc("forward_dead_letters_bytes", "Size of the dead-letter file."), float64(f.DeadBytes))
	counter(desc("forward_taken_back_total", "Acked events that the stream lost and that were sent again."), f.TakenBack)
	counter(desc("forward_failures_total", "Times forwarding stopped and began again."), f.Failures)
	counter(desc("forward_reconnects_total", "Times the publishing connection came back."), f.Reconnects)
	gauge(desc("forward_failing", "1 when nothing was acked since the last failure."), truth(f.Failing))
}

func (m metrics) rules(gauge gaugeFunc) {
	s := m.b.rules.Status()
	gauge(desc("rules", "Rules in force."), float64(s.Rules))
	gauge(desc("rules_documents", "Rule documents in force."), float64(s.Documents))
	gauge(desc("rules_invalid_documents", "Rule documents that were refused; their last good version is in force."), float64(s.InvalidCount))
	gauge(desc("rules_revision", "Revision of the rules in force."), float64(s.Revision))
	gauge(desc("rules_age_seconds", "Time since the rules were last known to be current."), s.Age.Seconds())
}

func (m metrics) keys(counter countFunc, gauge gaugeFunc) {
	s := m.b.keys.Status()
	gauge(desc("keys", "Keys in force that tokens are checked with."), float64(s.Keys))
	gauge(desc("keys_missing", "Keys that rules wanted for a request and that are not there; at most 16 are counted."), float64(len(s.Missing)))
	counter(desc("keys_failures_total", "Changes of the keys file that could not be used."), s.Failures)
}
