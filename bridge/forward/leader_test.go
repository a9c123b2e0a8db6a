package forward_test

import (
	"cmp"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
)

// leader plays the leader of the stream, one that does what real ones do at the worst
// time only. The test acks what is published, or does not.
type leader struct {
	*bridgetest.Process
	t         *testing.T
	published chan *nats.Msg
	last      atomic.Uint64 // stream sequence
	first     uint64        // that the stream has; 0 when all was trimmed
	slow      time.Duration // how long a look takes
	looks     atomic.Int64
}

func newLeader(t *testing.T, batches bool, slow time.Duration) *leader {
	l := &leader{
		Process: bridgetest.StartProcess(t, "jetstream: false"), // it would answer, too
		t:       t, published: make(chan *nats.Msg, 1024), slow: slow,
	}
	conn := l.Conn()
	info := jetstream.StreamInfo{Config: eventsStream(batches), Created: time.Now()}
	if _, err := conn.Subscribe("$JS.API.STREAM.INFO.EVENTS", func(msg *nats.Msg) {
		l.looks.Add(1)
		time.Sleep(l.slow)
		info := info
		info.State.LastSeq = l.last.Load()
		info.State.FirstSeq = cmp.Or(l.first, info.State.LastSeq+1)
		data, err := json.Marshal(info)
		if err == nil {
			err = msg.Respond(data)
		}
		if err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ChanSubscribe("stream.>", l.published); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return l
}

// next returns the next message that is published to it.
func (l *leader) next() *nats.Msg {
	l.t.Helper()
	select {
	case msg := <-l.published:
		return msg
	case <-time.After(bridgetest.Timeout):
		l.t.Fatal("nothing is published")
		return nil
	}
}

func (l *leader) ack(msg *nats.Msg) {
	l.t.Helper()
	ack, err := json.Marshal(jetstream.PubAck{Stream: subjects.StreamEvents, Sequence: l.last.Add(1)})
	if err != nil {
		l.t.Fatal(err)
	}
	if err := msg.Respond(ack); err != nil {
		l.t.Fatal(err)
	}
}

// The leader is killed with a window in flight, of which the next one knows the start: it
// acks that after its election. The rest is lost, and nothing may be stored before it.
func TestNothingOvertakesWhatTheLeaderLost(t *testing.T) {
	t.Parallel()
	const window, known = 64, 20
	l := newLeader(t, false, 0)
	r := newRig(t, l)
	r.ack = time.Second
	r.events(3 * window)
	r.start(window)
	var flying []*nats.Msg
	for range window {
		flying = append(flying, l.next())
	}
	time.Sleep(600 * time.Millisecond) // the election; a real one takes longer
	for _, msg := range flying[:known] {
		l.ack(msg)
	}
	msg := l.next()
	if _, n, err := subjects.ParseID(msg.Header.Get(subjects.HeaderMsgID)); err != nil || n > known+1 {
		t.Errorf("%d was published while %d may be lost; %v", n, known+1, err)
	}
	bridgetest.Eventually(t, "it counts as sent again", func() bool { return r.fwd.Stats().Resent > 0 })
}

// Fast batches go on after a leader that died without a word. They rest only when the next one
// is not answered either, though the stream is there.
func TestSilenceAfterABatch(t *testing.T) {
	t.Parallel()
	l := newLeader(t, true, 0)
	r := newRig(t, l)
	r.events(10)
	r.start(0)
	for i, want := range []bool{true, true, false} {
		msg := l.next()
		if batch := strings.HasSuffix(msg.Reply, ".$FI"); batch != want {
			t.Errorf("try %d is a batch: %v", i+1, batch)
		}
		if !want {
			l.ack(msg)
		}
	}
	bridgetest.Eventually(t, "batches rest", func() bool { return !r.fwd.Stats().Batching })
	bridgetest.Eventually(t, "two tries were sent again", func() bool { return r.fwd.Stats().Resent >= 2 })
}

// A look at the stream that takes longer than the time between two does not end with
// the next one: events go on in between.
func TestSlowLooks(t *testing.T) {
	t.Parallel()
	const events = 6
	l := newLeader(t, false, 1200*time.Millisecond)
	r := newRig(t, l)
	r.check = time.Second
	r.ack = bridgetest.Timeout // nothing is sent again: each event is acked once
	r.events(events)
	r.start(1)
	for range events {
		l.ack(l.next())
	}
	r.drain()
	if n := l.looks.Load(); n >= events {
		t.Errorf("%d looks for %d events", n, events)
	}
}

// Messages that are large or come from far take longer together than one answer may.
func TestSlowAnswers(t *testing.T) {
	t.Parallel()
	const stored, each = 100, 40 * time.Millisecond
	l := newLeader(t, false, 0)
	l.last.Store(stored)
	l.first = 1
	if _, err := l.Conn().Subscribe("$JS.API.STREAM.MSG.GET.EVENTS", func(msg *nats.Msg) {
		time.Sleep(each)
		if err := msg.Respond([]byte(`{"error":{"code":404,"err_code":10037}}`)); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, l)
	r.events(1)
	r.start(1)
	l.ack(l.next())
	r.drain()
	if st := r.fwd.Stats(); st.Failures > 0 {
		t.Errorf("stats %+v", st)
	}
}
