package main_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
)

// outage is how long NATS is away in TestOutage. A longer run sets BRIDGE_TEST_OUTAGE.
func outage(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("BRIDGE_TEST_OUTAGE")
	if text == "" {
		return 3 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const (
	loadCallers = 16
	loadRate    = 1000 // events a second, of all callers
)

// The three phases of a load, equally long.
var phases = []string{"NATS there", "NATS away", "NATS back"}

// load is an open-loop load: each event has its time, whatever became of those before
// it. Latency counts from that time on, so that an answer that comes late also shows in
// those that had to wait behind it.
type load struct {
	callers  []*caller
	took     [][][]time.Duration // by phase and caller
	answered [][][]time.Duration // the same from when an event was sent, by the phase of that
	wg       sync.WaitGroup
}

// startLoad begins with the first phase.
func startLoad(t *testing.T, addr string, phase time.Duration) *load {
	t.Helper()
	l := &load{took: make([][][]time.Duration, len(phases)), answered: make([][][]time.Duration, len(phases))}
	for i := range phases {
		l.took[i], l.answered[i] = make([][]time.Duration, loadCallers), make([][]time.Duration, loadCallers)
	}
	began := time.Now()
	for id := range loadCallers {
		c := &caller{id: id}
		if err := c.dial(addr); err != nil {
			t.Fatal(err)
		}
		l.callers = append(l.callers, c)
		l.wg.Go(func() {
			defer c.conn.Close()
			if err := l.call(c, began, phase); err != nil {
				t.Errorf("caller %d: event %d has no answer: %v", c.id, c.answered, err)
			}
		})
	}
	return l
}

// call is one caller's part of the load.
func (l *load) call(c *caller, began time.Time, phase time.Duration) error {
	const every = loadCallers * time.Second / loadRate
	for at := time.Duration(c.id) * every / loadCallers; at < time.Duration(len(phases))*phase; at += every {
		due := began.Add(at)
		time.Sleep(time.Until(due))
		sent := time.Now()
		if err := c.call(); err != nil {
			return err
		}
		of := &l.took[at/phase][c.id]
		*of = append(*of, time.Since(due))
		if now := int(sent.Sub(began) / phase); now < len(phases) {
			l.answered[now][c.id] = append(l.answered[now][c.id], time.Since(sent))
		}
	}
	return nil
}

// ascending returns the latencies of each phase in ascending order.
func ascending(by [][][]time.Duration) [][]time.Duration {
	sorted := make([][]time.Duration, len(phases))
	for i, took := range by {
		sorted[i] = slices.Concat(took...)
		slices.Sort(sorted[i])
	}
	return sorted
}

// median is that of latencies in ascending order, 0 of none.
func median(sorted []time.Duration) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2]
}

// table shows the latencies of the phases side by side.
func table(took [][]time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s", "")
	for _, phase := range phases {
		fmt.Fprintf(&b, "%14s", phase)
	}
	fmt.Fprintf(&b, "%14s%14s\n", "away/there", "back/there")
	for _, row := range []struct {
		name string
		part float64
	}{{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}} {
		fmt.Fprintf(&b, "%-8s", row.name)
		var at [3]time.Duration
		for i, sorted := range took {
			at[i] = sorted[min(int(row.part*float64(len(sorted))), len(sorted)-1)]
			fmt.Fprintf(&b, "%14s", at[i].Round(time.Microsecond))
		}
		fmt.Fprintf(&b, "%14.2f%14.2f\n", float64(at[1])/float64(at[0]), float64(at[2])/float64(at[0]))
	}
	return b.String()
}

// NATS goes away under load and comes back. Every event is answered meanwhile, as fast, and is in
// the stream exactly once, in the order of its connection. A killed server refuses connections; a
// paused one keeps them open, says nothing, and lets buffers fill.
func TestOutage(t *testing.T) {
	phase := outage(t)
	for _, test := range []struct {
		name       string
		away, back func(*bridgetest.Process)
		shows      string // what /readyz says meanwhile
	}{
		{"killed", (*bridgetest.Process).Kill, (*bridgetest.Process).Start, "[~] nats degraded"},
		{"paused", (*bridgetest.Process).Pause, (*bridgetest.Process).Resume, ""}, // nothing, until pings are overdue
	} {
		t.Run(test.name, func(t *testing.T) {
			server := bridgetest.StartProcess(t, "")
			p := start(t, t.TempDir(), "NATS_URL="+server.URL())
			p.ready()
			l := startLoad(t, p.hook, phase)
			time.Sleep(phase)
			test.away(server)
			time.Sleep(phase)
			p.eventually("events wait: NATS is away, and callers do not wait for it", func() bool { return p.status().Spool.Events > loadCallers })
			p.eventually("/readyz tells", func() bool {
				code, text := p.get("/readyz?verbose")
				return code == http.StatusOK && strings.Contains(text, test.shows)
			})
			test.back(server)
			l.wg.Wait()
			if t.Failed() {
				return
			}
			p.eventually("everything is in the stream", func() bool { return p.status().Spool.Events == 0 })
			p.ready()
			if s := p.status(); s.Lost != 0 {
				t.Errorf("%d events are lost", s.Lost)
			}
			p.stop()
			checkCallers(t, server, l.callers)
			t.Logf("%d events a second, %s a phase\n%s", loadRate, phase, table(ascending(l.took)))
			// A busy machine makes noise, and one that stands still makes all late that is due meanwhile: so this
			// counts from when an event was sent. An answer that waits for NATS takes hundreds of milliseconds.
			answered := ascending(l.answered)
			if there, away := median(answered[0]), median(answered[1]); away > 3*there+50*time.Millisecond {
				t.Errorf("an answer takes %s while NATS is away, and %s while it is there", away, there)
			}
		})
	}
}
