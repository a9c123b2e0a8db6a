package bridge

import (
	"maps"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"bintubridge/bridge/forward"
	"bintubridge/bridge/spool"
)

// Each metric of spool and forwarder shows the figure that it is named after.
func TestMetricsShowTheirFigures(t *testing.T) {
	m := metrics{&Bridge{cfg: Config{SpoolMaxBytes: 1}, answers: &answerer{}}}
	m.b.answers.failing.Store(true)
	got := collected(t, func(out chan<- prometheus.Metric, counter countFunc, gauge gaugeFunc) {
		m.spool(spool.Stats{
			Events: 2, Bytes: 3, Segments: 4, Damaged: 5, Lost: 6, Unacked: 7, Quarantined: 8, OldestAge: 9 * time.Second,
			Append: spool.AppendStats{Failed: 10, Timed: 11, Total: 12 * time.Second},
			Fsync:  spool.SyncStats{Failed: 13, Count: 14, Total: 15 * time.Second},
		}, out, counter, gauge)
		m.forward(forward.Stats{
			Acked: 16, Resent: 17, Duplicates: 18, Dead: 19, DeadBytes: 20, TakenBack: 21, Failures: 22, Reconnects: 23, Failing: true,
		}, counter, gauge)
	})
	want := map[string]float64{
		"spool_max_bytes": 1, "spool_events": 2, "spool_bytes": 3, "spool_segments": 4, "spool_damaged_segments": 5,
		"spool_unreadable_events_total": 6, "spool_unacked_bytes": 7, "spool_quarantined_segments": 8,
		"spool_oldest_event_age_seconds": 9, "spool_append_failures_total": 10, "spool_append_seconds count": 11,
		"spool_append_seconds": 12, "spool_fsync_failures_total": 13, "spool_fsync_seconds count": 14, "spool_fsync_seconds": 15,
		"spool_failing": 1, "forward_acked_total": 16, "forward_resent_total": 17, "forward_duplicates_total": 18,
		"forward_dead_letters_total": 19, "forward_dead_letters_bytes": 20, "forward_taken_back_total": 21,
		"forward_failures_total": 22, "forward_reconnects_total": 23, "forward_failing": 1,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// collect makes a collector of a function.
type collect func(chan<- prometheus.Metric)

func (c collect) Describe(chan<- *prometheus.Desc)     {}
func (c collect) Collect(out chan<- prometheus.Metric) { c(out) }

// collected returns the metrics that make sends, without bridge_ before their names. A summary is
// its sum, and its count.
func collected(t *testing.T, send func(chan<- prometheus.Metric, countFunc, gaugeFunc)) map[string]float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(collect(func(out chan<- prometheus.Metric) {
		send(out, func(d *prometheus.Desc, v uint64, labels ...string) {
			out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
		}, func(d *prometheus.Desc, v float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
		})
	}))
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		name, metric := f.GetName()[len("bridge_"):], f.GetMetric()[0]
		switch f.GetType() {
		case dto.MetricType_COUNTER:
			got[name] = metric.GetCounter().GetValue()
		case dto.MetricType_GAUGE:
			got[name] = metric.GetGauge().GetValue()
		case dto.MetricType_SUMMARY:
			got[name] = metric.GetSummary().GetSampleSum()
			got[name+" count"] = float64(metric.GetSummary().GetSampleCount())
		}
	}
	return got
}
