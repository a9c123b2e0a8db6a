package forward_test

import (
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
)

// The network between bridge and server is cut under load, and nobody is told: packets are
// lost, all of them or only the server's. However long that is, every event is in the
// stream once and in order when it is mended.
func TestPartitions(t *testing.T) {
	cuts := map[string]func(*bridgetest.Isolated){
		"all packets": (*bridgetest.Isolated).Cut,
		"replies":     (*bridgetest.Isolated).CutReplies,
	}
	lengths := map[string]func(r *partition){
		"for a moment":        (*partition).appendsGoOn, // TCP sends again, and that is all
		"until a time-out":    (*partition).timesOut,    // what is late comes on the same connection
		"until it is noticed": (*partition).disconnects, // what is late comes on the old connection, beside the new one
	}
	for what, cut := range cuts {
		for length, lasts := range lengths {
			t.Run(what+" "+length, func(t *testing.T) {
				t.Parallel()
				eachWay(t, func(t *testing.T, batches bool) {
					r := newPartition(t, batches, length == "until it is noticed")
					if length != "until a time-out" { // that takes long
						r.cutUnderLoad(cut, lasts)
					}
					stored := r.cutWhenIdle(cut, lasts)
					for tries := 1; what == "replies" && stored == 0 && tries < 5; tries++ { // the server had no time meanwhile
						stored = r.cutWhenIdle(cut, lasts)
					}
					st := r.fwd.Stats()
					t.Logf("%d events, %d stored during the last cut, %+v", r.n, stored, st)
					if (stored > 0) != (what == "replies") {
						t.Errorf("%d events were stored during the last cut", stored)
					}
					if (st.Reconnects > 0) != (length == "until it is noticed") || st.Batching != batches {
						t.Errorf("stats %+v", st)
					}
				})
			})
		}
	}
}

// partition is a rig whose server can be cut off.
type partition struct {
	*rig
	server       *bridgetest.Isolated
	disconnected chan struct{}
}

func newPartition(t *testing.T, batches, impatient bool) *partition {
	server := bridgetest.StartIsolated(t, "")
	createStream(t, server, eventsStream(batches))
	r := &partition{rig: newRig(t, server), server: server, disconnected: make(chan struct{}, 1)}
	r.check = time.Hour // nothing but a failure makes the forwarder look at the stream
	r.opts = []nats.Option{
		nats.Timeout(500 * time.Millisecond),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // the default one prints
		nats.DisconnectErrHandler(func(*nats.Conn, error) {
			select {
			case r.disconnected <- struct{}{}:
			default:
			}
		}),
	}
	if impatient {
		r.opts = append(r.opts, nats.PingInterval(100*time.Millisecond), nats.FlusherTimeout(300*time.Millisecond))
	}
	r.start(64)
	return r
}

func (r *partition) cutUnderLoad(cut func(*bridgetest.Isolated), lasts func(*partition)) {
	r.t.Helper()
	stop := r.load(5)
	r.ackedMore(300)
	r.away.Store(true)
	cut(r.server)
	lasts(r)
	r.server.Heal()
	r.away.Store(false)
	r.ackedMore(300)
	stop()
	r.drain()
	r.inOrder()
	r.noSlower()
}

// cutWhenIdle cuts before there is anything to send, so that it is known what was sent into
// the cut: it returns how many events the server stored during it.
func (r *partition) cutWhenIdle(cut func(*bridgetest.Isolated), lasts func(*partition)) (stored int) {
	r.t.Helper()
	select {
	case <-r.disconnected: // from the first cut
	default:
	}
	r.events(1)
	r.drain() // the stream has been looked at, too
	before := r.n
	cut(r.server)
	began := time.Now()
	stop := r.load(5)
	lasts(r)
	healed := time.Now()
	r.server.Heal()
	stop()
	r.drain()
	r.inOrder()
	for _, msg := range r.server.Messages(subjects.StreamEvents, r.n)[before:] {
		meta, err := msg.Metadata()
		if err != nil {
			r.t.Fatal(err)
		}
		if meta.Timestamp.After(began) && meta.Timestamp.Before(healed) {
			stored++
		}
	}
	return stored
}

func (r *partition) appendsGoOn() {
	r.t.Helper()
	tail := r.spool.Tail()
	bridgetest.Eventually(r.t, "appends go on", func() bool { return r.spool.Tail() > tail+500 })
}

func (r *partition) timesOut() {
	r.t.Helper()
	failures := r.fwd.Stats().Failures
	bridgetest.Eventually(r.t, "an ack is overdue", func() bool { return r.fwd.Stats().Failures > failures })
}

func (r *partition) disconnects() {
	r.t.Helper()
	select {
	case <-r.disconnected:
	case <-time.After(bridgetest.Timeout):
		r.t.Fatal("the client does not notice")
	}
	r.appendsGoOn()
}

// While a write waits for a server that is cut off, the client answers nobody. Health goes by
// Stats, and must not wait with it.
func TestStatsWhileAWriteWaits(t *testing.T) {
	t.Parallel()
	server := bridgetest.StartIsolated(t, "")
	createStream(t, server, eventsStream(true))
	r := newRig(t, server)
	r.start(0)
	r.events(100)
	r.drain()
	server.Cut()
	var flood sync.WaitGroup
	flood.Go(func() {
		for range 64 { // more than all buffers hold
			if err := r.conn.Publish("flood", make([]byte, 1<<20)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	bridgetest.Eventually(t, "a write waits", func() bool { return waits(100*time.Millisecond, func() { r.conn.Stats() }) })
	if waits(bridgetest.Timeout, func() { r.fwd.Stats() }) {
		t.Error("Stats waits too")
	}
	server.Heal()
	flood.Wait()
	r.events(100)
	r.drain()
	r.inOrder()
}

// waits reports whether f goes on for longer than d.
func waits(d time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
		return false
	case <-time.After(d):
		return true
	}
}
