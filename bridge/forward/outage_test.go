package forward_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
)

// Whatever happens to the server under load, every event is in the stream once
// and in order. Appends never notice: load appends at its own pace all the time, and none takes
// longer.
func TestServerOutages(t *testing.T) {
	t.Parallel()
	outages := map[string]func(r *rig, p *bridgetest.Process){
		"stopped": func(_ *rig, p *bridgetest.Process) { p.Stop(); p.Start() },
		"killed":  func(_ *rig, p *bridgetest.Process) { p.Kill(); p.Start() },
		"paused": func(r *rig, p *bridgetest.Process) {
			p.Pause()
			tail := r.spool.Tail()
			bridgetest.Eventually(r.t, "appends go on while NATS is paused", func() bool { return r.spool.Tail() > tail+500 })
			p.Resume()
		},
	}
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachWay(t, func(t *testing.T, batches bool) {
				p := bridgetest.StartProcess(t, "")
				createStream(t, p, eventsStream(batches))
				r := newRig(t, p)
				r.ack = time.Second
				r.start(64)
				stop := r.load(5)
				for range 4 {
					r.ackedMore(300)
					r.away.Store(true)
					outage(r, p)
					r.away.Store(false)
				}
				r.ackedMore(300)
				stop()
				r.drain()
				r.inOrder()
				r.noSlower()
				t.Logf("%d events, %+v", r.n, r.fwd.Stats())
			})
		})
	}
}

// The stream is gone while the connection stays, and is made anew: what the spool
// keeps comes again, all of it, in order.
func TestStreamDeleted(t *testing.T) {
	t.Parallel()
	for _, load := range []bool{false, true} {
		name := map[bool]string{false: "idle", true: "under load"}[load]
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, batches bool) {
				r := newRig(t, bridgetest.StartNATS(t))
				createStream(t, r.nats, eventsStream(batches))
				r.start(64)
				r.events(2000)
				r.drain()
				stop := func() {}
				if load {
					stop = r.load(5)
					r.ackedMore(200)
				}
				r.away.Store(true)
				if err := r.nats.JetStream().DeleteStream(t.Context(), subjects.StreamEvents); err != nil {
					t.Fatal(err)
				}
				if load {
					bridgetest.Eventually(t, "the failure shows", func() bool { return r.fwd.Stats().Failing })
				}
				createStream(t, r.nats, eventsStream(batches))
				r.connected <- struct{}{}
				bridgetest.Eventually(t, "the loss is seen", func() bool { return r.fwd.Stats().TakenBack >= 2000 })
				stop()
				r.drain()
				r.inOrder()
				r.noSlower()
			})
		})
	}
}

// A server comes back with an older copy of its files: what it had acked since
// is sent again, and nothing else, though another bridge has written in between and
// goes on to.
func TestStreamTruncated(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, batches bool) {
		p := bridgetest.StartProcess(t, "")
		createStream(t, p, eventsStream(batches))
		r, other := newRig(t, p), newRig(t, p)
		r.start(0)
		other.start(0)
		for range 5 {
			r.events(100)
			other.events(60)
			r.drain()
			other.drain()
		}
		p.Stop()
		older := t.TempDir()
		if err := os.CopyFS(older, os.DirFS(p.StoreDir())); err != nil {
			t.Fatal(err)
		}
		p.Start()
		r.events(150)
		r.drain()
		p.Stop()
		if err := os.RemoveAll(p.StoreDir()); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(p.StoreDir(), os.DirFS(older)); err != nil {
			t.Fatal(err)
		}
		r.stop() // so that the other one writes first, over the sequences that are gone
		p.Start()
		other.events(400)
		other.drain()
		r.events(50)
		r.start(0)
		r.drain()
		if st := r.fwd.Stats(); st.TakenBack != 150 || st.Duplicates != 0 {
			t.Errorf("stats %+v, want 150 taken back", st)
		}
		if st := other.fwd.Stats(); st.TakenBack != 0 {
			t.Errorf("the other bridge: stats %+v", st)
		}
		mine, theirs := r.split(p.Messages(subjects.StreamEvents, r.n+other.n))
		r.checkOrder(mine)
		other.checkOrder(theirs)
	})
}

// A stream without room holds the queue, and no append, until there is some.
func TestStreamFull(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, batches bool) {
		r := newRig(t, bridgetest.StartNATS(t))
		cfg := eventsStream(batches)
		cfg.MaxMsgs = 700
		createStream(t, r.nats, cfg)
		r.start(64)
		r.events(600)
		r.drain()
		r.away.Store(true)
		stop := r.load(5)
		bridgetest.Eventually(t, "the failure shows", func() bool {
			st := r.fwd.Stats()
			return st.Failing && strings.Contains(st.LastError, "maximum messages exceeded")
		})
		cfg.MaxMsgs = -1
		createStream(t, r.nats, cfg)
		r.connected <- struct{}{}
		r.ackedMore(300)
		stop()
		r.drain()
		r.inOrder()
		r.noSlower()
		if st := r.fwd.Stats(); st.Dead != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// The message that commits a batch is the one that has no room.
func TestStreamFullAtTheCommit(t *testing.T) {
	t.Parallel()
	r := newRig(t, bridgetest.StartNATS(t))
	cfg := eventsStream(true)
	cfg.MaxMsgs = 63
	createStream(t, r.nats, cfg)
	r.events(64) // the first batch
	r.start(0)
	bridgetest.Eventually(t, "the failure shows", func() bool { return r.fwd.Stats().Failing })
	cfg.MaxMsgs = -1
	createStream(t, r.nats, cfg)
	r.events(200)
	r.drain()
	r.inOrder()
}

// A large event has no room where small ones have: those behind it wait for it.
func TestNothingOvertakesARefusedMessage(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, batches bool) {
		r := newRig(t, bridgetest.StartNATS(t))
		cfg := eventsStream(batches)
		cfg.MaxBytes = 100 << 10
		createStream(t, r.nats, cfg)
		r.start(64)
		r.events(10)
		r.drain()
		r.event(strings.Repeat("large ", 20<<10))
		bridgetest.Eventually(t, "the failure shows", func() bool { return r.fwd.Stats().Failing })
		r.events(20)
		failures := r.fwd.Stats().Failures
		bridgetest.Eventually(t, "it is tried again", func() bool { return r.fwd.Stats().Failures > failures+2 })
		r.nats.Messages(subjects.StreamEvents, 10)
		cfg.MaxBytes = 1 << 20
		createStream(t, r.nats, cfg)
		r.connected <- struct{}{}
		r.drain()
		if msgs := r.nats.Messages(subjects.StreamEvents, 31); len(msgs[10].Data()) < 100<<10 {
			t.Error("the large event was overtaken")
		}
	})
}

// split tells the rig's messages from another bridge's.
func (r *rig) split(msgs []jetstream.Msg) (mine, theirs []jetstream.Msg) {
	id := r.spool.Acked().SpoolID + "-"
	for _, msg := range msgs {
		if strings.HasPrefix(msg.Headers().Get(subjects.HeaderMsgID), id) {
			mine = append(mine, msg)
		} else {
			theirs = append(theirs, msg)
		}
	}
	return mine, theirs
}

// users gives the bridge's user these rights to publish, and all rights to who gives no name.
func users(publish ...string) string {
	return `authorization { users: [
		{ user: admin, password: admin }
		{ user: bridge, password: bridge, permissions: { publish: ["` + strings.Join(publish, `", "`) + `"], subscribe: "_INBOX_bridge.>" } }
	] }
	no_auth_user: admin`
}

var (
	all    = []string{"stream.>", "$JS.API.STREAM.INFO.EVENTS", "$JS.API.STREAM.MSG.GET.EVENTS"}
	noLook = []string{"stream.>"}
	noSend = []string{"$JS.API.STREAM.INFO.EVENTS", "$JS.API.STREAM.MSG.GET.EVENTS"}
)

func asBridge() []nats.Option {
	return []nats.Option{
		nats.UserInfo("bridge", "bridge"), nats.CustomInboxPrefix("_INBOX_bridge"), nats.IgnoreAuthErrorAbort(),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // the default one prints
	}
}

// The bridge works with no more than its rights, holds the queue without the one
// to publish, and goes on when it gets it back.
func TestPermissions(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, batches bool) {
		p := bridgetest.StartProcess(t, users(all...))
		createStream(t, p, eventsStream(batches))
		r := newRig(t, p)
		r.opts = asBridge()
		r.ack = time.Second
		r.start(64)
		stop := r.load(5)
		r.ackedMore(300)
		r.away.Store(true)
		p.Reload(users(noSend...))
		bridgetest.Eventually(t, "the failure shows", func() bool {
			st := r.fwd.Stats()
			return st.Failing && strings.Contains(strings.ToLower(st.LastError), "permissions violation")
		})
		p.Reload(users(all...))
		r.away.Store(false)
		r.ackedMore(300)
		stop()
		r.drain()
		r.inOrder()
		r.noSlower()
	})
}

// Without the rights to look at the stream it is published to all the same.
func TestMayNotLook(t *testing.T) {
	t.Parallel()
	for name, rights := range map[string][]string{"nothing": noLook, "info only": {"stream.>", "$JS.API.STREAM.INFO.EVENTS"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := bridgetest.StartProcess(t, users(rights...))
			createStream(t, p, eventsStream(true))
			r := newRig(t, p)
			r.opts = asBridge()
			r.events(400)
			r.start(64)
			r.drain()
			r.events(400)
			r.drain()
			r.inOrder()
		})
	}
}
