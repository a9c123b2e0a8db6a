package forward_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/bridge/bridgetest"
	"bintubridge/bridge/forward"
	"bintubridge/bridge/spool"
	"bintubridge/subjects"
)

// rig is a spool with a forwarder before a NATS server.
type rig struct {
	t     *testing.T
	nats  *bridgetest.NATS
	dir   string
	spool *spool.Spool
	fwd   *forward.Forwarder
	n     int

	connected chan struct{}
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, nats: bridgetest.StartNATS(t), dir: t.TempDir(), connected: make(chan struct{}, 1)}
	r.open()
	t.Cleanup(r.close)
	return r
}

func (r *rig) open() {
	r.t.Helper()
	s, err := spool.Open(spool.Options{Dir: r.dir, SegmentBytes: 16 << 10, Sync: spool.SyncOff})
	if err != nil {
		r.t.Fatal(err)
	}
	r.spool = s
}

func (r *rig) start(window int) {
	r.t.Helper()
	fwd, err := forward.Start(forward.Options{
		Log: r.spool.Reader(), Conn: r.nats.Conn(), Window: window, Connected: r.connected,
		DeadLetters: r.deadLetters(), Logger: slog.New(slog.DiscardHandler),
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
	r.stop()
	if err := r.spool.Close(); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) deadLetters() string { return filepath.Join(r.dir, "dead.jsonl") }

func (r *rig) createStream(maxMsgSize int32) {
	r.t.Helper()
	_, err := r.nats.JetStream().CreateStream(r.t.Context(), jetstream.StreamConfig{
		Name: subjects.StreamEvents, Subjects: []string{"stream.>"}, Duplicates: 10 * time.Minute, MaxMsgSize: maxMsgSize,
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// event appends the record of the n-th event.
func (r *rig) event(name string) {
	r.t.Helper()
	r.n++
	event := subjects.Event{Call: "publish", Name: name, ReceivedAt: time.Unix(int64(r.n), 0).UTC()}
	env := forward.Envelope{
		Subject: []byte("stream.publish"), Type: []byte("bintu.publish"), Source: []byte("/bridge/test"),
		Time: subjects.AppendTime(nil, event.ReceivedAt), About: subjects.AppendPercent(nil, name),
	}
	if _, err := r.spool.Append(event.AppendJSON(env.AppendRecord(nil))); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) events(n int) {
	r.t.Helper()
	for range n {
		r.event(fmt.Sprintf("stream %d", r.n))
	}
}

func (r *rig) drain() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), bridgetest.Timeout)
	defer cancel()
	if err := r.fwd.Drain(ctx); err != nil {
		r.t.Fatalf("%v; %+v", err, r.fwd.Stats())
	}
}

// inOrder checks that the stream holds exactly the rig's events, once, in order.
func (r *rig) inOrder() {
	r.t.Helper()
	for i, msg := range r.nats.Messages(subjects.StreamEvents, r.n) {
		event, err := subjects.DecodeEvent(msg.Data())
		if err != nil {
			r.t.Fatal(err)
		}
		if want := fmt.Sprintf("stream %d", i); event.Name != want {
			r.t.Fatalf("message %d is %q, want %q", i, event.Name, want)
		}
		if id := msg.Headers().Get(subjects.HeaderMsgID); id != event.ID || !strings.HasSuffix(id, fmt.Sprintf("-%d", i+1)) {
			r.t.Fatalf("message %d: Nats-Msg-Id %q, event id %q", i, id, event.ID)
		}
	}
}

func TestInOrderWithAnyWindow(t *testing.T) {
	for _, window := range []int{1, 3, 0} {
		t.Run(fmt.Sprint(window), func(t *testing.T) {
			r := newRig(t)
			r.createStream(-1)
			r.events(20) // before the start
			r.start(window)
			r.events(300) // while it runs
			r.drain()
			r.inOrder()
			if got := r.spool.Acked(); got.Seq != 320 || got.StreamSeq != 320 {
				t.Errorf("cursor %+v", got)
			}
			if st := r.fwd.Stats(); st.Acked != 320 || st.Resent != 0 || st.Duplicates != 0 || st.Dead != 0 {
				t.Errorf("stats %+v", st)
			}
		})
	}
}

func TestMessage(t *testing.T) {
	r := newRig(t)
	r.createStream(-1)
	r.event("a \"name\"\r\n%")
	r.start(0)
	r.drain()
	msg := r.nats.Messages(subjects.StreamEvents, 1)[0]
	id := fmt.Sprintf("%s-1", r.spool.Acked().SpoolID)
	want := map[string]string{
		"Nats-Msg-Id": id, "ce-specversion": "1.0", "ce-id": id, "ce-source": "/bridge/test", "ce-type": "bintu.publish",
		"ce-time": "1970-01-01T00:00:01.000000Z", "ce-subject": "a%20%22name%22%0D%0A%25", "ce-datacontenttype": "application/json",
	}
	for name, value := range want {
		if got := msg.Headers()[name]; len(got) != 1 || got[0] != value {
			t.Errorf("header %s is %q, want %q", name, got, value)
		}
	}
	if len(msg.Headers()) != len(want) {
		t.Errorf("headers %v", msg.Headers())
	}
	if msg.Subject() != "stream.publish" || !strings.HasPrefix(string(msg.Data()), `{"id":"`+id+`","received_at":"`) {
		t.Errorf("%s %s", msg.Subject(), msg.Data())
	}
}

// The cursor of a killed process may be behind what the stream holds.
func TestSentTwiceIsStoredOnce(t *testing.T) {
	r := newRig(t)
	r.createStream(-1)
	r.events(50)
	cursor := filepath.Join(r.dir, "cursor")
	before, err := os.ReadFile(cursor)
	if err != nil {
		t.Fatal(err)
	}
	r.start(0)
	r.drain()
	r.close()
	if err := os.WriteFile(cursor, before, 0o600); err != nil {
		t.Fatal(err)
	}
	r.open()
	r.events(10)
	r.start(0)
	r.drain()
	r.inOrder()
	if st := r.fwd.Stats(); st.Duplicates != 50 {
		t.Errorf("stats %+v, want 50 duplicates", st)
	}
}

func TestNATSStopsAndComesBack(t *testing.T) {
	r := newRig(t)
	r.createStream(-1)
	r.start(64)
	for range 3 {
		r.events(500)
		r.nats.Stop()
		r.events(500)
		r.nats.Start()
	}
	r.drain()
	r.inOrder()
}

func TestStreamComesLater(t *testing.T) {
	r := newRig(t)
	r.start(0)
	r.events(5)
	bridgetest.Eventually(t, "a failure is counted", func() bool { return r.fwd.Stats().Failures > 0 })
	if st := r.fwd.Stats(); st.LastError == "" || st.Acked != 0 {
		t.Errorf("stats %+v", st)
	}
	r.createStream(-1)
	r.connected <- struct{}{}
	r.drain()
	r.inOrder()
}

func TestPoisonGoesToTheDeadLetters(t *testing.T) {
	r := newRig(t)
	r.createStream(4096)
	r.event("stream 0")
	r.event(strings.Repeat("too large for the stream ", 400))
	r.event("stream 1")
	r.event(strings.Repeat("too large for the server ", 80_000))
	r.event("stream 2")
	if _, err := r.spool.Append([]byte("\x00no record")); err != nil {
		t.Fatal(err)
	}
	r.event("stream 3")
	r.start(0)
	r.drain()
	r.n = 4
	for i, msg := range r.nats.Messages(subjects.StreamEvents, 4) {
		if event, err := subjects.DecodeEvent(msg.Data()); err != nil || event.Name != fmt.Sprintf("stream %d", i) {
			t.Errorf("message %d: %q %v", i, event.Name, err)
		}
	}
	f, err := os.Open(r.deadLetters())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var seqs []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		var letter struct {
			ID, Reason, Subject string
			Event               *subjects.Event
			Record              []byte
		}
		if err := json.Unmarshal(lines.Bytes(), &letter); err != nil {
			t.Fatal(err)
		}
		if letter.Reason == "" || (letter.Event == nil) == (letter.Record == nil) {
			t.Errorf("dead letter %s: reason %q", letter.ID, letter.Reason)
		}
		seqs = append(seqs, letter.ID[strings.LastIndex(letter.ID, "-")+1:])
	}
	if got := strings.Join(seqs, " "); lines.Err() != nil || !sameSet(got, "2 4 6") {
		t.Errorf("dead letters %s, %v", got, lines.Err())
	}
	if st := r.fwd.Stats(); st.Dead != 3 || st.Acked != 4 {
		t.Errorf("stats %+v", st)
	}
}

// sameSet compares words without their order: what the client library refuses
// is buried before what the server refuses.
func sameSet(a, b string) bool {
	count := map[string]int{}
	for _, w := range strings.Fields(a) {
		count[w]++
	}
	for _, w := range strings.Fields(b) {
		count[w]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func TestDrainEndsWithItsContext(t *testing.T) {
	r := newRig(t)
	r.start(0) // no stream: nothing is ever acked
	r.events(3)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("time is up"))
	if err := r.fwd.Drain(ctx); err == nil || !strings.Contains(err.Error(), "3 events stay in the spool: time is up") {
		t.Errorf("drain: %v", err)
	}
}
