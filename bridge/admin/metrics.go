package admin

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// The buckets of a Histogram end at its first bound, twice that, and so on: from
	// 1 µs to 2^20 µs, a little over a second, in which bintu wants its answer.
	numBounds = 21

	// cacheLine is the size in bytes that keeps two counters from sharing a
	// cache line (64 on amd64 and most arm64).
	cacheLine = 64
)

// Histogram counts durations in buckets that double in width. Observe is for
// the request path: it neither allocates nor locks. A Histogram is a
// prometheus.Collector.
type Histogram struct {
	desc    *prometheus.Desc
	first   time.Duration                // where the first bucket ends
	buckets [numBounds + 1]paddedCounter // not cumulative; the last is unbounded
	sum     paddedCounter                // nanoseconds
}

type paddedCounter struct {
	atomic.Uint64
	_ [cacheLine - 8]byte
}

// NewHistogram returns an empty histogram whose first bucket ends at first. Its unit is
// the second, so name should end in "_seconds".
func NewHistogram(name, help string, first time.Duration) *Histogram {
	return &Histogram{desc: prometheus.NewDesc(name, help, nil, nil), first: first}
}

// Observe counts d. A negative duration, from a clock set back, counts as none.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	h.buckets[h.bucketOf(d)].Add(1)
	h.sum.Add(uint64(d))
}

// bucketOf returns the first bucket whose bound is not under d. A d of 0 falls
// into the first because division rounds towards zero.
func (h *Histogram) bucketOf(d time.Duration) int {
	return min(bits.Len64(uint64((d-1)/h.first)), numBounds)
}

// bound returns where bucket i ends, inclusive.
func (h *Histogram) bound(i int) time.Duration { return h.first << i }

// Counts returns how many observations each bucket has.
func (h *Histogram) Counts() (c Counts) {
	for i := range h.buckets {
		c.buckets[i] = h.buckets[i].Load()
	}
	c.first = h.first
	return c
}

// Describe implements prometheus.Collector.
func (h *Histogram) Describe(ch chan<- *prometheus.Desc) { ch <- h.desc }

// Collect implements prometheus.Collector. The count is the sum of the
// buckets as read, so they agree with each other; the sum may be ahead or
// behind by the observations made meanwhile.
func (h *Histogram) Collect(ch chan<- prometheus.Metric) {
	sum := time.Duration(h.sum.Load()).Seconds()
	cumulative := make(map[float64]uint64, numBounds)
	var count uint64
	for i := range h.buckets {
		count += h.buckets[i].Load()
		if i < numBounds {
			cumulative[h.bound(i).Seconds()] = count
		}
	}
	ch <- prometheus.MustNewConstHistogram(h.desc, count, sum, cumulative)
}
