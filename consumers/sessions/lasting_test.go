package sessions

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

// evening is an evening of publishers who drop and come back, and of viewers, a second an event.
type evening struct {
	random     *rand.Rand
	second     int
	clients    int
	publishers [3]connection
	viewers    []connection
}

// connection is one that goes on; the zero value is none.
type connection struct {
	name, addr, client string
	in, out            int64
}

func (c *connection) event(call string, second int) subjects.Event {
	e := consumerstest.Event(call, c.name)
	e.Addr, e.ClientID, e.ReceivedAt = c.addr, c.client, start.Add(time.Duration(second)*time.Second)
	if call != "publish" && call != "play" {
		e.BytesIn, e.BytesOut = subjects.Number(fmt.Sprint(c.in)), subjects.Number(fmt.Sprint(c.out))
	}
	return e
}

// next returns what happens next: the end of a publisher is a cut or a drop, and it comes again.
func (v *evening) next() []subjects.Event {
	v.second++
	i := v.random.IntN(len(v.publishers))
	p := &v.publishers[i]
	p.in += v.random.Int64N(1 << 20)
	fresh := func(addr string) connection {
		v.clients++
		return connection{name: fmt.Sprint("n", i), addr: addr, client: fmt.Sprint(v.clients)}
	}
	switch dice := v.random.IntN(10); {
	case p.client == "":
		*p = fresh(fmt.Sprint("192.0.2.", i))
		return []subjects.Event{p.event("publish", v.second)}
	case dice < 4:
		v.viewers = append(v.viewers, fresh(fmt.Sprint("198.51.100.", v.clients%250)))
		return []subjects.Event{v.viewers[len(v.viewers)-1].event("play", v.second)}
	case dice < 6 && len(v.viewers) > 0:
		gone := v.viewers[0]
		v.viewers = v.viewers[1:]
		gone.out = v.random.Int64N(1 << 20)
		return []subjects.Event{gone.event("play_done", v.second)}
	case dice < 8:
		return []subjects.Event{p.event("update_publish", v.second)}
	case dice < 9:
		e := p.event("publish_done", v.second)
		*p = connection{}
		return []subjects.Event{e}
	}
	refused := p.event("update_publish", v.second)
	refused.Decision.Effect = subjects.EffectDeny
	v.second++
	e := p.event("publish_done", v.second)
	*p = connection{}
	return []subjects.Event{refused, e}
}

// undisturbed returns what a machine that is never interrupted tells of all events so far, and who is live then.
func undisturbed(t *testing.T, kit *consumerstest.Kit) (map[string]string, map[string]Live) {
	t.Helper()
	m := newMachine(0, time.Hour)
	told := map[string]string{}
	for _, msg := range kit.Stored(subjects.StreamEvents, subjects.AllEvents) {
		e, err := subjects.DecodeEvent(msg.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range m.apply(&e, msg.Time) {
			data, err := s.AppendJSON(nil)
			if err != nil {
				t.Fatal(err)
			}
			told[s.ID] = string(data)
		}
	}
	live := map[string]Live{}
	for k := range m.open {
		if l, ok := m.live(k); ok {
			live[LiveKey(k.name, k.addr, k.clientID)] = l
		}
	}
	return told, live
}

// Instances are killed while publishes go on, drop and come back, and are watched: all that is told, and KV
// live, are in the end what they were without.
func TestKilledWhileStreamsGoOn(t *testing.T) {
	kit := consumerstest.StartFor(t, provision.SessionsPermissions())
	kit.ForgetIDs(subjects.StreamSessions)
	v := &evening{random: rand.New(rand.NewPCG(20, 26))}
	for round := range 4 {
		process := kit.StartProcess("SESSIONS_TEST_LASTING=yes")
		before := len(kit.Stored(subjects.StreamSessions, subjects.AllSessions))
		for range 60 {
			kit.Publish(v.next()...)
		}
		if round == 1 { // it ends by itself, with a checkpoint of all
			_, live := undisturbed(t, kit)
			bridgetest.Eventually(t, "it has caught up", func() bool { return differs(t, kit, live) == "" })
			process.Terminate()
			continue
		}
		bridgetest.Eventually(t, "some are told", func() bool { return len(kit.Stored(subjects.StreamSessions, subjects.AllSessions)) > before+5 })
		process.Kill()
	}
	js := kit.JetStream()
	kit.Go(func(ctx context.Context) error {
		cfg := Config{Grace: time.Hour, Lease: time.Second}
		return Run(ctx, js, cfg, consumers.NewMonitor(), slog.New(slog.DiscardHandler))
	})
	told, live := undisturbed(t, kit)
	bridgetest.Eventually(t, "all is told", func() bool { return len(kit.Stored(subjects.StreamSessions, subjects.AllSessions)) >= len(told) })
	diff := ""
	t.Cleanup(func() {
		if diff != "" {
			t.Error(diff)
		}
	})
	bridgetest.Eventually(t, "KV live is right", func() bool {
		diff = differs(t, kit, live)
		return diff == ""
	})
	for _, msg := range kit.Stored(subjects.StreamSessions, subjects.AllSessions) {
		id := msg.Header.Get(subjects.HeaderID)
		if want := told[id]; string(msg.Data) != want {
			t.Errorf("%s is\n%s\nwant\n%s", id, msg.Data, want)
		}
		delete(told, id)
	}
	if len(told) > 0 {
		t.Errorf("%d are not told: %v", len(told), told)
	}
}

// differs compares KV live field by field; last_seen may be behind.
func differs(t *testing.T, kit *consumerstest.Kit, want map[string]Live) string {
	t.Helper()
	b, err := loadBoard(t.Context(), kit.JS)
	if err != nil {
		t.Fatal(err)
	}
	for key, w := range want {
		if have := b.written[key].value; !same(have, w) {
			return fmt.Sprintf("%s is %+v, want %+v", key, have, w)
		}
	}
	if len(b.written) != len(want) {
		return fmt.Sprintf("%d are live, want %d", len(b.written), len(want))
	}
	return ""
}
