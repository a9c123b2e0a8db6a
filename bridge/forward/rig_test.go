package forward_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"bintubridge/bridge/bridgetest"
	"bintubridge/bridge/forward"
	"bintubridge/bridge/spool"
	"bintubridge/subjects"
)

func TestMain(m *testing.M) {
	bridgetest.ServeIfAsked()
	if err := flag.Set("test.parallel", "8"); err != nil { // they wait more than they work; -parallel overrides it
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// server is a NATS server of any kind.
type server interface {
	Conn(opts ...nats.Option) *nats.Conn
	JetStream() jetstream.JetStream
	Messages(stream string, count int) []jetstream.Msg
}

const smallSegment = 64 << 10 // so that there are many

// rig is the spool of one bridge with a forwarder before a NATS server.
type rig struct {
	t       testing.TB
	nats    server
	opts    []nats.Option // of the forwarder's connection
	dir     string
	spool   *spool.Spool
	conn    *nats.Conn
	fwd     *forward.Forwarder
	n       int // events appended
	ack     time.Duration
	check   time.Duration
	retain  time.Duration
	segment int64 // bytes
	maxDead int64 // bytes
	logger  *slog.Logger

	connected chan struct{}
	away      atomic.Bool              // the test has taken NATS away
	appended  map[bool][]time.Duration // what appends took, by away
}

func newRig(t testing.TB, s server) *rig {
	return openRig(t, s, smallSegment)
}

func openRig(t testing.TB, s server, segment int64) *rig {
	r := &rig{
		t: t, nats: s, dir: t.TempDir(), segment: segment, check: 200 * time.Millisecond,
		connected: make(chan struct{}, 1), appended: map[bool][]time.Duration{},
	}
	r.logger = slog.New(slog.DiscardHandler)
	r.open()
	t.Cleanup(r.close)
	return r
}

func (r *rig) open() {
	r.t.Helper()
	s, err := spool.Open(spool.Options{Dir: r.dir, SegmentBytes: r.segment, Retain: r.retain, Sync: spool.SyncOff})
	if err != nil {
		r.t.Fatal(err)
	}
	r.spool = s
}

func (r *rig) start(window int) {
	r.t.Helper()
	r.conn = r.nats.Conn(r.opts...)
	fwd, err := forward.Start(forward.Options{
		Log: r.spool.Reader(), Conn: r.conn, Window: window, Connected: r.connected,
		DeadLetters: r.deadLetters(), MaxDead: r.maxDead, AckTimeout: r.ack, CheckEvery: r.check, Logger: r.logger,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.fwd = fwd
}

func (r *rig) stop() {
	r.t.Helper()
	if r.fwd != nil {
		if err := r.fwd.Close(); err != nil {
			r.t.Error(err)
		}
		r.fwd = nil
	}
}

func (r *rig) close() {
	if r.t.Failed() && r.fwd != nil {
		r.t.Logf("%+v", r.fwd.Stats())
	}
	r.stop()
	if err := r.spool.Close(); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) deadLetters() string { return filepath.Join(r.dir, "dead.jsonl") }

// event appends the record of an event.
func (r *rig) event(name string) {
	r.t.Helper()
	r.n++
	event := subjects.Event{Call: "publish", Name: name, ReceivedAt: time.Now().UTC()}
	env := forward.Envelope{
		Subject: []byte("stream.publish"), Type: []byte("bintu.publish"), Source: []byte("/bridge/test"),
		Time: subjects.AppendTime(nil, event.ReceivedAt), About: subjects.AppendPercent(nil, name[:min(len(name), 60)]),
	}
	rec, away, began := event.AppendJSON(env.AppendRecord(nil)), r.away.Load(), time.Now()
	if _, err := r.spool.Append(rec); err != nil {
		r.t.Fatal(err)
	}
	r.appended[away] = append(r.appended[away], time.Since(began))
}

// noSlower checks that appends took no longer while NATS was away, beyond the noise of a busy machine.
func (r *rig) noSlower() {
	r.t.Helper()
	if n := len(r.appended[true]); n < 100 {
		r.t.Logf("only %d appends while NATS was away", n)
		return
	}
	median := func(away bool) time.Duration {
		took := r.appended[away]
		slices.Sort(took)
		return took[len(took)/2]
	}
	if there, away := median(false), median(true); away > 3*there+5*time.Millisecond {
		r.t.Errorf("an append takes %s while NATS is away, and %s while it is there", away, there)
	}
}

// events appends n events, named so that inOrder knows them.
func (r *rig) events(n int) {
	r.t.Helper()
	for range n {
		r.event(r.name(r.n))
	}
}

func (r *rig) name(i int) string { return fmt.Sprintf("stream %d", i) }

// load appends n events each millisecond, and returns what ends that. The events are
// in the spool whatever NATS does: Append knows nothing of it.
func (r *rig) load(n int) (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				r.events(n)
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// drain waits until everything is acked, for as long as there is progress.
func (r *rig) drain() {
	r.t.Helper()
	for {
		acked := r.spool.Acked().Seq
		ctx, cancel := context.WithTimeout(r.t.Context(), bridgetest.Timeout)
		err := r.fwd.Drain(ctx)
		cancel()
		if err == nil {
			return
		}
		if r.spool.Acked().Seq == acked {
			r.t.Fatalf("%v; %+v", err, r.fwd.Stats())
		}
	}
}

// inTime runs a forwarder until no answer of the server came too late for it. On a machine that stands
// still some do, and what it counts then says nothing.
func inTime(run func() *rig) (r *rig) {
	const tries = 5
	for range tries {
		r = run()
		st := r.fwd.Stats()
		late := strings.Contains(st.LastError, "timeout") || strings.Contains(st.LastError, "deadline exceeded")
		if st.Failures == 0 || !late {
			break
		}
	}
	return r
}

// ackedMore waits until n more events are acked.
func (r *rig) ackedMore(n uint64) {
	r.t.Helper()
	from := r.fwd.Stats().Acked
	bridgetest.Eventually(r.t, fmt.Sprintf("%d more events are acked", n), func() bool { return r.fwd.Stats().Acked >= from+n })
}

// inOrder checks that the stream holds exactly the rig's events, once, in order.
func (r *rig) inOrder() {
	r.t.Helper()
	r.checkOrder(r.nats.Messages(subjects.StreamEvents, r.n))
}

func (r *rig) checkOrder(msgs []jetstream.Msg) {
	r.t.Helper()
	if len(msgs) != r.n {
		r.t.Fatalf("%d messages, want %d", len(msgs), r.n)
	}
	for i, msg := range msgs {
		event, err := subjects.DecodeEvent(msg.Data())
		if err != nil {
			r.t.Fatal(err)
		}
		if want := fmt.Sprintf("stream %d", i); event.Name != want {
			r.t.Fatalf("message %d is %q, want %q; %+v", i, event.Name, want, r.fwd.Stats())
		}
		if id := msg.Headers().Get(subjects.HeaderMsgID); id != event.ID || !strings.HasSuffix(id, fmt.Sprintf("-%d", i+1)) {
			r.t.Fatalf("message %d: Nats-Msg-Id %q, event id %q", i, id, event.ID)
		}
	}
}

// eventsStream is the stream as provisioned, with batches or without.
func eventsStream(batches bool) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: subjects.StreamEvents, Subjects: []string{"stream.>"}, Duplicates: 10 * time.Minute,
		Discard: jetstream.DiscardNew, MaxMsgSize: -1, MaxBytes: 1 << 30, AllowDirect: true, AllowBatchPublish: batches,
	}
}

// createStream makes the stream; a server that has just started may need a while for it.
func createStream(t testing.TB, s server, cfg jetstream.StreamConfig) {
	t.Helper()
	js := s.JetStream()
	bridgetest.Eventually(t, "the stream is created", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := js.CreateOrUpdateStream(ctx, cfg)
		return err == nil
	})
}

// eachWay runs the test with both ways to publish.
func eachWay(t *testing.T, test func(t *testing.T, batches bool)) {
	t.Run("batches", func(t *testing.T) { t.Parallel(); test(t, true) })
	t.Run("window", func(t *testing.T) { t.Parallel(); test(t, false) })
}
