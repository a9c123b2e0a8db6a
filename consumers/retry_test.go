package consumers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestRetries(t *testing.T) {
	kit := consumerstest.Start(t)
	kit.Publish(consumerstest.Event("publish", "lobby"))
	var j journal
	kit.Run(consumers.Options{Name: "audit"}, func(ctx context.Context, m *consumers.Message) error {
		if m.Delivered == 1 {
			return errors.New("not now")
		}
		return j.handle(ctx, m)
	})
	kit.WaitAcked(subjects.StreamEvents, "audit", 1)
	if len(j.got) != 1 || j.got[0].Delivered != 2 || len(kit.Dead("audit")) != 0 {
		t.Errorf("got %+v, dead %v", j.got, kit.Dead("audit"))
	}
}

// A handler may say when it wants to try again: with the runner's own waits this took minutes.
func TestRetryIn(t *testing.T) {
	kit := consumerstest.Start(t)
	kit.Publish(consumerstest.Event("publish", "lobby"))
	kit.Run(consumers.Options{Name: "audit"}, func(_ context.Context, m *consumers.Message) error {
		if m.Delivered < 10 {
			return consumers.RetryIn(errors.New("not now"), time.Millisecond)
		}
		return consumers.RetryIn(nil, time.Hour)
	})
	kit.WaitAcked(subjects.StreamEvents, "audit", 1)
}

// What waits for its time, and what is passed by, neither fails nor says that something works again.
func TestWaitAndSkip(t *testing.T) {
	kit := consumerstest.Start(t)
	for range 3 {
		kit.Publish(consumerstest.Event("publish", "lobby"))
	}
	log, monitor := &consumerstest.Log{}, consumers.NewMonitor()
	opts := consumers.Options{Name: "audit", MaxAckPending: 1, MaxDeliver: 9, Monitor: monitor, Log: log.Logger()}
	kit.Run(opts, func(_ context.Context, m *consumers.Message) error {
		switch {
		case m.Sequence == 1 && m.Delivered <= 2:
			return consumers.RetryIn(errors.New("not now"), time.Millisecond)
		case m.Sequence == 1:
			return fmt.Errorf("of no interest: %w", consumers.ErrSkip)
		case m.Sequence == 2 && m.Delivered < 9:
			return fmt.Errorf("too early: %w", consumers.Wait(time.Millisecond))
		case m.Sequence == 2 && strings.Contains(log.String(), "it works again"):
			t.Error("it works again, before anything did")
		}
		return nil
	})
	kit.WaitAcked(subjects.StreamEvents, "audit", 3)
	for metric, want := range map[string]string{"failed": "2", "processed": "3", "dead": "0"} {
		bridgetest.Eventually(t, metric+" "+want, func() bool {
			return consumerstest.Metric(t, monitor, "consumer_"+metric+`_total{consumer="audit"}`) == want
		})
	}
	if text := log.String(); strings.Contains(text, "too early") || strings.Count(text, "it works again") != 1 {
		t.Errorf("log:\n%s", text)
	}
}

// What cannot be handled is set aside with its reason, and holds up nothing.
func TestPoison(t *testing.T) {
	future := nats.Header{subjects.HeaderSpecVersion: {"2.0"}}
	for _, tt := range []struct {
		name    string
		opts    consumers.Options
		header  nats.Header
		data    string // "" is an event
		handler consumers.Handler
		reason  string
	}{
		{"permanent", consumers.Options{}, nil, "", func(context.Context, *consumers.Message) error {
			return fmt.Errorf("wrapped: %w", consumers.Permanent(errors.New("never\r\nX: y")))
		}, "wrapped: never..X: y"},
		{"panic", consumers.Options{}, nil, "", func(context.Context, *consumers.Message) error { panic("oh") }, "panicked: oh"},
		{"tried often", consumers.Options{MaxDeliver: 1}, nil, "", func(context.Context, *consumers.Message) error {
			return errors.New("not now")
		}, "tried 1 times: not now"},
		{"malformed", consumers.Options{}, nil, "{", nil, "malformed"},
		{"no id", consumers.Options{}, nil, "{}", nil, "no id"},
		{"future", consumers.Options{}, future, `{"id":"a-1"}`, nil, `ce-specversion is "2.0"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kit := consumerstest.Start(t)
			if tt.data == "" {
				kit.Publish(consumerstest.Event("publish", "bad"))
			} else {
				kit.PublishRaw("stream.publish", tt.header, []byte(tt.data))
			}
			sent := kit.Publish(consumerstest.Event("publish", "good"))
			var j journal
			tt.opts.Name = "audit"
			kit.Run(tt.opts, func(ctx context.Context, m *consumers.Message) error {
				if m.Name() == "good" {
					return j.handle(ctx, m)
				}
				if tt.handler == nil {
					t.Errorf("the handler got %+v", m)
				}
				return tt.handler(ctx, m)
			})
			kit.WaitAcked(subjects.StreamEvents, "audit", 2)
			if got := j.all(); !slices.Equal(got, ids(sent)) {
				t.Errorf("handled %v", got)
			}
			dead := kit.Dead("audit")
			if len(dead) != 1 {
				t.Fatalf("%d dead letters", len(dead))
			}
			h := dead[0].Header
			if dead[0].Subject != "dead.audit.stream.publish" || h.Get("dead-consumer") != "audit" || h.Get("dead-stream") != "EVENTS" ||
				h.Get("dead-sequence") != "1" || h.Get("dead-subject") != "stream.publish" || !strings.Contains(h.Get("dead-reason"), tt.reason) {
				t.Errorf("letter %s: %v", dead[0].Subject, h)
			}
		})
	}
}

// Messages that waited in hand when a process ended were delivered, and not tried.
func TestRestartsAreNoTries(t *testing.T) {
	kit := consumerstest.Start(t)
	const n = 5
	for range n {
		kit.Publish(consumerstest.Event("publish", "lobby"))
	}
	var j journal
	for range n {
		var begun atomic.Bool
		finish := make(chan struct{})
		stop := kit.Run(consumers.Options{Name: "audit", MaxDeliver: 1}, func(ctx context.Context, m *consumers.Message) error {
			begun.Store(true)
			<-finish
			return j.handle(ctx, m)
		})
		bridgetest.Eventually(t, "one is in work", begun.Load)
		bridgetest.Eventually(t, "it asks for more", asks(t, kit, 1))
		stopped := make(chan struct{})
		go func() { stop(); close(stopped) }()
		bridgetest.Eventually(t, "it ends", asks(t, kit, 0))
		close(finish)
		<-stopped
	}
	if got, dead := len(j.all()), kit.Dead("audit"); got != n || len(dead) > 0 {
		t.Errorf("%d were handled, %d are dead", got, len(dead))
	}
}

// A message that was delivered again and again and never answered ends the process that handles it. Those
// of its name that only waited behind it are handled.
func TestNeverAnswered(t *testing.T) {
	kit := consumerstest.Start(t)
	sent := kit.Publish(consumerstest.Event("publish", "lobby"), consumerstest.Event("publish_done", "lobby"))
	made, err := kit.JS.CreateConsumer(t.Context(), subjects.StreamEvents, jetstream.ConsumerConfig{Durable: "audit", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		batch, err := made.Fetch(len(sent))
		if err != nil {
			t.Fatal(err)
		}
		for msg := range batch.Messages() {
			if err := msg.Nak(); err != nil {
				t.Fatal(err)
			}
		}
	}
	var j journal
	kit.Run(consumers.Options{Name: "audit", MaxDeliver: 1}, j.handle)
	kit.WaitAcked(subjects.StreamEvents, "audit", 2)
	dead := kit.Dead("audit")
	if len(dead) != 1 || !strings.Contains(dead[0].Header.Get("dead-reason"), "without an answer") || !slices.Equal(j.all(), ids(sent[1:])) {
		t.Errorf("handled %v of %v, dead %v", j.all(), ids(sent), dead)
	}
}

// A batch that has failed as often as it may is parted: only the message at fault is dead.
func TestBatchIsTriedOut(t *testing.T) {
	kit := consumerstest.Start(t)
	const n = 16
	for i := range n {
		kit.Publish(consumerstest.Event("publish", fmt.Sprint(i%4)))
	}
	var done effects
	kit.RunBatch(consumers.Options{Name: "db", Workers: 1, Batch: n, MaxDeliver: 2}, func(_ context.Context, batch []*consumers.Message) error {
		for _, m := range batch {
			if m.Sequence == 6 {
				return consumers.RetryIn(errors.New("unlucky"), time.Millisecond)
			}
		}
		done.add(batch...)
		return nil
	})
	kit.WaitAcked(subjects.StreamEvents, "db", n)
	done.expect(t, n-1)
	if dead := kit.Dead("db"); len(dead) != 1 || dead[0].Header.Get("dead-sequence") != "6" {
		t.Errorf("dead %v", dead)
	}
}

func TestRawGetsWhatCannotBeRead(t *testing.T) {
	kit := consumerstest.Start(t)
	kit.PublishRaw("stream.publish", nil, []byte("{"))
	var j journal
	kit.Run(consumers.Options{Name: "audit", Raw: true}, j.handle)
	kit.WaitAcked(subjects.StreamEvents, "audit", 1)
	if m := j.got[0]; !errors.Is(m.Err, consumers.ErrMalformed) || string(m.Data) != "{" {
		t.Errorf("got %+v", m)
	}
}

// A letter that is sent again reaches the consumer that gave up, and no other.
func TestRedrive(t *testing.T) {
	kit := consumerstest.Start(t)
	var audit, other journal
	broken := true
	var mu sync.Mutex
	kit.Run(consumers.Options{Name: "other"}, other.handle)
	kit.Run(consumers.Options{Name: "audit"}, func(ctx context.Context, m *consumers.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if broken {
			return consumers.Permanent(errors.New("broken"))
		}
		return audit.handle(ctx, m)
	})
	sent := kit.Publish(consumerstest.Event("publish", "lobby"))
	kit.WaitAcked(subjects.StreamEvents, "audit", 1)
	mu.Lock()
	broken = false
	mu.Unlock()
	var letters []consumers.Letter
	for _, dry := range []bool{true, false, false} {
		err := consumers.Redrive(t.Context(), kit.JS, "audit", dry, func(l consumers.Letter) error {
			letters = append(letters, l)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(letters) != 2 || letters[0].Sent || !letters[1].Sent || letters[1].ID != sent[0].ID || letters[1].Reason != "broken" {
		t.Errorf("letters %+v", letters)
	}
	kit.WaitAcked(subjects.StreamEvents, "audit", 2)
	kit.WaitAcked(subjects.StreamEvents, "other", 2)
	if !slices.Equal(audit.all(), ids(sent)) || !slices.Equal(other.all(), ids(sent)) || len(kit.Dead("audit")) != 0 {
		t.Errorf("audit %v, other %v, dead %v", audit.all(), other.all(), kit.Dead("audit"))
	}
}

// A letter as large as the server takes has no room for its reason.
func TestLargeLetter(t *testing.T) {
	kit := consumerstest.Start(t)
	large := strings.Repeat("x", 1<<20)
	kit.PublishRaw("stream.publish", nil, []byte(large))
	var fixed journal
	stop := kit.Run(consumers.Options{Name: "audit"}, fixed.handle)
	kit.WaitAcked(subjects.StreamEvents, "audit", 1)
	stop()
	dead := kit.Dead("audit")
	if len(dead) != 1 || len(dead[0].Data) != 0 || dead[0].Header.Get("dead-body") != "left" {
		t.Fatalf("dead %v", dead)
	}
	kit.Run(consumers.Options{Name: "audit", Raw: true}, fixed.handle)
	err := consumers.Redrive(t.Context(), kit.JS, "audit", false, func(consumers.Letter) error { return nil })
	// With its mark it is larger than it was: it stays where it is.
	if !errors.Is(err, nats.ErrMaxPayload) || len(kit.Dead("audit")) != 1 {
		t.Errorf("redrive: %v", err)
	}
}

// Headers that leave no room for those of a letter are left out of it.
func TestLetterOfLargeHeaders(t *testing.T) {
	kit := consumerstest.Start(t)
	kit.PublishRaw("stream.publish", nats.Header{"x": {strings.Repeat("x", 65_400)}}, []byte("no event"))
	var fixed journal
	kit.Run(consumers.Options{Name: "audit"}, fixed.handle)
	kit.WaitAcked(subjects.StreamEvents, "audit", 1)
	dead := kit.Dead("audit")
	if len(dead) != 1 || string(dead[0].Data) != "no event" || dead[0].Header.Get("x") != "" || dead[0].Header.Get(subjects.HeaderDeadReason) == "" {
		t.Errorf("dead %v", dead)
	}
}

// A subject that leaves no room for that of a letter is cut in it: the server would end the connection. A
// redrive leaves the letter, and goes on.
func TestLetterOfALongSubject(t *testing.T) {
	kit := consumerstest.Start(t)
	subject := "stream.publish." + strings.Repeat("z", 4060)
	if err := kit.JS.Conn().Publish(subject, []byte("no event")); err != nil {
		t.Fatal(err)
	}
	kit.PublishRaw("stream.publish", nil, []byte("no event"))
	sent := kit.Publish(consumerstest.Event("publish", "n"))
	var j journal
	stop := kit.Run(consumers.Options{Name: "audit"}, j.handle)
	kit.WaitAcked(subjects.StreamEvents, "audit", 3)
	stop()
	dead := kit.Dead("audit")
	if len(dead) != 2 || string(dead[0].Data) != "no event" || dead[0].Header.Get(subjects.HeaderDeadSubject) != subject || !slices.Equal(j.all(), ids(sent)) {
		t.Fatalf("handled %v, dead %v", j.all(), dead)
	}
	var letters []consumers.Letter
	err := consumers.Redrive(t.Context(), kit.JS, "audit", false, func(l consumers.Letter) error {
		letters = append(letters, l)
		return nil
	})
	if err == nil || len(letters) != 2 || letters[0].Sent || !strings.Contains(letters[0].Error, "its subject has 4075 bytes") || !letters[1].Sent {
		t.Errorf("redrive: %v, %+v", err, letters)
	}
}

// A letter that cannot be sent again stays, with its error, and holds up none behind it.
func TestRedriveGoesOn(t *testing.T) {
	kit := consumerstest.Start(t)
	letters := consumers.NewDeadLetters(kit.JS, "audit")
	events := kit.Publish(consumerstest.Event("publish", "a"), consumerstest.Event("publish", "b"))
	put := func(m *consumers.Message) {
		m.Stream, m.Subject = subjects.StreamEvents, "stream.publish"
		if err := letters.Put(t.Context(), m, "broken"); err != nil {
			t.Fatal(err)
		}
	}
	large := make([]byte, kit.JS.Conn().MaxPayload())
	for i := range uint64(14) {
		put(&consumers.Message{Sequence: 1000 + i, Data: large}) // whose bodies the stream has no more
	}
	put(&consumers.Message{Sequence: 2, ID: events[1].ID, Data: events[1].AppendJSON(nil)})
	var got []consumers.Letter
	err := consumers.Redrive(t.Context(), kit.JS, "audit", false, func(l consumers.Letter) error {
		got = append(got, l)
		return nil
	})
	if err == nil || strings.Count(err.Error(), "its body") != 10 || !strings.Contains(err.Error(), "and 4 letters more") {
		t.Errorf("got %v", err)
	}
	if len(got) != 15 || !got[14].Sent || got[14].Error != "" || got[0].Sent || !strings.Contains(got[0].Error, "its body, sequence 1000") {
		t.Errorf("letters %+v", got)
	}
	if dead := kit.Dead("audit"); len(dead) != 14 {
		t.Errorf("%d letters are left, want 14", len(dead))
	}
}

// A work queue forgets what is settled: a message that no letter can hold stays in it, and holds up
// no other.
func TestLetterOfAWorkQueue(t *testing.T) {
	kit := consumerstest.Start(t)
	_, err := kit.JS.CreateStream(t.Context(), jetstream.StreamConfig{Name: "TASKS", Subjects: []string{"task.*"}, Retention: jetstream.WorkQueuePolicy})
	if err != nil {
		t.Fatal(err)
	}
	kit.PublishRaw("task.a", nil, make([]byte, kit.JS.Conn().MaxPayload()))
	kit.PublishRaw("task.a", nil, []byte("{}"))
	log := &consumerstest.Log{}
	opts := consumers.Options{Name: "tasks", Stream: "TASKS", Raw: true, Unordered: true, Log: log.Logger()}
	kit.Run(opts, func(_ context.Context, m *consumers.Message) error {
		if len(m.Data) > 2 {
			return consumers.Permanent(errors.New("never"))
		}
		return nil
	})
	bridgetest.Eventually(t, "the large one stays alone", func() bool {
		s, err := kit.JS.Stream(t.Context(), "TASKS")
		if err != nil {
			return false
		}
		state := s.CachedInfo().State
		return state.Msgs == 1 && state.FirstSeq == 1 && strings.Contains(log.String(), "cannot be set aside")
	})
	if dead := kit.Dead("tasks"); len(dead) > 0 {
		t.Errorf("dead %v", dead)
	}
}

func TestOnce(t *testing.T) {
	kit := consumerstest.Start(t)
	kv, err := kit.JS.KeyValue(t.Context(), subjects.BucketLive)
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	h := consumers.Once(kv, "audit", consumers.DefaultTimeout, func(context.Context, *consumers.Message) error {
		calls++
		if calls == 1 {
			return errors.New("not yet")
		}
		return nil
	})
	m := &consumers.Message{ID: "a-1"}
	if h(t.Context(), m) == nil || h(t.Context(), m) != nil || h(t.Context(), m) != nil || calls != 2 {
		t.Errorf("%d calls", calls)
	}
}
