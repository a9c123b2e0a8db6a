package bench

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Report is what a run found. CPU is microseconds of processor time an event, latency
// microseconds, memory bytes.
type Report struct {
	Go           string        `json:"go"`
	Processors   int           `json:"processors"`
	Rules        int           `json:"rules"`
	Names        int           `json:"names"`
	Body         float64       `json:"body_bytes"` // on average
	Connections  int           `json:"connections"`
	Rate         int           `json:"rate"` // of open loops, events/s
	AtRest       Memory        `json:"bridge_at_rest"`
	AtEnd        Memory        `json:"bridge_at_end"`
	Summary      []Measurement `json:"summary"` // all rounds of a load in one
	Comparisons  []Comparison  `json:"comparisons"`
	Outage       []Phase       `json:"outage,omitempty"`
	Measurements []Measurement `json:"measurements"`
}

// Measurement is one load of one server, or with round 0 all of that kind.
type Measurement struct {
	Server    string  `json:"server"` // bare, bridge
	Form      form    `json:"form"`   // keep-alive, http/1.0
	Rate      int     `json:"rate"`   // events/s of an open loop, 0: closed
	Push      int     `json:"push"`   // rules/s that were to be pushed meanwhile
	Unread    bool    `json:"unread"` // they went into a bucket that nobody reads
	Round     int     `json:"round"`
	Events    uint64  `json:"events"`
	Refused   uint64  `json:"refused"` // of them answered with 403
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"events_per_second"`
	Latency   Latency `json:"latency_us"`

	CPU          float64 `json:"cpu_us"` // of the server, until the last event is acked
	UserCPU      float64 `json:"user_cpu_us"`
	SystemCPU    float64 `json:"system_cpu_us"`
	NATSCPU      float64 `json:"nats_cpu_us"`      // of the NATS server
	GeneratorCPU float64 `json:"generator_cpu_us"` // of the load

	Backlog         uint64  `json:"backlog"`                     // answered and not stored when the load ended
	DrainSeconds    float64 `json:"drain_seconds"`               // until they were acked
	PushedPerSecond float64 `json:"pushed_per_second,omitempty"` // rules
	Stored          float64 `json:"stored_bytes,omitempty"`      // an event takes in the stream
	Memory          Memory  `json:"memory"`

	latency *hdrhistogram.Histogram
}

// Latency in microseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// Memory is what a process holds.
type Memory struct {
	Resident int64 `json:"resident_bytes"`
	Peak     int64 `json:"peak_bytes"`
	Files    int   `json:"open_files"`
	Threads  int   `json:"threads"`
}

// Phase is a third of a load with an outage of NATS in the middle.
type Phase struct {
	Form    form    `json:"form"`
	Name    string  `json:"phase"`
	Events  uint64  `json:"events"`
	Latency Latency `json:"latency_us"`

	// By how much they are above those of the phase before the outage.
	P50Percent float64 `json:"p50_percent"`
	P99Percent float64 `json:"p99_percent"`
}

// Comparison is the bridge beside the bare server, or beside itself without pushes: the
// median of the rounds, and their lowest and highest.
type Comparison struct {
	Figure  string  `json:"figure"`
	Unit    string  `json:"unit"` // times: a ratio; µs, %: a difference
	Load    string  `json:"load"`
	Base    string  `json:"base"`
	Median  float64 `json:"median"`
	Lowest  float64 `json:"lowest"`
	Highest float64 `json:"highest"`
}

func (m *Measurement) title() string {
	text := m.Server + ", " + string(m.Form)
	if m.Rate == 0 {
		text += ", closed loop"
	} else {
		text += fmt.Sprintf(", %d/s", m.Rate)
	}
	if m.Push > 0 {
		text += fmt.Sprintf(", %d pushes/s", m.Push)
	}
	if m.Unread {
		text += " to nobody"
	}
	return text
}

func (r *Report) add(m Measurement) { r.Measurements = append(r.Measurements, m) }

// summarize puts the rounds of each load into one, and the bridge beside the bare server.
func (r *Report) summarize() {
	var kinds []string
	rounds := map[string][]Measurement{}
	for _, m := range r.Measurements {
		kind := m.title()
		if rounds[kind] == nil {
			kinds = append(kinds, kind)
		}
		rounds[kind] = append(rounds[kind], m)
	}
	for _, kind := range kinds {
		r.Summary = append(r.Summary, merge(rounds[kind]))
	}
	for _, m := range r.Summary {
		if m.Server != roleBridge {
			continue
		}
		base := m
		base.Server, base.Push, base.Unread = roleBare, 0, false
		if m.Push > 0 {
			base.Server = roleBridge
		}
		r.compare(rounds[m.title()], rounds[base.title()])
	}
}

// merge sums up the rounds of one load.
func merge(rounds []Measurement) Measurement {
	sum := rounds[0]
	sum.Round, sum.latency = 0, newHistogram()
	sum.Events, sum.Refused, sum.Seconds, sum.Backlog = 0, 0, 0, 0
	var cpu [5]float64 // µs of all events
	var pushed, stored float64
	for _, m := range rounds {
		sum.Events += m.Events
		sum.Refused += m.Refused
		sum.Seconds += m.Seconds
		sum.Backlog = max(sum.Backlog, m.Backlog)
		sum.DrainSeconds = max(sum.DrainSeconds, m.DrainSeconds)
		sum.latency.Merge(m.latency)
		for i, c := range [...]float64{m.CPU, m.UserCPU, m.SystemCPU, m.NATSCPU, m.GeneratorCPU} {
			cpu[i] += c * float64(m.Events)
		}
		pushed += m.PushedPerSecond * m.Seconds
		stored += m.Stored * float64(m.Events)
		if m.Memory.Peak > sum.Memory.Peak {
			sum.Memory = m.Memory
		}
	}
	for i, to := range [...]*float64{&sum.CPU, &sum.UserCPU, &sum.SystemCPU, &sum.NATSCPU, &sum.GeneratorCPU} {
		*to = cpu[i] / max(float64(sum.Events), 1)
	}
	sum.Stored = stored / max(float64(sum.Events), 1)
	sum.PerSecond, sum.PushedPerSecond = float64(sum.Events)/sum.Seconds, pushed/sum.Seconds
	sum.Latency = newLatency(sum.latency)
	return sum
}

// compare adds how a load differs from another that ran in turns with it.
func (r *Report) compare(of, base []Measurement) {
	if len(of) == 0 || len(of) != len(base) {
		return
	}
	ratio := func(a, b float64) float64 { return a / b }
	type figure struct {
		name, unit string
		compare    func(a, b float64) float64
		of         func(Measurement) float64
	}
	figures := []figure{
		{"events/s", "times", ratio, func(m Measurement) float64 { return m.PerSecond }},
		{"CPU", "times", ratio, func(m Measurement) float64 { return m.CPU }},
		{"p50", "times", ratio, func(m Measurement) float64 { return m.Latency.P50 }},
		{"p50", "µs", func(a, b float64) float64 { return a - b }, func(m Measurement) float64 { return m.Latency.P50 }},
		{"p99", "times", ratio, func(m Measurement) float64 { return m.Latency.P99 }},
		{"p99", "µs", func(a, b float64) float64 { return a - b }, func(m Measurement) float64 { return m.Latency.P99 }},
	}
	if base[0].Server == roleBridge {
		figures = append(figures,
			figure{"p50", "%", percent, func(m Measurement) float64 { return m.Latency.P50 }},
			figure{"p99", "%", percent, func(m Measurement) float64 { return m.Latency.P99 }})
	}
	for _, figure := range figures {
		var rounds []float64
		for i := range of {
			if b := figure.of(base[i]); b > 0 { // 0: too short for the kernel's clock
				rounds = append(rounds, figure.compare(figure.of(of[i]), b))
			}
		}
		if len(rounds) == 0 {
			continue
		}
		slices.Sort(rounds)
		n := len(rounds)
		r.Comparisons = append(r.Comparisons, Comparison{
			Figure: figure.name, Unit: figure.unit, Load: of[0].title(), Base: base[0].title(),
			Median: (rounds[(n-1)/2] + rounds[n/2]) / 2, Lowest: rounds[0], Highest: rounds[n-1],
		})
	}
}

// percent is by how much a is above b.
func percent(a, b float64) float64 { return 100 * (a/b - 1) }

// Print writes the report for people.
func (r *Report) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%d rules, %d names, bodies of %.0f bytes, %d connections, %d processors, %s\n\n", r.Rules, r.Names, r.Body, r.Connections, r.Processors, r.Go)
	fmt.Fprintln(t, "LOAD\tEVENTS\tEVENTS/S\tP50 µs\tP99 µs\tP99.9 µs\tMAX µs\tCPU µs\tUSER\tSYSTEM\tNATS µs\tLOAD µs\tPEAK MB\tDRAINED s\tSTORED B")
	for _, m := range r.Summary {
		fmt.Fprintf(t, "%s\t%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.1f\t%.2f\t%.0f\n",
			m.title(), m.Events, m.PerSecond, m.Latency.P50, m.Latency.P99, m.Latency.P999, m.Latency.Max,
			m.CPU, m.UserCPU, m.SystemCPU, m.NATSCPU, m.GeneratorCPU, megabytes(m.Memory.Peak), m.DrainSeconds, m.Stored)
	}
	fmt.Fprintln(t, "\nLOAD\tBESIDE\tFIGURE\tMEDIAN\tLOWEST\tHIGHEST")
	for _, c := range r.Comparisons {
		form := "%s\t%s\t%s\t%.2f\t%.2f\t%.2f times\n"
		switch c.Unit {
		case "µs":
			form = "%s\t%s\t%s\t%+.0f\t%+.0f\t%+.0f µs\n"
		case "%":
			form = "%s\t%s\t%s\t%+.1f\t%+.1f\t%+.1f %%\n"
		}
		fmt.Fprintf(t, form, c.Load, c.Base, c.Figure, c.Median, c.Lowest, c.Highest)
	}
	if len(r.Outage) > 0 {
		fmt.Fprintln(t, "\nOUTAGE\tPHASE\tEVENTS\tP50 µs\tP99 µs\tP99.9 µs\tMAX µs\tP50 %\tP99 %")
		for _, p := range r.Outage {
			fmt.Fprintf(t, "%s\t%s\t%d\t%.0f\t%.0f\t%.0f\t%.0f\t%+.1f\t%+.1f\n",
				p.Form, p.Name, p.Events, p.Latency.P50, p.Latency.P99, p.Latency.P999, p.Latency.Max, p.P50Percent, p.P99Percent)
		}
	}
	fmt.Fprintf(t, "\nBRIDGE\tRESIDENT MB\tPEAK MB\tOPEN FILES\tTHREADS\n")
	for _, row := range []struct {
		name string
		m    Memory
	}{{"at rest", r.AtRest}, {"at the end", r.AtEnd}} {
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%d\t%d\n", row.name, megabytes(row.m.Resident), megabytes(row.m.Peak), row.m.Files, row.m.Threads)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func megabytes(n int64) float64 { return float64(n) / 1e6 }
