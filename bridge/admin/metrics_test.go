package admin

import (
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"pgregory.net/rapid"
)

// oracle is client_golang's own histogram with the same buckets.
func oracle() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "bridge_decision_seconds", Help: "Time to decide.",
		Buckets: prometheus.ExponentialBuckets(time.Microsecond.Seconds(), 2, numBounds),
	})
}

func read(t interface{ Fatalf(string, ...any) }, c prometheus.Collector) *dto.Histogram {
	ch := make(chan prometheus.Metric, 1)
	c.Collect(ch)
	var m dto.Metric
	if err := (<-ch).Write(&m); err != nil {
		t.Fatalf("write: %v", err)
	}
	return m.GetHistogram()
}

// compare fails unless both hold the same counts in the same buckets.
func compare(t interface{ Fatalf(string, ...any) }, got, want *dto.Histogram) {
	if got.GetSampleCount() != want.GetSampleCount() || len(got.GetBucket()) != len(want.GetBucket()) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
	for i, b := range want.GetBucket() {
		g := got.GetBucket()[i]
		if g.GetCumulativeCount() != b.GetCumulativeCount() || math.Abs(g.GetUpperBound()/b.GetUpperBound()-1) > 1e-12 {
			t.Fatalf("bucket %d: got %v, want %v", i, g, b)
		}
	}
	if diff := math.Abs(got.GetSampleSum() - want.GetSampleSum()); diff > 1e-9*(1+want.GetSampleSum()) {
		t.Fatalf("sum %v, want %v", got.GetSampleSum(), want.GetSampleSum())
	}
}

// TestHistogramMatchesOracle observes the same durations in both, the bounds
// and their neighbours often among them.
func TestHistogramMatchesOracle(t *testing.T) {
	edges := make([]time.Duration, 0, 3*numBounds+1)
	for i := range numBounds {
		at := time.Microsecond << i
		edges = append(edges, at-1, at, at+1)
	}
	durations := rapid.OneOf(
		rapid.SampledFrom(append(edges, 0)),
		rapid.Map(rapid.Int64Range(0, int64(3*time.Second)), func(n int64) time.Duration { return time.Duration(n) }),
	)
	rapid.Check(t, func(t *rapid.T) {
		h, want := NewHistogram("bridge_decision_seconds", "Time to decide.", time.Microsecond), oracle()
		for _, d := range rapid.SliceOf(durations).Draw(t, "durations") {
			h.Observe(d)
			want.Observe(d.Seconds())
		}
		compare(t, read(t, h), read(t, want))
	})
}

func TestHistogramEdges(t *testing.T) {
	for _, tt := range []struct {
		d    time.Duration
		want int
	}{
		{-time.Hour, 0}, {0, 0}, {1, 0}, {time.Microsecond, 0}, {time.Microsecond + 1, 1}, {2 * time.Microsecond, 1},
		{2*time.Microsecond + 1, 2}, {time.Microsecond << (numBounds - 1), numBounds - 1}, {time.Microsecond<<(numBounds-1) + 1, numBounds},
		{math.MaxInt64, numBounds},
	} {
		if got := NewHistogram("x_seconds", "X.", time.Microsecond).bucketOf(max(tt.d, 0)); got != tt.want {
			t.Errorf("bucketOf(%v) = %d, want %d", tt.d, got, tt.want)
		}
	}
	h := NewHistogram("x_seconds", "X.", time.Microsecond)
	h.Observe(-time.Hour)
	if got := read(t, h); got.GetSampleSum() != 0 || got.GetSampleCount() != 1 {
		t.Errorf("a negative duration gave %v", got)
	}
}

// TestHistogramCountsEachObservation observes from several goroutines while
// another reads: what is read never goes down and nothing is lost.
func TestHistogramCountsEachObservation(t *testing.T) {
	const goroutines, each = 4, 5000
	h := NewHistogram("x_seconds", "X.", time.Microsecond)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				h.Observe(time.Duration(g*i) * time.Microsecond)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var last uint64
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		now := read(t, h).GetSampleCount()
		if now < last {
			t.Fatalf("the count went from %d to %d", last, now)
		}
		last = now
	}
	if last != goroutines*each {
		t.Errorf("count = %d, want %d", last, goroutines*each)
	}
}

func TestObserveDoesNotAllocate(t *testing.T) {
	h := NewHistogram("x_seconds", "X.", time.Microsecond)
	if allocs := testing.AllocsPerRun(1000, func() { h.Observe(7 * time.Microsecond) }); allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

// TestMetrics scrapes a server with one of each kind the bridge uses.
func TestMetrics(t *testing.T) {
	h := NewHistogram("bridge_decision_seconds", "Time to decide.", time.Microsecond)
	h.Observe(3 * time.Microsecond)
	mine := []prometheus.Collector{
		h,
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "bridge_requests_total", Help: "Webhooks."}, func() float64 { return 12 }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bridge_spool_bytes", Help: "Spool size."}, func() float64 { return 34 }),
	}
	_, addr := started(t, Config{Collectors: mine})
	got := ask(t, addr, "GET", "/metrics", nil)
	for _, want := range []string{
		"bridge_decision_seconds_bucket{le=\"2e-06\"} 0\n", "bridge_decision_seconds_bucket{le=\"4e-06\"} 1\n",
		"bridge_decision_seconds_bucket{le=\"+Inf\"} 1\n", "bridge_decision_seconds_sum 3e-06\n",
		"bridge_requests_total 12\n", "bridge_spool_bytes 34\n", "go_goroutines ", "process_start_time_seconds ",
	} {
		if !strings.Contains(got.body, want) {
			t.Errorf("no %q in the metrics", want)
		}
	}

	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(mine...)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

func BenchmarkObserve(b *testing.B) {
	h := NewHistogram("x_seconds", "X.", time.Microsecond)
	b.ReportAllocs()
	for d := time.Duration(0); b.Loop(); d += 997 {
		h.Observe(d & 0xfffff)
	}
}

func BenchmarkObserveParallel(b *testing.B) {
	h := NewHistogram("x_seconds", "X.", time.Microsecond)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for d := time.Duration(0); pb.Next(); d += 997 {
			h.Observe(d & 0xfffff)
		}
	})
}
