package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"bintubridge/subjects"
)

// simulated is what became of a simulation.
type simulated struct {
	URL         string         `json:"url"` // without its path
	Seed        uint64         `json:"seed"`
	Streams     int            `json:"streams"`
	Viewers     int            `json:"viewers"`
	EveningS    float64        `json:"evening_s"` // how long the evening is, by its own time
	Seconds     float64        `json:"seconds"`
	Requests    uint64         `json:"requests"`
	PerSecond   float64        `json:"requests_per_second"`
	Accepted    uint64         `json:"accepted"`   // 200
	Refused     uint64         `json:"refused"`    // 403
	Other       uint64         `json:"other"`      // any other answer
	Unanswered  uint64         `json:"unanswered"` // no connection, or no answer within 10 s
	Interrupted bool           `json:"interrupted"`
	Calls       []callAnswers  `json:"calls"`
	Codes       map[int]uint64 `json:"codes"`
	LatencyMS   latencyResult  `json:"latency_ms"` // of those that were answered, from when they were due
	Errors      []string       `json:"errors"`     // the first ones that differ
	latency     *hdrhistogram.Histogram
	calls       [subjects.NumCalls]callAnswers
}

type callAnswers struct {
	Call       string `json:"call"`
	Requests   uint64 `json:"requests"`
	Accepted   uint64 `json:"accepted"`
	Refused    uint64 `json:"refused"`
	Other      uint64 `json:"other"`
	Unanswered uint64 `json:"unanswered"`
}

type latencyResult struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

const maxErrors = 5

func newSimulated(s *simulation) *simulated {
	return &simulated{
		URL: s.hook.String(), Seed: s.opts.Seed, Streams: s.opts.Streams, Viewers: s.opts.Viewers, EveningS: s.opts.Length.Seconds(),
		Calls: []callAnswers{}, Codes: map[int]uint64{}, Errors: []string{},
		latency: hdrhistogram.New(1, time.Hour.Microseconds(), 3),
	}
}

// count adds an answer.
func (s *simulated) count(a answer) {
	c := &s.calls[a.request.Call]
	s.Requests++
	c.Requests++
	switch a.status {
	case 0:
		s.Unanswered++
		c.Unanswered++
		s.note(withoutPorts(a.err))
		return
	case http.StatusOK:
		s.Accepted++
		c.Accepted++
	case http.StatusForbidden:
		s.Refused++
		c.Refused++
	default:
		s.Other++
		c.Other++
		s.note(fmt.Sprintf("status %d %s", a.status, http.StatusText(a.status)))
	}
	s.Codes[a.status]++
	_ = s.latency.RecordValue(min(max(1, a.latency.Microseconds()), time.Hour.Microseconds())) // in its range
}

func (s *simulated) note(text string) {
	if len(s.Errors) < maxErrors && !slices.Contains(s.Errors, text) {
		s.Errors = append(s.Errors, text)
	}
}

// withoutPorts is the error without the addresses that differ from one connection to the next.
func withoutPorts(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}

// finish computes the result.
func (s *simulated) finish(took time.Duration) {
	s.Seconds = took.Seconds()
	s.PerSecond = float64(s.Requests) / s.Seconds
	for call, c := range s.calls {
		if c.Call = subjects.Call(call).String(); c.Requests > 0 {
			s.Calls = append(s.Calls, c)
		}
	}
	const us = 1000
	s.LatencyMS = latencyResult{
		P50: float64(s.latency.ValueAtQuantile(50)) / us,
		P99: float64(s.latency.ValueAtQuantile(99)) / us,
		Max: float64(s.latency.Max()) / us,
	}
}

func (s *simulated) print(w io.Writer) {
	fmt.Fprintf(w, "%s in %.1f s, %.1f/s, at %s; seed %d\n", plural(s.Requests, "request"), s.Seconds, s.PerSecond, s.URL, s.Seed)
	if s.Interrupted {
		fmt.Fprintln(w, "interrupted: everybody left")
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "call\trequests\t200\t403\tother\tno answer\t")
	for _, c := range s.Calls {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t\n", c.Call, c.Requests, c.Accepted, c.Refused, c.Other, c.Unanswered)
	}
	_ = t.Flush() // the writer keeps its error
	fmt.Fprintf(w, "latency from when they were due: p50 %.2f ms, p99 %.2f ms, max %.2f ms\n", s.LatencyMS.P50, s.LatencyMS.P99, s.LatencyMS.Max)
}

// nobodyPublished reports that there was nothing to see.
func (s *simulated) nobodyPublished() bool {
	c := s.calls[subjects.Publish]
	return c.Refused > 0 && c.Accepted == 0
}

// verdict is the error of a simulation in which not every request was answered as it should be.
func (s *simulated) verdict() error {
	if s.Other+s.Unanswered == 0 {
		return nil
	}
	text := fmt.Sprintf("of %s", plural(s.Requests, "request"))
	if s.Unanswered > 0 {
		text += fmt.Sprintf(" %d had no answer", s.Unanswered)
	}
	if s.Unanswered > 0 && s.Other > 0 {
		text += " and"
	}
	if s.Other > 0 {
		text += fmt.Sprintf(" %d had another one than 200 and 403", s.Other)
	}
	if s.Codes[http.StatusNotFound] > 0 {
		text += " (404 is a wrong path or secret)"
	}
	return fmt.Errorf("%s: %s", text, strings.Join(s.Errors, "; "))
}
