//go:build linux

package bench

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// What grows after the warm-up is told, and by its name; what grew before, and what only goes
// up and down, is flat.
func TestSoakJudges(t *testing.T) {
	const samples = 100
	for _, test := range []struct {
		name  string
		value func(i int) Levels // of sample i
		grows string
	}{
		{"steady", func(int) Levels { return Levels{Resident: 50e6, Goroutines: 90} }, ""},
		{"up and down", func(i int) Levels { return Levels{Resident: 50e6 + int64(i%7)*1e6, Goroutines: 90 + i%5} }, ""},
		{"early", func(i int) Levels { // the second fifth goes from 28 to 45, and without a warm-up from 20 to 39
			if i < 33 {
				return Levels{Resident: 10e6}
			}
			return Levels{Resident: 50e6}
		}, ""},
		{"memory", func(i int) Levels { return Levels{Resident: 50e6 + int64(i)*2e5} }, "bridge resident MB"},
		{"memory in no file", func(i int) Levels { return Levels{Anonymous: 50e6 + int64(i)*2e5} }, "bridge in no file MB"},
		{"heap", func(i int) Levels { return Levels{Heap: 50e6 + int64(i)*3e5} }, "bridge heap in use MB"},
		{"goroutines", func(i int) Levels { return Levels{Goroutines: 90 + i/10} }, "bridge goroutines"},
		{"files", func(i int) Levels { return Levels{Files: i / 10} }, "bridge open files"},
		{"threads", func(i int) Levels { return Levels{Threads: i / 10} }, "bridge threads"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &SoakReport{Warmup: samples / 10}
			for i := range samples {
				r.Samples = append(r.Samples, Sample{Seconds: float64(i), Bridge: test.value(i)})
			}
			if err := r.judge(); err != nil {
				t.Fatal(err)
			}
			err := r.Flat()
			if test.grows == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, ErrNotFlat) || !strings.Contains(err.Error(), test.grows+":") || strings.Count(err.Error(), "\n") > 0 {
				t.Errorf("got %v, want %s", err, test.grows)
			}
		})
	}
}

// A soak of seconds: every event is counted though none stays, and all figures are there.
func TestSoak(t *testing.T) {
	o := short(t)
	o.Events, o.Rate, o.Rules, o.Duration, o.Sample = 0, 500, 100, 4*time.Second, 100*time.Millisecond
	told := follow(t, &o)
	r, err := Soak(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	told.check(t, 2) // rules, load
	if want := uint64(500 * 4); r.Events != want || r.Refused == 0 || len(r.Courses) != 9 || len(r.Samples) < fifths {
		t.Errorf("%d events, want %d, %d refused, %d figures, %d samples", r.Events, want, r.Refused, len(r.Courses), len(r.Samples))
	}
	for _, c := range r.Courses {
		if c.First <= 0 || c.Fifths[0] <= 0 || c.Fifths[fifths-1] <= 0 || c.Last <= 0 {
			t.Errorf("%+v", c)
		}
	}
	var text bytes.Buffer
	if err := r.Print(&text); err != nil || !strings.Contains(text.String(), "bridge goroutines") {
		t.Errorf("%v: %s", err, text.String())
	}
	t.Log(text.String())
}

// Without a rate, half of what the bridge answers at most.
func TestSoakAtHalfLoad(t *testing.T) {
	o := short(t)
	o.Events, o.Rate, o.Rules, o.Duration, o.Sample = 0, 0, 100, 2*time.Second, 100*time.Millisecond
	told := follow(t, &o)
	r, err := Soak(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	told.check(t, 3) // rules, the most it answers, load
	if r.Saturated <= 0 || r.Rate != int(r.Saturated/2) || r.Events != uint64(2*r.Rate) {
		t.Errorf("saturated %.0f/s, rate %d, %d events", r.Saturated, r.Rate, r.Events)
	}
}

// The bridge's own NATS is read and counted too.
func TestAtRest(t *testing.T) {
	o := short(t)
	o.Events, o.Duration, o.Rate = 3000, 0, 0
	after := []time.Duration{0, time.Millisecond}
	if _, err := AtRest(t.Context(), o, after); err == nil || !strings.Contains(err.Error(), "--rest") {
		t.Errorf("got %v", err)
	}
	o.Duration = time.Millisecond
	r, err := AtRest(t.Context(), o, after)
	if err != nil {
		t.Fatal(err)
	}
	if r.Events != o.Events || r.PerSecond <= 0 || len(r.Stages) != 4 {
		t.Errorf("%+v", r)
	}
	for _, s := range r.Stages {
		if s.Resident <= 0 || s.Anonymous <= 0 || s.Heap <= 0 || s.Goroutines <= 0 || s.Files <= 0 || s.Threads <= 0 {
			t.Errorf("%+v", s)
		}
	}
	var text bytes.Buffer
	if err := r.Print(&text); err != nil || !strings.Contains(text.String(), "1ms later") {
		t.Errorf("%v: %s", err, text.String())
	}
}

// An event that never comes, and one too many, end a long load without a result.
func TestEndureMisses(t *testing.T) {
	for _, test := range []struct {
		name     string
		ids      []string
		patience time.Duration // is over where an event is missing, and only there
		want     string
	}{
		{"one is missing", []string{"run-1", "run-2"}, 6 * time.Second, "2 of 3 came"},
		{"one too many", []string{"run-1", "run-2", "run-3", "run-4"}, time.Minute, "too many"},
		{"one twice", []string{"run-1", "run-2", "run-2"}, 6 * time.Second, "2 of 3 came"}, // JetStream drops the copy
		{"another's", []string{"run-1", "mine-2", "run-3"}, time.Minute, "is of no answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := startSink(t)
			s.patience = test.patience
			s.publish(t, test.ids...)
			addr := serve(t, func(int64) string { return okReply })
			r := &rig{sink: s, bridge: &process{told: announcement{Webhooks: "http://" + addr + hookPath}}, opts: Options{Names: 1, Conns: 1}}
			_, err := r.endure(context.Background(), schedule{total: 3})
			if !errors.Is(err, errCount) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
