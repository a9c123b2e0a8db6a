package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

const (
	saturating = 5 * time.Second // of a closed loop, of which a soak takes half the rate
	fifths     = 5
)

// ErrNotFlat says that a process held more and more.
var ErrNotFlat = errors.New("the bridge grows under a steady load")

// SoakReport is a long load at a steady rate, and what bridge and NATS held meanwhile.
type SoakReport struct {
	Go        string   `json:"go"`
	Rules     int      `json:"rules"`
	Saturated float64  `json:"saturated_events_per_second,omitempty"` // measured before, when no rate was given
	Rate      int      `json:"rate"`
	Events    uint64   `json:"events"` // answered, and each of them in the stream once
	Refused   uint64   `json:"refused"`
	Seconds   float64  `json:"seconds"`
	Latency   Latency  `json:"latency_us"`
	Warmup    float64  `json:"warmup_seconds"` // without its samples
	Courses   []Course `json:"courses"`
	Samples   []Sample `json:"samples"`
}

// Course is how one figure went: its first and last value, and the median of each fifth of
// the time after the warm-up.
type Course struct {
	Figure string          `json:"figure"`
	First  float64         `json:"first"`
	Fifths [fifths]float64 `json:"fifths"`
	Last   float64         `json:"last"`
	Limit  float64         `json:"limit,omitempty"` // of the last fifth; 0: none
}

// flat reports whether the last fifth stays within the limit.
func (c *Course) flat() bool { return c.Limit == 0 || c.Fifths[fifths-1] <= c.Limit }

// Soak drives a bridge at o.Rate, or at half of what it answers at most, for o.Duration.
// The error wraps errCount when events and answers differ. Whether it was flat the report
// says.
func Soak(ctx context.Context, o Options) (*SoakReport, error) {
	if err := o.checkSoak(); err != nil {
		return nil, BadOption{err}
	}
	return onRig(ctx, o, (*rig).soak)
}

func (o Options) checkSoak() error {
	if o.Sample <= 0 {
		return fmt.Errorf("--sample is %s, want more than 0s", o.Sample)
	}
	if least := 4 * fifths * o.Sample; o.Duration < least {
		return fmt.Errorf("--duration is %s, want at least %s: four samples in each fifth", o.Duration, least)
	}
	measured := o
	measured.Rate, measured.Rounds = max(o.Rate, 1), 1
	if o.Rate < 0 {
		return fmt.Errorf("--rate is %d, want more than 0, or none", o.Rate)
	}
	return measured.check()
}

func (r *rig) soak(ctx context.Context) (*SoakReport, error) {
	o := r.opts
	r.ahead = o.Duration
	if o.Rate == 0 {
		r.ahead += saturating
	}
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	report := &SoakReport{Go: runtime.Version(), Rules: o.Rules, Rate: o.Rate}
	if o.Rate == 0 {
		m, err := r.measure(ctx, plan{server: roleBridge, form: keepAlive, schedule: schedule{end: saturating}})
		if err != nil {
			return nil, err
		}
		report.Saturated = m.PerSecond
		report.Rate = max(int(m.PerSecond/2), 1)
	}
	r.step(o.Duration, "%d events/s for %s", report.Rate, o.Duration)
	samples := r.startSampler(ctx, o.Sample)
	got, err := r.endure(ctx, schedule{rate: report.Rate, total: uint64(o.Duration.Seconds() * float64(report.Rate))})
	var sampleErr error
	report.Samples, sampleErr = samples.stop()
	if err := errors.Join(err, sampleErr); err != nil {
		return nil, err
	}
	report.Events, report.Refused, report.Seconds = got.total(), got.refused, got.took.Seconds()
	report.Latency = newLatency(got.latency[0])
	report.Warmup = got.took.Seconds() / 10
	return report, report.judge()
}

// endure carries out a load of s.total events in all, and reads the events meanwhile: the
// stream would not hold them.
func (r *rig) endure(ctx context.Context, s schedule) (answers, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	book := newLedger(r.sink.expected, s.total)
	read := make(chan error, 1)
	go func() {
		err := r.sink.read(ctx, s.total, book)
		if err != nil {
			cancel()
		}
		read <- err
	}()
	got, err := r.load(plan{server: roleBridge, form: keepAlive, schedule: s}).run(ctx)
	r.sent += got.total()
	if err != nil {
		cancel()
		return got, errors.Join(err, <-read)
	}
	if err := <-read; err != nil {
		return got, err
	}
	if more, err := r.sink.stored(ctx); err != nil || more > 0 {
		return got, errors.Join(err, fmt.Errorf("%w: %d events too many", errCount, more))
	}
	return got, book.compare(got)
}

// judge fills in how each figure went.
func (s *SoakReport) judge() error {
	counted := slices.DeleteFunc(slices.Clone(s.Samples), func(m Sample) bool { return m.Seconds < s.Warmup })
	if len(counted) < fifths {
		return fmt.Errorf("%d samples after the warm-up, want at least %d", len(counted), fifths)
	}
	for _, figure := range []struct {
		name  string
		of    func(Sample) float64
		limit func(second float64) float64 // of the last fifth's median; nil: none
	}{
		{"bridge resident MB", func(m Sample) float64 { return megabytes(m.Bridge.Resident) }, share(1.1)},
		{"bridge in no file MB", func(m Sample) float64 { return megabytes(m.Bridge.Anonymous) }, share(1.1)},
		{"bridge heap in use MB", func(m Sample) float64 { return megabytes(m.Bridge.Heap) }, share(1.2)},
		{"bridge goroutines", func(m Sample) float64 { return float64(m.Bridge.Goroutines) }, more(4)},
		{"bridge open files", func(m Sample) float64 { return float64(m.Bridge.Files) }, more(4)},
		{"bridge threads", func(m Sample) float64 { return float64(m.Bridge.Threads) }, more(4)},
		// The ids of the duplicate window grow for its ten minutes, so NATS has no limit.
		{"NATS resident MB", func(m Sample) float64 { return megabytes(m.NATS.Resident) }, nil},
		{"NATS open files", func(m Sample) float64 { return float64(m.NATS.Files) }, nil},
		{"NATS threads", func(m Sample) float64 { return float64(m.NATS.Threads) }, nil},
	} {
		c := Course{Figure: figure.name, First: figure.of(s.Samples[0]), Last: figure.of(s.Samples[len(s.Samples)-1])}
		for i := range fifths {
			c.Fifths[i] = median(counted[i*len(counted)/fifths:(i+1)*len(counted)/fifths], figure.of)
		}
		if figure.limit != nil {
			c.Limit = figure.limit(c.Fifths[1])
		}
		s.Courses = append(s.Courses, c)
	}
	return nil
}

func share(of float64) func(float64) float64 {
	return func(second float64) float64 { return of * second }
}
func more(n float64) func(float64) float64 { return func(second float64) float64 { return second + n } }

func median(samples []Sample, of func(Sample) float64) float64 {
	values := make([]float64, 0, len(samples))
	for _, m := range samples {
		values = append(values, of(m))
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// Flat is nil, or an error that wraps ErrNotFlat and names what grew.
func (s *SoakReport) Flat() error {
	var list []error
	for _, c := range s.Courses {
		if !c.flat() {
			list = append(list, fmt.Errorf("%w: %s: %.1f in the last fifth, %.1f in the second, limit %.1f",
				ErrNotFlat, c.Figure, c.Fifths[fifths-1], c.Fifths[1], c.Limit))
		}
	}
	return errors.Join(list...)
}

// Print writes the report for people.
func (s *SoakReport) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if s.Saturated > 0 {
		fmt.Fprintf(t, "%.0f events/s saturated\n", s.Saturated)
	}
	fmt.Fprintf(t, "%d events in %.0f s, %d/s, %d rules, %s; each answered once and in the stream once\n", s.Events, s.Seconds, s.Rate, s.Rules, s.Go)
	fmt.Fprintf(t, "latency µs: p50 %.0f, p99 %.0f, p99.9 %.0f, max %.0f\n", s.Latency.P50, s.Latency.P99, s.Latency.P999, s.Latency.Max)
	fmt.Fprintf(t, "medians of the fifths after a warm-up of %.0f s\n\n", s.Warmup)
	fmt.Fprintln(t, "FIGURE\tFIRST\t1\t2\t3\t4\t5\tLAST\tLIMIT OF 5\t")
	for _, c := range s.Courses {
		limit, verdict := "-", ""
		if c.Limit > 0 {
			limit, verdict = fmt.Sprintf("%.1f", c.Limit), "flat"
		}
		if !c.flat() {
			verdict = "GROWS"
		}
		fmt.Fprintf(t, "%s\t%.1f\t", c.Figure, c.First)
		for _, value := range c.Fifths {
			fmt.Fprintf(t, "%.1f\t", value)
		}
		fmt.Fprintf(t, "%.1f\t%s\t%s\n", c.Last, limit, verdict)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
