package bridge

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"time"
)

// historyColumns are what the page plots. Times are unix seconds, rates per second,
// durations in microseconds.
var historyColumns = map[string]func(s *sample) float64{
	"t":          func(s *sample) float64 { return float64(s.at.UnixMilli()) / 1000 },
	"allowed":    func(s *sample) float64 { return s.allowed },
	"refused":    func(s *sample) float64 { return s.refused },
	"told":       func(s *sample) float64 { return s.told },
	"others":     func(s *sample) float64 { return s.others },
	"lost":       func(s *sample) float64 { return s.lost },
	"answer_p50": func(s *sample) float64 { return micros(s.answerP50) },
	"answer_p99": func(s *sample) float64 { return micros(s.answerP99) },
	"decide_p50": func(s *sample) float64 { return micros(s.decideP50) },
	"decide_p99": func(s *sample) float64 { return micros(s.decideP99) },
}

// query answers with the columns of the samples after a time in unix seconds, of all
// without one.
func (h *history) query(_ context.Context, question url.Values) (any, error) {
	var after time.Time
	if text := question.Get("after"); text != "" {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("after=%q: want unix seconds", text)
		}
		after = time.UnixMilli(int64(math.Round(seconds * 1000)))
	}
	samples := h.after(after)
	columns := map[string][]float64{}
	for name, of := range historyColumns {
		column := make([]float64, len(samples))
		for i := range samples {
			column[i] = of(&samples[i])
		}
		columns[name] = column
	}
	return columns, nil
}

// recent is the last sample, nothing before there is one.
func (h *history) recent() map[string]float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	values := map[string]float64{}
	if n := len(h.samples); n > 0 {
		for name, of := range historyColumns {
			values[name] = of(&h.samples[n-1])
		}
	}
	return values
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
