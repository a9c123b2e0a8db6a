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

// MemoryReport is what a bridge with NATS in it holds, before and after many events.
type MemoryReport struct {
	Go        string  `json:"go"`
	Events    uint64  `json:"events"` // answered, and each of them in the stream once
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"events_per_second"`
	Stages    []Stage `json:"stages"`
}

// Stage is a moment of it.
type Stage struct {
	Name string `json:"name"`
	Levels
}

// AtRest measures what a bridge with NATS in it, and without rules, holds after o.Duration
// without work, after o.Events, and at each of the times after them.
func AtRest(ctx context.Context, o Options, after []time.Duration) (*MemoryReport, error) {
	if err := o.checkRest(after); err != nil {
		return nil, BadOption{err}
	}
	o.Rules = 0
	return onRig(ctx, o, func(r *rig, ctx context.Context) (*MemoryReport, error) { return r.atRest(ctx, after) })
}

func (o Options) checkRest(after []time.Duration) error {
	switch {
	case o.Duration <= 0:
		return fmt.Errorf("--rest is %s, want more than 0s", o.Duration)
	case o.Events == 0:
		return errors.New("--events is 0, want at least 1")
	case o.Rate < 0:
		return fmt.Errorf("--rate is %d, want more than 0, or none", o.Rate)
	case !slices.IsSorted(after) || len(after) > 0 && after[0] < 0:
		return fmt.Errorf("--after is %s, want times that ascend, none below 0s", after)
	}
	o.Rules, o.Rate, o.Rounds = 1, max(o.Rate, 1), 1
	return o.check()
}

func (r *rig) atRest(ctx context.Context, after []time.Duration) (*MemoryReport, error) {
	all := schedule{rate: r.opts.Rate, total: r.opts.Events}
	r.ahead = r.opts.Duration + all.takes()
	if len(after) > 0 {
		r.ahead += after[len(after)-1]
	}
	if err := r.startEmbedded(ctx); err != nil {
		return nil, err
	}
	report := &MemoryReport{Go: runtime.Version()}
	stage := func(wait time.Duration, name string) error {
		r.step(max(wait, 0), "%s", name)
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		l, err := r.levels(ctx)
		report.Stages = append(report.Stages, Stage{Name: name, Levels: l})
		return err
	}
	if err := stage(r.opts.Duration, fmt.Sprintf("%s after the start", r.opts.Duration)); err != nil {
		return nil, err
	}
	var err error
	if r.sink, err = openSink(ctx, r.bridge.told.NATS); err != nil {
		return nil, err
	}
	r.step(all.takes(), "%d events", r.opts.Events)
	got, err := r.endure(ctx, all)
	if err != nil {
		return nil, err
	}
	report.Events, report.Seconds = got.total(), got.took.Seconds()
	report.PerSecond = float64(report.Events) / report.Seconds
	if err := stage(0, fmt.Sprintf("after %d events", report.Events)); err != nil {
		return nil, err
	}
	began := time.Now()
	for _, d := range after {
		if err := stage(d-time.Since(began), fmt.Sprintf("%s later", d)); err != nil {
			return nil, err
		}
	}
	return report, nil
}

// Print writes the report for people.
func (m *MemoryReport) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "a bridge with NATS in it, no rules, %s; %d events in %.0f s, %.0f/s\n\n", m.Go, m.Events, m.Seconds, m.PerSecond)
	fmt.Fprintln(t, "WHEN\tRESIDENT MB\tIN NO FILE MB\tHEAP IN USE MB\tGOROUTINES\tOPEN FILES\tTHREADS")
	for _, s := range m.Stages {
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t%d\t%d\t%d\n",
			s.Name, megabytes(s.Resident), megabytes(s.Anonymous), megabytes(s.Heap), s.Goroutines, s.Files, s.Threads)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
