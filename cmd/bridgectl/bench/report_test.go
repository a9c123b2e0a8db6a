package bench

import (
	"bytes"
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Pushes and outages are set beside the same load without, in percent.
func TestPercents(t *testing.T) {
	measured := func(push int, took time.Duration) Measurement {
		m := Measurement{Server: roleBridge, Form: keepAlive, Rate: 1000, Push: push, Events: 10, Seconds: 1, PerSecond: 10, latency: newHistogram()}
		for range m.Events {
			if err := m.latency.RecordValue(int64(took)); err != nil {
				t.Fatal(err)
			}
		}
		m.Latency = newLatency(m.latency)
		return m
	}
	r := &Report{}
	r.add(measured(0, 100*time.Microsecond))
	r.add(measured(50, 110*time.Microsecond))
	r.summarize()
	got := map[string]float64{}
	for _, c := range r.Comparisons {
		if c.Unit == "%" {
			got[c.Figure] = c.Median
		}
	}
	near := func(a, b float64) bool { return math.Abs(a-b) < 0.5 } // a histogram has three digits
	if len(got) != 2 || !near(got["p50"], 10) || !near(got["p99"], 10) {
		t.Errorf("pushes: %v", got)
	}

	phases := newPhases(keepAlive, []*hdrhistogram.Histogram{
		measured(0, 200*time.Microsecond).latency, measured(0, 300*time.Microsecond).latency, measured(0, 150*time.Microsecond).latency,
	})
	for i, want := range []float64{0, 50, -25} {
		if p := phases[i]; !near(p.P50Percent, want) || !near(p.P99Percent, want) || p.Events != 10 {
			t.Errorf("%+v, want %.0f %%", p, want)
		}
	}
	r.Outage = phases
	var text bytes.Buffer
	if err := r.Print(&text); err != nil || !regexp.MustCompile(`during .* \+50\.\d +\+50\.\d\n`).MatchString(text.String()) || !strings.Contains(text.String(), "+10.0 %") && !strings.Contains(text.String(), "+9.9 %") {
		t.Errorf("%v: %s", err, text.String())
	}
}

// Two rounds of each server: what is summed up, and what is compared.
func TestSummarize(t *testing.T) {
	measured := func(server string, round int, events uint64, seconds, cpu float64, took time.Duration) Measurement {
		m := Measurement{Server: server, Form: keepAlive, Round: round, Events: events, Seconds: seconds, PerSecond: float64(events) / seconds, CPU: cpu, latency: newHistogram()}
		for range events {
			if err := m.latency.RecordValue(int64(took)); err != nil {
				t.Fatal(err)
			}
		}
		m.Latency = newLatency(m.latency)
		return m
	}
	r := &Report{}
	r.add(measured(roleBare, 1, 1000, 1, 10, 100*time.Microsecond))
	r.add(measured(roleBridge, 1, 500, 1, 20, 150*time.Microsecond))
	r.add(measured(roleBare, 2, 1000, 1, 10, 100*time.Microsecond))
	r.add(measured(roleBridge, 2, 1500, 2, 40, 250*time.Microsecond))
	r.summarize()

	if len(r.Summary) != 2 {
		t.Fatalf("%d loads", len(r.Summary))
	}
	sum := r.Summary[1]
	if sum.Events != 2000 || sum.Seconds != 3 || sum.CPU != 35 || sum.Latency.Max < 249 || int(sum.PerSecond) != 666 {
		t.Errorf("got %+v", sum)
	}
	type row struct {
		figure, unit            string
		median, lowest, highest float64
	}
	var got []row
	for _, c := range r.Comparisons {
		if c.Load != sum.title() || c.Base != r.Summary[0].title() {
			t.Errorf("%s beside %s", c.Load, c.Base)
		}
		round := func(f float64) float64 { return float64(int(f*100+0.5)) / 100 }
		if c.Unit == "µs" { // a histogram has three digits
			round = func(f float64) float64 { return float64(int(f/10+0.5)) * 10 }
		}
		got = append(got, row{c.Figure, c.Unit, round(c.Median), round(c.Lowest), round(c.Highest)})
	}
	want := []row{
		{"events/s", "times", 0.63, 0.5, 0.75}, {"CPU", "times", 3, 2, 4},
		{"p50", "times", 2, 1.5, 2.5}, {"p50", "µs", 100, 50, 150},
		{"p99", "times", 2, 1.5, 2.5}, {"p99", "µs", 100, 50, 150},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
