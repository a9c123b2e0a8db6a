package consumers_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	consumerstest.ServeIfAsked(worker)
	goleak.VerifyTestMain(m)
}

// These say what a worker in a process of its own does.
const (
	modeVariable    = "CONSUMERS_TEST_MODE" // once or batch
	ackWaitVariable = "CONSUMERS_TEST_ACK_WAIT"
	timeoutVariable = "CONSUMERS_TEST_TIMEOUT" // of the handler

	workers = 4
)

// worker is a consumer with an effect that can be counted: it publishes the ids of what it did. A
// batch is one message, as it would be one transaction.
func worker(ctx context.Context, js jetstream.JetStream) error {
	ackWait, err := time.ParseDuration(os.Getenv(ackWaitVariable))
	timeout, err2 := time.ParseDuration(os.Getenv(timeoutVariable))
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	opts := consumers.Options{Name: "worker", Workers: workers, AckWait: ackWait, Timeout: timeout, Batch: 20, BatchWait: 5 * time.Millisecond}
	effect := func(ctx context.Context, ids ...string) error {
		select {
		case <-time.After(time.Duration(len(ids)) * 5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		_, err := js.Publish(ctx, "effect", []byte(strings.Join(ids, " ")))
		return err
	}
	if os.Getenv(modeVariable) == "batch" {
		return consumers.RunBatch(ctx, js, opts, func(ctx context.Context, batch []*consumers.Message) error {
			ids := make([]string, len(batch))
			for i, m := range batch {
				ids[i] = m.ID
			}
			return effect(ctx, ids...)
		})
	}
	marks, err := js.KeyValue(ctx, subjects.BucketLive)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it ended before it began: those before it had done all
	}
	if err != nil {
		return err
	}
	return consumers.Run(ctx, js, opts, consumers.Once(marks, "worker", time.Hour, func(ctx context.Context, m *consumers.Message) error {
		return effect(ctx, m.ID)
	}))
}

// field is a server with a load and a place for effects.
type field struct {
	*consumerstest.Kit
	mode string
	sent []subjects.Event
}

// modes runs a test with each kind of worker.
func modes(t *testing.T, n int, test func(t *testing.T, f *field)) {
	for _, mode := range []string{"once", "batch"} {
		t.Run(mode, func(t *testing.T) {
			f := &field{Kit: consumerstest.Start(t), mode: mode}
			if _, err := f.JS.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EFFECTS", Subjects: []string{"effect"}}); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				f.sent = append(f.sent, f.Publish(consumerstest.Event("publish", fmt.Sprint("n", i%7)))...)
			}
			test(t, f)
		})
	}
}

func (f *field) start(ackWait, timeout time.Duration) *consumerstest.Process {
	return f.StartProcess(modeVariable+"="+f.mode, ackWaitVariable+"="+ackWait.String(), timeoutVariable+"="+timeout.String())
}

// effects counts how often each id had its effect.
func (f *field) effects() map[string]int {
	times := map[string]int{}
	for _, msg := range f.Stored("EFFECTS", "effect") {
		for _, id := range strings.Fields(string(msg.Data)) {
			times[id]++
		}
	}
	return times
}

func (f *field) waitEffects(t *testing.T, n int) {
	t.Helper()
	bridgetest.Eventually(t, fmt.Sprint(n, " have had their effect"), func() bool { return len(f.effects()) >= n })
}

// Processes are killed in the middle of their work, again and again: each message has its
// effect, and only what was in work when a process died may have it again.
func TestProcessIsKilled(t *testing.T) {
	const n, kills, batch = 500, 3, 20
	modes(t, n, func(t *testing.T, f *field) {
		for i := range kills {
			process := f.start(2*time.Second, time.Minute)
			f.waitEffects(t, (i+1)*n/(kills+2))
			process.Kill()
		}
		last := f.start(2*time.Second, time.Minute)
		f.WaitAcked(subjects.StreamEvents, "worker", n)
		last.Terminate()
		times, again := f.effects(), 0
		for _, e := range f.sent {
			if times[e.ID] == 0 {
				t.Errorf("%s is lost", e.ID)
			}
			again += times[e.ID] - 1
		}
		limit := kills * workers // done, and not marked yet
		if f.mode == "batch" {
			limit *= batch // done, and not acked yet
		}
		if again > limit || len(times) != n {
			t.Errorf("%d effects came again, at most %d may; %d ids, want %d", again, limit, len(times), n)
		}
		if dead := f.Dead("worker"); len(dead) > 0 {
			t.Errorf("%d dead letters", len(dead))
		}
	})
}

// On SIGTERM a process ends what it began, and gives back the rest: the next one has it at once, and
// nothing is done twice.
func TestProcessIsTerminated(t *testing.T) {
	const n, ends = 500, 3
	modes(t, n, func(t *testing.T, f *field) {
		for i := range ends {
			process := f.start(time.Hour, time.Minute) // what is not given back comes too late
			f.waitEffects(t, (i+1)*n/(ends+2))
			process.Terminate()
		}
		last := f.start(time.Hour, time.Minute)
		f.WaitAcked(subjects.StreamEvents, "worker", n)
		last.Terminate()
		for id, times := range f.effects() {
			if times != 1 {
				t.Errorf("%s was done %d times", id, times)
			}
		}
		f.waitEffects(t, n)
	})
}

// The server goes away in the middle, and comes back with what it had: nothing is lost, and what was
// done and acked does not come again.
func TestServerRestartsUnderLoad(t *testing.T) {
	const n = 500
	modes(t, n, func(t *testing.T, f *field) {
		f.start(2*time.Second, 2*time.Second) // an answer that was on its way is not waited for long
		for i := range 2 {
			f.waitEffects(t, (i+1)*n/4)
			f.Stop()
			f.Start()
			bridgetest.Eventually(t, "the streams are there", func() bool {
				_, err := f.JS.Stream(t.Context(), "EFFECTS")
				return err == nil
			})
		}
		f.WaitAcked(subjects.StreamEvents, "worker", n)
		if times := f.effects(); len(times) != n {
			t.Errorf("%d had their effect, want %d", len(times), n)
		}
	})
}

// With one message on its way at a time, the order is kept over retries too.
func TestOrderOverRetries(t *testing.T) {
	kit := consumerstest.Start(t)
	var sent []subjects.Event
	for range 5 {
		sent = append(sent, kit.Publish(consumerstest.Event("publish", "lobby"))...)
	}
	var j journal
	kit.Run(consumers.Options{Name: "audit", MaxAckPending: 1}, func(ctx context.Context, m *consumers.Message) error {
		if m.Delivered < 3 {
			return consumers.RetryIn(fmt.Errorf("try %d", m.Delivered), time.Millisecond)
		}
		return j.handle(ctx, m)
	})
	kit.WaitAllAcked(subjects.StreamEvents, "audit")
	if got := j.all(); fmt.Sprint(got) != fmt.Sprint(ids(sent)) {
		t.Errorf("got %v, want %v", got, ids(sent))
	}
}

// A later bridge may say more and tell of other calls; an event may be as large as the server takes.
func TestOtherEvents(t *testing.T) {
	kit := consumerstest.Start(t)
	large := consumerstest.Event("publish", "large")
	large.ID, large.Raw = "large-1", strings.Repeat("x", int(kit.JS.Conn().MaxPayload())-4096)
	kit.PublishRaw("stream.unknown.teleport", nats.Header{"ce-later": {"x"}}, []byte(`{"id":"new-1","call":"teleport","name":"n","to":{"x":[1,2]},"decision":{"effect":"allow","score":0.5}}`))
	kit.Publish(large)
	var one, many journal
	kit.Run(consumers.Options{Name: "one"}, one.handle)
	kit.RunBatch(consumers.Options{Name: "many"}, func(ctx context.Context, batch []*consumers.Message) error {
		for _, m := range batch {
			_ = many.handle(ctx, m) // it never fails
		}
		return nil
	})
	for name, j := range map[string]*journal{"one": &one, "many": &many} {
		kit.WaitAllAcked(subjects.StreamEvents, name)
		got := map[string]*consumers.Message{}
		for _, m := range j.got {
			got[m.ID] = m
		}
		if m := got["new-1"]; m == nil || m.Event.Call != "teleport" || m.Event.Decision.Effect != subjects.EffectAllow {
			t.Errorf("%s: a later event: %+v", name, m)
		}
		if m := got["large-1"]; m == nil || m.Event.Raw != large.Raw {
			t.Errorf("%s: the large event is not there, or not whole", name)
		}
		if dead := kit.Dead(name); len(dead) > 0 {
			t.Errorf("%s: %d dead letters", name, len(dead))
		}
	}
}
