package admin

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The quantile of the buckets is within the bucket of the true one.
func TestQuantileIsWithinItsBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := time.Duration(rapid.SampledFrom([]int{32, 1000}).Draw(t, "first"))
		durations := rapid.SliceOfN(rapid.Int64Range(0, int64(first)<<(numBounds-1)), 1, 60).Draw(t, "durations")
		old := rapid.SliceOf(rapid.Int64Range(0, int64(time.Second))).Draw(t, "old")
		h := NewHistogram("x_seconds", "X.", first)
		for _, d := range old {
			h.Observe(time.Duration(d))
		}
		before := h.Counts()
		for _, d := range durations {
			h.Observe(time.Duration(d))
		}
		slices.Sort(durations)
		q := rapid.SampledFrom([]float64{0.01, 0.5, 0.9, 0.99, 1}).Draw(t, "q")
		at := 0
		for float64(at+1) < q*float64(len(durations)) {
			at++
		}
		got, want := h.Counts().Since(before).Quantile(q), time.Duration(durations[at])
		bucket := h.bucketOf(want)
		if end := h.bound(bucket); got > end || bucket > 0 && got < end/2 {
			t.Fatalf("%v of %v is %v, want about %v", q, durations, got, want)
		}
	})
}

func TestQuantileEdges(t *testing.T) {
	h := NewHistogram("x_seconds", "X.", time.Microsecond)
	if got := h.Counts().Quantile(0.99); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	h.Observe(time.Hour)
	if got, want := h.Counts().Quantile(0.5), h.bound(numBounds-1); got != want {
		t.Errorf("beyond the last bound: %v, want %v", got, want)
	}
}
