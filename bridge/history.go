package bridge

import (
	"slices"
	"sync"
	"time"

	"bintubridge/bridge/admin"
	"bintubridge/subjects"
)

const (
	historyTick  = time.Second
	historyKept  = 600 // samples: ten minutes
	historyRound = 10  // samples to a round of the rules' counts
)

// history keeps what the bridge did in each of the last seconds, for the page's plots.
// Its goroutine reads the request path's counters and costs the requests nothing.
type history struct {
	answers *answerer
	started time.Time

	quit chan struct{}
	loop sync.WaitGroup

	mu      sync.Mutex // guards what follows
	samples []sample   // the oldest first
	last    reading
	ticks   int
}

// reading is the counters at one time.
type reading struct {
	at                                   time.Time
	allowed, refused, told, others, lost uint64
	answers, decisions                   admin.Counts
}

// sample is what came between two readings. Rates are per second.
type sample struct {
	at                                   time.Time // whole milliseconds, as the page gets and gives it
	allowed, refused, told, others, lost float64
	answerP50, answerP99                 time.Duration
	decideP50, decideP99                 time.Duration
}

func startHistory(a *answerer) *history {
	now := time.Now()
	h := &history{answers: a, started: now.UTC(), quit: make(chan struct{}), last: a.reading(now)}
	h.loop.Go(h.run)
	return h
}

func (h *history) close() {
	close(h.quit)
	h.loop.Wait()
}

func (h *history) run() {
	tick := time.NewTicker(historyTick)
	defer tick.Stop()
	for {
		select {
		case <-h.quit:
			return
		case <-tick.C:
			h.note(h.answers.reading(time.Now()))
		}
	}
}

// reading reads the counters.
func (a *answerer) reading(now time.Time) reading {
	r := reading{at: now, lost: a.counts.lost.Load(), answers: a.latency.Counts(), decisions: a.deciding.Counts()}
	for call := range subjects.NumCalls {
		happened := a.counts.requests[subjects.Happened][call].Load()
		if call.Asks() {
			r.allowed += happened
		} else {
			r.told += happened
		}
		r.refused += a.counts.requests[subjects.Denied][call].Load()
		r.others += a.counts.requests[subjects.Invalid][call].Load() + a.counts.requests[subjects.Unknown][call].Load()
	}
	return r
}

// note adds the sample that ends with r, and now and then ends the rules' round.
func (h *history) note(r reading) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.samples = append(h.samples, r.since(h.last))
	h.samples = h.samples[max(len(h.samples)-historyKept, 0):]
	h.last = r
	if h.ticks++; h.ticks%historyRound == 0 {
		h.answers.byRule.collect()
	}
}

func (r reading) since(before reading) sample {
	seconds := r.at.Sub(before.at).Seconds()
	rate := func(now, then uint64) float64 { return float64(now-then) / seconds }
	answers, decisions := r.answers.Since(before.answers), r.decisions.Since(before.decisions)
	return sample{
		at: r.at.Truncate(time.Millisecond), allowed: rate(r.allowed, before.allowed), refused: rate(r.refused, before.refused),
		told: rate(r.told, before.told), others: rate(r.others, before.others), lost: rate(r.lost, before.lost),
		answerP50: answers.Quantile(0.5), answerP99: answers.Quantile(0.99),
		decideP50: decisions.Quantile(0.5), decideP99: decisions.Quantile(0.99),
	}
}

// after returns the samples that are newer than t.
func (h *history) after(t time.Time) []sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.samples, func(s sample) bool { return s.at.After(t) })
	if i < 0 {
		return nil
	}
	return slices.Clone(h.samples[i:])
}
