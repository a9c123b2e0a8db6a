//go:build linux

package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

// TestMain is also the processes that a bench starts of its own program.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == ServeCommand {
		if err := Serve(context.Background(), os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func short(t *testing.T) Options {
	return Options{
		Dir: t.TempDir(), Rules: 1000, Names: 1200, Conns: 8, Rate: 5000, HTTP10: true, Rounds: 2,
		Duration: time.Minute, Events: 2000, Progress: func(s Step) { t.Log(s.Name) },
	}
}

// The whole of it, short: every load is measured, and of each answer there was an event.
func TestRun(t *testing.T) {
	o := short(t)
	o.Push, o.Outage, o.Warmup = 200, 500*time.Millisecond, 100*time.Millisecond
	told := follow(t, &o)
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	told.check(t, 1+2+o.Rounds*2*6+2) // rules, warm-up, loads, outages
	if want := o.Rounds * 2 * 6; len(r.Measurements) != want {
		t.Errorf("%d measurements, want %d", len(r.Measurements), want)
	}
	for _, m := range r.Measurements {
		// Of six calls, three are decided; updates are allowed without a rule.
		refused := m.Server == roleBridge
		if m.Events != o.Events || (m.Refused > 0) != refused {
			t.Errorf("%s: %d events, %d refused", m.title(), m.Events, m.Refused)
		}
		if m.PerSecond <= 0 || m.Latency.P50 <= 0 || m.Latency.P50 > m.Latency.P99 || m.Latency.P99 > m.Latency.P999 || m.Latency.P999 > m.Latency.Max || m.Memory.Peak <= 0 {
			t.Errorf("%s: %+v", m.title(), m)
		}
		if (m.Server == roleBridge) != (m.Stored > 300) { // the body, an envelope and headers
			t.Errorf("%s: %.0f bytes an event in the stream", m.title(), m.Stored)
		}
		if (m.Push > 0) != (m.PushedPerSecond > 0) {
			t.Errorf("%s: %.0f pushes/s", m.title(), m.PushedPerSecond)
		}
	}
	if len(r.Summary) != 12 || r.Summary[0].Events != uint64(o.Rounds)*o.Events || len(r.Outage) != 6 || r.Outage[2].Form != keepAlive || r.Outage[3].Form != http10 {
		t.Errorf("%d loads of %d events, %d phases", len(r.Summary), r.Summary[0].Events, len(r.Outage))
	}
	var text bytes.Buffer
	if err := r.Print(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"bare, keep-alive, closed loop", "bridge, http/1.0, 5000/s, 200 pushes/s ", "bridge, http/1.0, 5000/s, 200 pushes/s to nobody", "bare, http/1.0, 5000/s", "during", "at rest"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report has no %q", want)
		}
	}
	t.Log(text.String())
	if left, err := os.ReadDir(o.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A bridge that loses events, here because its spool is too small for an outage, answers
// all the same. There is no result then.
func TestRunMissesEvents(t *testing.T) {
	o := short(t)
	o.Rounds, o.Events, o.HTTP10 = 1, 100, false
	// So large that a slow machine answers enough of them in a second, too.
	o.Rate, o.Body, o.Outage, o.Env = 1000, 8192, time.Second, []string{"BRIDGE_SPOOL_MAX_BYTES=1MiB"}
	r, err := Run(t.Context(), o)
	if !errors.Is(err, errCount) || r != nil {
		t.Fatalf("got %+v, %v, want %v", r, err, errCount)
	}
	t.Log(err)
}

// A process that does not start is told with what it said.
func TestRunWithoutABridge(t *testing.T) {
	o := short(t)
	o.Env = []string{"BRIDGE_DIALECT=none"}
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "BRIDGE_DIALECT") {
		t.Errorf("got %v", err)
	}
}

// What somebody else puts into the stream, or takes out, shows.
func TestSinkCheck(t *testing.T) {
	for _, test := range []struct {
		name string
		ids  []string
		ok   bool
	}{
		{"all there", []string{"run-1", "run-2", "run-3"}, true},
		{"one is missing", []string{"run-1", "run-3"}, false},
		{"one too many", []string{"run-1", "run-2", "run-3", "run-4"}, false},
		{"another's", []string{"run-1", "run-2", "mine-3"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startSink(t)
			s.publish(t, test.ids...)
			err := s.check(t.Context(), answers{accepted: 3})
			if test.ok != (err == nil) || err != nil && !errors.Is(err, errCount) {
				t.Fatal(err)
			}
			if !test.ok {
				return
			}
			s.publish(t, "run-4") // the next load counts from there
			if err := s.check(t.Context(), answers{accepted: 1}); err != nil {
				t.Error(err)
			}
		})
	}
}

// NATS is there for what is measured after an outage.
func TestNATSOutlivesTheOutage(t *testing.T) {
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{dir: t.TempDir(), port: port}
	if err := r.startNATS(t.Context()); err != nil {
		t.Fatal(err)
	}
	load, cancel := context.WithCancel(t.Context())
	if err := r.outage(t.Context(), load, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	defer r.nats.stop()
	cancel()
	select {
	case <-r.nats.ended:
		t.Error("it ended with the load")
	case <-time.After(500 * time.Millisecond):
	}
}

// startSink returns the stream of a NATS server that ends with the test.
func startSink(t *testing.T) *sink {
	t.Helper()
	r := &rig{dir: t.TempDir(), port: server.RANDOM_PORT} // it is not started again
	if err := r.startNATS(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.nats.stop)
	s, err := openSink(t.Context(), r.nats.told.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.nc.Close)
	return s
}

func (s *sink) publish(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if _, err := s.js.Publish(t.Context(), "stream.publish", nil, jetstream.WithMsgID(id)); err != nil {
			t.Fatal(err)
		}
	}
}
