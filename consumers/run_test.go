package consumers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects"

	"github.com/nats-io/nats.go/jetstream"
)

// journal is a handler that writes down what it got.
type journal struct {
	mu  sync.Mutex
	ids []string
	got []*consumers.Message
}

func (j *journal) handle(_ context.Context, m *consumers.Message) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ids = append(j.ids, m.ID)
	j.got = append(j.got, m)
	return nil
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.ids)
}

func ids(events []subjects.Event) []string {
	list := make([]string, len(events))
	for i, e := range events {
		list[i] = e.ID
	}
	return list
}

func TestDelivers(t *testing.T) {
	kit := consumerstest.Start(t)
	sent := kit.Publish(consumerstest.Event("publish", "lobby"), consumerstest.Event("publish_done", "lobby"))
	var j journal
	kit.Run(consumers.Options{Name: "audit"}, j.handle)
	kit.WaitAcked(subjects.StreamEvents, "audit", 2)
	if got := j.all(); !slices.Equal(got, ids(sent)) {
		t.Fatalf("got %v, want %v", got, ids(sent))
	}
	m := j.got[1]
	if m.Event.Name != "lobby" || m.Name() != "lobby" || m.Subject != "stream.publish_done" || m.Stream != "EVENTS" ||
		m.Sequence != 2 || m.Delivered != 1 || m.Time.IsZero() {
		t.Errorf("got %+v", m)
	}
}

func TestDeliversSessions(t *testing.T) {
	kit := consumerstest.Start(t)
	var j journal
	kit.Run(consumers.Options{Name: "audit", Stream: subjects.StreamSessions}, j.handle)
	kit.PublishSession(subjects.Session{ID: "x-1-started", Session: "x-1", Kind: subjects.KindPublish, Name: "lobby"})
	kit.WaitAcked(subjects.StreamSessions, "audit", 1)
	if m := j.got[0]; m.Session.Session != "x-1" || m.Name() != "lobby" || m.ID != "x-1-started" {
		t.Errorf("got %+v", m)
	}
}

// Many names on several workers: each name's messages come one after the other and in order.
func TestOrderOfNames(t *testing.T) {
	kit := consumerstest.Start(t)
	const names, each = 20, 25
	for i := range each {
		for n := range names {
			e := consumerstest.Event("update_publish", fmt.Sprint("n", n))
			e.Time = subjects.Number(fmt.Sprint(i))
			kit.Publish(e)
		}
	}
	var mu sync.Mutex
	inWork, seen := map[string]bool{}, map[string][]string{}
	kit.Run(consumers.Options{Name: "audit", Workers: 8}, func(_ context.Context, m *consumers.Message) error {
		mu.Lock()
		if inWork[m.Name()] {
			t.Errorf("two of %s at once", m.Name())
		}
		inWork[m.Name()] = true
		mu.Unlock()
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			inWork[m.Name()] = false
			seen[m.Name()] = append(seen[m.Name()], string(m.Event.Time))
		}()
		return nil
	})
	kit.WaitAcked(subjects.StreamEvents, "audit", names*each)
	want := make([]string, each)
	for i := range want {
		want[i] = fmt.Sprint(i)
	}
	for name, got := range seen {
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestBatches(t *testing.T) {
	kit := consumerstest.Start(t)
	const n = 64
	for i := range n {
		kit.Publish(consumerstest.Event("publish", fmt.Sprint(i)))
	}
	var mu sync.Mutex
	done, sizes := map[string]int{}, []int{}
	kit.RunBatch(consumers.Options{Name: "db", Workers: 1, Batch: 16}, func(_ context.Context, batch []*consumers.Message) error {
		mu.Lock()
		defer mu.Unlock()
		sizes = append(sizes, len(batch))
		for _, m := range batch {
			if m.Name() == "13" {
				return consumers.Permanent(errors.New("unlucky"))
			}
		}
		for _, m := range batch {
			done[m.Name()]++
		}
		return nil
	})
	kit.WaitAcked(subjects.StreamEvents, "db", n)
	if len(done) != n-1 || slices.Max(sizes) < 2 || slices.Max(sizes) > 16 {
		t.Errorf("%d done, sizes %v", len(done), sizes)
	}
	for name, times := range done {
		if times != 1 {
			t.Errorf("%s was done %d times", name, times)
		}
	}
	if dead := kit.Dead("db"); len(dead) != 1 || dead[0].Header.Get("dead-sequence") != "14" {
		t.Errorf("dead %v", dead)
	}
}

// asks reports whether so many pulls of audit wait for messages. One that waited is gone when it ends.
func asks(t *testing.T, kit *consumerstest.Kit, pulls int) func() bool {
	return func() bool {
		c, err := kit.JS.Consumer(t.Context(), subjects.StreamEvents, "audit")
		return err == nil && c.CachedInfo().NumWaiting == pulls
	}
}

// The end of the context: what is in work is finished and acked, what waits is left for the
// next, and nothing that was done comes again.
func TestDrain(t *testing.T) {
	kit := consumerstest.Start(t)
	const n = 300
	for range n {
		kit.Publish(consumerstest.Event("publish", "lobby"))
	}
	var first, second journal
	begun, finish := make(chan struct{}), make(chan struct{})
	var once sync.Once
	patient := consumers.Options{Name: "audit", AckWait: time.Hour} // what is not given back comes too late
	stop := kit.Run(patient, func(ctx context.Context, m *consumers.Message) error {
		if len(first.all()) == 50 {
			once.Do(func() { close(begun) })
			<-finish
		}
		if ctx.Err() != nil {
			t.Error("the context of a handler ended with that of Run")
		}
		return first.handle(ctx, m)
	})
	<-begun
	bridgetest.Eventually(t, "it asks for more", asks(t, kit, 1))
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	bridgetest.Eventually(t, "what waits is given back", asks(t, kit, 0))
	close(finish)
	<-stopped
	if len(first.all()) != 51 {
		t.Errorf("%d were done", len(first.all()))
	}
	kit.Run(patient, second.handle)
	kit.WaitAcked(subjects.StreamEvents, "audit", n)
	all := append(first.all(), second.all()...)
	slices.Sort(all)
	if len(all) != n || len(slices.Compact(all)) != n {
		t.Errorf("%d were done, %d of them different", len(all), len(slices.Compact(all)))
	}
}

// A message in work, and one that waits for its worker, are not given to anybody else, however long
// it takes. On a machine that stands still for an ack wait they are: then it is tried again.
func TestSlowHandlerKeepsItsMessages(t *testing.T) {
	const tries = 5
	const wait = 500 * time.Millisecond
	for _, tt := range []struct {
		name        string
		there, asks time.Duration // ack waits: of a durable that is there, of the options
	}{
		{"its own durable", 0, wait},
		{"a durable of a shorter ack wait", wait, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for try := 1; ; try++ {
				sent, got, delivered := handledSlowly(t, wait, tt.there, tt.asks)
				if slices.Equal(got, sent) && delivered == uint64(len(sent)) {
					return
				}
				t.Logf("handled %v, want %v; %d deliveries", got, sent, delivered)
				if try == tries {
					t.Fatal("messages in work were delivered again, each time")
				}
			}
		})
	}
}

// handledSlowly has two messages of a name handled, each in three times the ack wait. It returns the
// ids that were sent and handled, and how many deliveries that took.
func handledSlowly(t *testing.T, wait, there, asks time.Duration) (sent, handled []string, delivered uint64) {
	t.Helper()
	kit := consumerstest.Start(t)
	if there > 0 {
		_, err := kit.JS.CreateConsumer(t.Context(), subjects.StreamEvents, jetstream.ConsumerConfig{Durable: "audit", AckPolicy: jetstream.AckExplicitPolicy, AckWait: there})
		if err != nil {
			t.Fatal(err)
		}
	}
	sent = ids(kit.Publish(consumerstest.Event("publish", "lobby"), consumerstest.Event("publish_done", "lobby")))
	var j journal
	stop := kit.Run(consumers.Options{Name: "audit", AckWait: asks}, func(ctx context.Context, m *consumers.Message) error {
		<-time.After(3 * wait)
		return j.handle(ctx, m)
	})
	defer stop()
	kit.WaitAcked(subjects.StreamEvents, "audit", 2)
	c, err := kit.JS.Consumer(t.Context(), subjects.StreamEvents, "audit")
	if err != nil {
		t.Fatal(err)
	}
	return sent, j.all(), c.CachedInfo().Delivered.Consumer
}

// However large its messages are, a consumer has no more of them in memory than Options.MaxBytes.
func TestBytesInHand(t *testing.T) {
	kit := consumerstest.Start(t)
	const n, limit = 40, 8 << 20
	for i := range n {
		e := consumerstest.Event("publish", fmt.Sprint("n", i))
		e.Raw = consumerstest.Large
		kit.Publish(e)
	}
	waiting := func() int {
		c, err := kit.JS.Consumer(t.Context(), subjects.StreamEvents, "audit")
		if err != nil {
			return 0
		}
		return c.CachedInfo().NumAckPending
	}
	var j journal
	finish := make(chan struct{})
	kit.Run(consumers.Options{Name: "audit", MaxBytes: limit, DoubleAck: true}, func(ctx context.Context, m *consumers.Message) error {
		<-finish
		if w := waiting(); w > limit/len(consumerstest.Large) {
			t.Errorf("%d are in hand", w)
		}
		return j.handle(ctx, m)
	})
	bridgetest.Eventually(t, "the hand is full", func() bool { return waiting() >= limit/len(consumerstest.Large)-1 })
	close(finish)
	kit.WaitAcked(subjects.StreamEvents, "audit", n)
	if got := len(j.all()); got != n {
		t.Errorf("%d were done, want %d", got, n)
	}
}

func TestServerRestarts(t *testing.T) {
	kit := consumerstest.Start(t)
	var j journal
	kit.Run(consumers.Options{Name: "audit"}, j.handle)
	kit.Publish(consumerstest.Event("publish", "a"))
	kit.WaitAcked(subjects.StreamEvents, "audit", 1)
	kit.Stop()
	kit.Start()
	bridgetest.Eventually(t, "an event after the restart", func() bool {
		_, err := kit.JS.PublishMsg(t.Context(), consumerstest.EventMessage(subjects.Event{ID: "b-1", Call: "publish", Name: "b"}))
		return err == nil
	})
	bridgetest.Eventually(t, "it is handled", func() bool { return slices.Contains(j.all(), "b-1") })
}

// A consumer may be there before its stream, and outlives its deletion.
func TestWaitsForTheStream(t *testing.T) {
	server := bridgetest.StartNATS(t)
	js := server.JetStream()
	monitor := consumers.NewMonitor()
	var j journal
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- consumers.Run(ctx, js, consumers.Options{Name: "audit", Monitor: monitor}, j.handle)
	}()
	bridgetest.Eventually(t, "it says what it waits for", func() bool {
		c := monitor.Checks()
		return len(c) == 1 && !c[0].OK && strings.Contains(c[0].Detail, "stream not found")
	})
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"stream.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.PublishMsg(t.Context(), consumerstest.EventMessage(subjects.Event{ID: "a-1", Call: "publish"})); err != nil {
		t.Fatal(err)
	}
	bridgetest.Eventually(t, "it is handled", func() bool { return slices.Equal(j.all(), []string{"a-1"}) })
	if c := monitor.Checks(); !c[0].OK {
		t.Errorf("checks %+v", c)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestDrift(t *testing.T) {
	kit := consumerstest.Start(t)
	made, err := kit.JS.CreateConsumer(t.Context(), subjects.StreamEvents, jetstream.ConsumerConfig{
		Durable: "audit", AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "stream.play", MaxDeliver: 3, MaxAckPending: 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	monitor := consumers.NewMonitor()
	var j journal
	kit.Run(consumers.Options{Name: "audit", Monitor: monitor, Subjects: []string{"stream.publish"}}, j.handle)
	bridgetest.Eventually(t, "the differences are told", func() bool {
		c := monitor.Checks()
		return len(c) == 1 && c[0].Degraded && strings.Contains(c[0].Detail, "filter_subjects is [stream.play], want [stream.publish]") &&
			strings.Contains(c[0].Detail, "max_deliver is 3") && strings.Contains(c[0].Detail, "ack_wait")
	})
	info, err := made.Info(t.Context())
	if err != nil || info.Config.MaxDeliver != 3 || info.Config.FilterSubject != "stream.play" {
		t.Errorf("it was changed: %+v, %v", info, err)
	}
}

func TestRefuses(t *testing.T) {
	kit := consumerstest.Start(t)
	handler := func(context.Context, *consumers.Message) error { return nil }
	for _, name := range []string{"", "a.b", "a b", "a>"} {
		if err := consumers.Run(t.Context(), kit.JS, consumers.Options{Name: name}, handler); !errors.Is(err, consumers.ErrOptions) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	_, err := kit.JS.CreateConsumer(t.Context(), subjects.StreamEvents, jetstream.ConsumerConfig{Durable: "noack", AckPolicy: jetstream.AckNonePolicy})
	if err != nil {
		t.Fatal(err)
	}
	if err := consumers.Run(t.Context(), kit.JS, consumers.Options{Name: "noack"}, handler); !errors.Is(err, consumers.ErrConsumer) {
		t.Errorf("a consumer without acks: %v", err)
	}
}
