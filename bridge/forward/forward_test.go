package forward_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
)

func TestInOrder(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, batches bool) {
		for _, window := range []int{1, 3, 0} {
			t.Run(fmt.Sprint(window), func(t *testing.T) {
				r := inTime(func() *rig {
					r := newRig(t, bridgetest.StartNATS(t))
					createStream(t, r.nats, eventsStream(batches))
					r.events(1000) // before the start
					r.start(window)
					r.events(300) // while it runs
					r.drain()
					r.inOrder()
					return r
				})
				if got := r.spool.Acked(); got.Seq != 1300 || got.StreamSeq != 1300 {
					t.Errorf("cursor %+v", got)
				}
				st := r.fwd.Stats()
				if st.Acked != 1300 || st.Resent != 0 || st.Duplicates != 0 || st.Dead != 0 || st.Failures != 0 ||
					st.Batching != batches || st.LastAck.IsZero() {
					t.Errorf("stats %+v", st)
				}
			})
		}
	})
}

// An event that comes alone is sent at once, by itself.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, batches bool) {
		r := newRig(t, bridgetest.StartNATS(t))
		createStream(t, r.nats, eventsStream(batches))
		r.start(0)
		for range 50 {
			r.events(1)
			r.drain()
		}
		r.inOrder()
	})
}

func TestMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t, bridgetest.StartNATS(t))
	createStream(t, r.nats, eventsStream(false))
	r.event("a \"name\"\r\n%")
	r.start(0)
	r.drain()
	msg := r.nats.Messages(subjects.StreamEvents, 1)[0]
	event, err := subjects.DecodeEvent(msg.Data())
	if err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("%s-1", r.spool.Acked().SpoolID)
	want := map[string]string{
		"Nats-Msg-Id": id, "ce-specversion": "1.0", "ce-id": id, "ce-source": "/bridge/test", "ce-type": "bintu.publish",
		"ce-time": string(subjects.AppendTime(nil, event.ReceivedAt)), "ce-subject": "a%20%22name%22%0D%0A%25",
		"ce-datacontenttype": "application/json",
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

// The cursor of a killed process may be behind what the stream holds. What it holds
// is found there, so that the duplicate window does not matter.
func TestStoredAndNotAcked(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, batches bool) {
		for name, first := range map[string]int{"first events": 0, "later ones": 20} {
			t.Run(name, func(t *testing.T) {
				r := inTime(func() *rig {
					r := newRig(t, bridgetest.StartNATS(t))
					createStream(t, r.nats, eventsStream(batches))
					r.start(0)
					r.events(first)
					r.drain()
					cursor := filepath.Join(r.dir, "cursor")
					before, err := os.ReadFile(cursor) // none before the first ack
					if err != nil && !errors.Is(err, fs.ErrNotExist) {
						t.Fatal(err)
					}
					r.events(500)
					r.drain()
					r.close()
					if err := os.WriteFile(cursor, before, 0o600); err != nil {
						t.Fatal(err)
					}
					r.open()
					r.events(10)
					r.check = 10 * time.Millisecond // looks again and again while it skips them
					r.start(0)
					r.drain()
					r.inOrder()
					return r
				})
				if st := r.fwd.Stats(); st.Acked != 510 || st.Duplicates != 0 || st.Failures != 0 {
					t.Errorf("stats %+v, want 510 acked without sending 500 of them", st)
				}
			})
		}
	})
}

func TestStreamComesLater(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, batches bool) {
		r := newRig(t, bridgetest.StartNATS(t))
		r.start(0)
		r.events(5)
		bridgetest.Eventually(t, "a failure is counted", func() bool { return r.fwd.Stats().Failures > 0 })
		if st := r.fwd.Stats(); st.LastError == "" || !st.Failing || st.Acked != 0 {
			t.Errorf("stats %+v", st)
		}
		createStream(t, r.nats, eventsStream(batches))
		r.connected <- struct{}{}
		r.drain()
		r.inOrder()
		if r.fwd.Stats().Failing {
			t.Error("still failing")
		}
	})
}

// An event that may be too large goes by itself, between batches, and that is no trouble.
func TestLargeEventsBetweenBatches(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 1_048_000-100) // the other fields are some 80 bytes
	r := inTime(func() *rig {
		r := newRig(t, bridgetest.StartNATS(t))
		createStream(t, r.nats, eventsStream(true))
		for range 10 {
			r.events(5)
			r.event(large)
		}
		r.start(0)
		r.drain()
		return r
	})
	if st := r.fwd.Stats(); st.Acked != 60 || st.Dead != 0 || st.Failures != 0 || st.Resent != 0 || !st.Batching {
		t.Errorf("stats %+v", st)
	}
	r.nats.Messages(subjects.StreamEvents, 60)
}

func TestPoisonGoesToTheDeadLetters(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, batches bool) {
		r := newRig(t, bridgetest.StartNATS(t))
		cfg := eventsStream(batches)
		cfg.MaxMsgSize = 4096
		createStream(t, r.nats, cfg)
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
		r.deadLetterIDs("2 4 6")

		// A limit that came after the forwarder looked: the server refuses in the middle.
		cfg.MaxMsgSize = 1024
		createStream(t, r.nats, cfg)
		r.event("stream 4")
		r.event(strings.Repeat("too large now ", 100))
		r.event("stream 5")
		r.drain()
		for i, msg := range r.nats.Messages(subjects.StreamEvents, 6) {
			if event, err := subjects.DecodeEvent(msg.Data()); err != nil || event.Name != fmt.Sprintf("stream %d", i) {
				t.Errorf("message %d: %q %v", i, event.Name, err)
			}
		}
		r.deadLetterIDs("2 4 6 9")
		if st := r.fwd.Stats(); st.Dead != 4 || st.TakenBack != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// deadLetterIDs checks the sequences in the dead-letter file, each there once.
func (r *rig) deadLetterIDs(want string) {
	r.t.Helper()
	f, err := os.Open(r.deadLetters())
	if err != nil {
		r.t.Fatal(err)
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
			r.t.Fatal(err)
		}
		if letter.Reason == "" || (letter.Event == nil) == (letter.Record == nil) {
			r.t.Errorf("dead letter %s: reason %q", letter.ID, letter.Reason)
		}
		seqs = append(seqs, letter.ID[strings.LastIndex(letter.ID, "-")+1:])
	}
	if got := strings.Join(seqs, " "); lines.Err() != nil || got != want {
		r.t.Errorf("dead letters %s, want %s; %v", got, want, lines.Err())
	}
}

// While the dead-letter file cannot be written the queue holds, and shows why.
func TestDeadLettersCannotBeWritten(t *testing.T) {
	t.Parallel()
	r := newRig(t, bridgetest.StartNATS(t))
	createStream(t, r.nats, eventsStream(true))
	if err := os.Mkdir(r.deadLetters(), 0o700); err != nil {
		t.Fatal(err)
	}
	r.events(1)
	if _, err := r.spool.Append([]byte("\x00no record")); err != nil {
		t.Fatal(err)
	}
	r.event("stream 1")
	r.start(0)
	bridgetest.Eventually(t, "the failure shows", func() bool { return strings.Contains(r.fwd.Stats().LastError, "dead letter") })
	if acked := r.spool.Acked().Seq; acked != 1 {
		t.Errorf("acked %d, want 1", acked)
	}
	if err := os.Remove(r.deadLetters()); err != nil {
		t.Fatal(err)
	}
	r.drain()
	r.deadLetterIDs("2")
	r.nats.Messages(subjects.StreamEvents, 2)
}

// When the dead-letter file is full, what NATS never takes is lost and counted, told
// once in a while, and the queue goes on.
func TestDeadLettersAreBounded(t *testing.T) {
	r := newRig(t, bridgetest.StartNATS(t))
	createStream(t, r.nats, eventsStream(true))
	var told bytes.Buffer
	r.maxDead, r.logger = 600, slog.New(slog.NewTextHandler(&told, nil))
	poison := func() {
		if _, err := r.spool.Append([]byte("\x00no record")); err != nil {
			t.Fatal(err)
		}
	}
	r.event("stream 0")
	for range 20 {
		poison()
	}
	r.event("stream 1")
	r.start(0)
	r.drain()
	st := r.fwd.Stats()
	if st.Dead == 0 || st.Lost == 0 || st.Dead+st.Lost != 20 || st.DeadBytes == 0 || st.DeadBytes > r.maxDead {
		t.Errorf("stats %+v", st)
	}
	r.nats.Messages(subjects.StreamEvents, 2)

	if err := os.Remove(r.deadLetters()); err != nil { // as a redrive does
		t.Fatal(err)
	}
	poison()
	r.drain()
	r.deadLetterIDs("23")
	if again := r.fwd.Stats(); again.Dead != st.Dead+1 || again.Lost != st.Lost {
		t.Errorf("stats %+v", again)
	}
	r.stop()
	if n := strings.Count(told.String(), "it is lost"); n != 1 {
		t.Errorf("told %d times of %d losses:\n%s", n, st.Lost, told.String())
	}
}

func TestDrainEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := newRig(t, bridgetest.StartNATS(t))
	r.start(0) // no stream: nothing is ever acked
	r.events(3)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("time is up"))
	if err := r.fwd.Drain(ctx); err == nil || !strings.Contains(err.Error(), "3 events stay in the spool: time is up") {
		t.Errorf("drain: %v", err)
	}
}
