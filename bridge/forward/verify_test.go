package forward_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
)

// What happens to the stream between two looks at it, and what has to be sent again for it.
func TestVerify(t *testing.T) {
	t.Parallel()
	const before = 300
	for _, c := range []struct {
		name      string
		happens   func(r *rig, js jetstream.JetStream, cfg jetstream.StreamConfig) error
		stored    int    // events in the stream in the end, the last ones of all
		takenBack uint64 // at most
	}{
		{"nothing", func(*rig, jetstream.JetStream, jetstream.StreamConfig) error { return nil }, before, 0},
		{"trimmed beyond the cursor", func(r *rig, js jetstream.JetStream, _ jetstream.StreamConfig) error {
			return stream(r, js).Purge(r.t.Context())
		}, 0, 0},
		{"trimmed before the cursor", func(r *rig, js jetstream.JetStream, _ jetstream.StreamConfig) error {
			return stream(r, js).Purge(r.t.Context(), jetstream.WithPurgeKeep(20))
		}, 20, 0},
		{"made anew", makeAnew, before, before},
		{"made anew, and others have written beyond the cursor", func(r *rig, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
			if err := makeAnew(r, js, cfg); err != nil {
				return err
			}
			return foreign(r, js, before+200)
		}, before, before},
		{"made anew, and trimmed beyond the cursor", func(r *rig, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
			if err := makeAnew(r, js, cfg); err != nil {
				return err
			}
			if err := foreign(r, js, before+200); err != nil {
				return err
			}
			return stream(r, js).Purge(r.t.Context())
		}, before, before},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, batches bool) {
				r := newRig(t, bridgetest.StartNATS(t))
				cfg := eventsStream(batches)
				cfg.Duplicates = 100 * time.Millisecond // what is sent twice is stored twice, before long
				createStream(t, r.nats, cfg)
				r.check = time.Hour
				connected := r.nats.Conn()
				r.start(0)
				r.events(before)
				r.drain()
				js := r.nats.JetStream()
				if err := c.happens(r, js, cfg); err != nil {
					t.Fatal(err)
				}
				if err := foreign(r, js, 1); err != nil {
					t.Fatal(err)
				}
				r.nats.(*bridgetest.NATS).Stop()
				r.nats.(*bridgetest.NATS).Start()
				bridgetest.Eventually(t, "connections are back", connected.IsConnected)
				r.events(50)
				r.drain()
				var mine []string
				for _, msg := range messages(r) {
					if msg.Subject == "stream.publish" {
						event, err := subjects.DecodeEvent(msg.Data)
						if err != nil {
							t.Fatal(err)
						}
						mine = append(mine, event.Name)
					}
				}
				if len(mine) != c.stored+50 {
					t.Errorf("%d messages of ours, want %d; %+v", len(mine), c.stored+50, r.fwd.Stats())
				}
				for i, name := range mine {
					if want := r.name(r.n - len(mine) + i); name != want {
						t.Fatalf("message %d is %s, want %s", i, name, want)
					}
				}
				if st := r.fwd.Stats(); st.TakenBack != c.takenBack || st.Duplicates != 0 {
					t.Errorf("stats %+v, want %d taken back", st, c.takenBack)
				}
			})
		})
	}
}

// makeAnew deletes the stream and creates it. The server may need a moment between the two.
func makeAnew(r *rig, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
	if err := js.DeleteStream(r.t.Context(), subjects.StreamEvents); err != nil {
		return err
	}
	createStream(r.t, r.nats, cfg)
	return nil
}

func stream(r *rig, js jetstream.JetStream) jetstream.Stream {
	r.t.Helper()
	s, err := js.Stream(r.t.Context(), subjects.StreamEvents)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// foreign publishes n messages with ids like those of another bridge.
func foreign(r *rig, js jetstream.JetStream, n int) error {
	for range n {
		id := string(subjects.AppendID(nil, "another", uint64(time.Now().UnixNano())))
		if n%2 == 0 {
			id = "no id of a bridge " + id
		}
		msg := &nats.Msg{Subject: "stream.other", Header: nats.Header{subjects.HeaderMsgID: {id}}}
		if _, err := js.PublishMsg(r.t.Context(), msg); err != nil {
			return err
		}
	}
	return nil
}

// messages returns all messages of the stream, whoever sent them.
func messages(r *rig) []*jetstream.RawStreamMsg {
	r.t.Helper()
	s := stream(r, r.nats.JetStream())
	state := s.CachedInfo().State
	var msgs []*jetstream.RawStreamMsg
	for seq := state.FirstSeq; seq <= state.LastSeq; seq++ {
		msg, err := s.GetMsg(r.t.Context(), seq)
		if err != nil {
			r.t.Fatal(err)
		}
		msgs = append(msgs, msg)
	}
	return msgs
}

// The server stops taking batches without notice, and takes them again.
func TestBatchesTurnedOffAndOn(t *testing.T) {
	t.Parallel()
	r := newRig(t, bridgetest.StartNATS(t))
	createStream(t, r.nats, eventsStream(true))
	r.start(0)
	r.events(500)
	r.drain()
	if !r.fwd.Stats().Batching {
		t.Fatal("no batches")
	}
	createStream(t, r.nats, eventsStream(false))
	r.events(500)
	r.drain()
	r.inOrder()
	bridgetest.Eventually(t, "batches are off", func() bool { return !r.fwd.Stats().Batching })
}

// Acked events that the spool keeps no more cannot come again; the rest does.
func TestOnlyWhatIsKept(t *testing.T) {
	t.Parallel()
	r := newRig(t, bridgetest.StartNATS(t))
	createStream(t, r.nats, eventsStream(true))
	r.retain, r.check = time.Millisecond, time.Hour
	r.close()
	r.open()
	r.start(0)
	r.events(2000)
	r.drain()
	bridgetest.Eventually(t, "segments are removed", func() bool { return r.spool.Stats().Segments == 1 })
	js := r.nats.JetStream()
	if err := js.DeleteStream(t.Context(), subjects.StreamEvents); err != nil {
		t.Fatal(err)
	}
	createStream(t, r.nats, eventsStream(true))
	r.events(10) // the stream gives the first of them a sequence it had given before
	r.drain()
	msgs := messages(r)
	if n := len(msgs); n <= 10 || n >= 1000 {
		t.Fatalf("%d messages", n)
	}
	seen := map[string]bool{}
	for _, msg := range msgs {
		event, err := subjects.DecodeEvent(msg.Data)
		if err != nil || !strings.HasPrefix(event.Name, "stream ") || seen[event.Name] {
			t.Fatalf("%s: %v, or there twice", msg.Data, err)
		}
		seen[event.Name] = true
	}
	if st := r.fwd.Stats(); st.TakenBack != uint64(len(msgs)-10) {
		t.Errorf("%d messages, stats %+v", len(msgs), st)
	}
}
