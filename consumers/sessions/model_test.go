package sessions

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"bintubridge/subjects"

	"pgregory.net/rapid"
)

// step is an event or a tick.
type step struct {
	event *subjects.Event
	at    time.Time
}

func (s step) do(m *machine) []subjects.Session {
	if s.event == nil {
		return m.tick(s.at)
	}
	return m.apply(s.event, s.at)
}

// genConnections draws connections of few names, addresses and numbers, so that they meet, and
// returns their events in the order of time.
func genConnections(t *rapid.T) []subjects.Event {
	var all [][]subjects.Event
	for range rapid.IntRange(1, 8).Draw(t, "connections") {
		kind := rapid.SampledFrom([]string{"publish", "play"}).Draw(t, "kind")
		e := subjects.Event{
			Call: kind, App: "live", Name: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name"),
			Addr:     rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2"}).Draw(t, "addr"),
			ClientID: rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "clientid"),
			Decision: &subjects.Decision{Effect: rapid.SampledFrom([]string{"allow", "allow", "allow", "deny"}).Draw(t, "effect")},
		}
		list := []subjects.Event{e}
		for range rapid.IntRange(0, 3).Draw(t, "updates") {
			u := e
			u.Call = "update_" + kind
			list = append(list, u)
		}
		d := e
		d.Call, d.Decision = kind+"_done", nil
		d.BytesIn = subjects.Number(fmt.Sprint(rapid.Int64Range(-10, 1<<33).Draw(t, "bytes")))
		all = append(all, append(list, d))
	}
	var events []subjects.Event
	now := start
	for len(all) > 0 {
		i := rapid.IntRange(0, len(all)-1).Draw(t, "next")
		now = now.Add(time.Duration(rapid.IntRange(0, 20_000).Draw(t, "pause")) * time.Millisecond)
		e := all[i][0]
		e.ID, e.ReceivedAt = fmt.Sprint("x-", len(events)), now
		events = append(events, e)
		if all[i] = all[i][1:]; len(all[i]) == 0 {
			all = append(all[:i], all[i+1:]...)
		}
	}
	return events
}

// disturb drops, repeats and shuffles events, puts ticks between them, and sets the server's clock by
// an hour and back.
func disturb(t *rapid.T, events []subjects.Event) []step {
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	shuffle := rapid.IntRange(0, 5).Draw(t, "shuffle")
	var list []subjects.Event
	for _, e := range events {
		if random.IntN(10) == 0 {
			continue
		}
		list = append(list, e)
		if random.IntN(10) == 0 {
			list = append(list, e)
		}
	}
	for i := range list {
		j := min(len(list)-1, i+random.IntN(shuffle+1))
		list[i], list[j] = list[j], list[i]
	}
	var steps []step
	passed := start
	var now time.Time
	var wrong time.Duration // how much the server's clock is ahead
	for i := range list {
		if at := list[i].ReceivedAt; at.After(passed) {
			passed = at
		}
		switch {
		case random.IntN(20) != 0:
		case wrong != 0:
			wrong = 0
		default:
			wrong = time.Duration(1-2*random.IntN(2)) * time.Hour
		}
		now = passed.Add(wrong)
		steps = append(steps, step{&list[i], now})
		if random.IntN(4) == 0 {
			steps = append(steps, step{nil, now.Add(time.Duration(random.IntN(90)) * time.Second)})
		}
	}
	return append(steps, step{nil, now.Add(time.Hour)}, step{nil, now.Add(2 * time.Hour)})
}

// checkAudience compares what the machine keeps with a count.
func checkAudience(t *rapid.T, m *machine) {
	players := map[stream]int{}
	for k, s := range m.open {
		if k != s.key() {
			t.Fatalf("%v is kept as %v", s.key(), k)
		}
		if s.Told.Kind == subjects.KindPlay {
			players[s.stream()]++
		}
	}
	for st, a := range m.streams {
		if a.viewers < 0 || a.viewers != players[st] {
			t.Fatalf("%v: %d viewers, %d play", st, a.viewers, players[st])
		}
	}
	for k, s := range m.open {
		if live, ok := m.live(k); ok && (live.Viewers != players[s.stream()] || s.Told.PeakViewers < live.Viewers) {
			t.Fatalf("%v: %+v, peak %d, %d play", k, live, s.Told.PeakViewers, players[s.stream()])
		}
	}
}

func newModelMachine() *machine { return newMachine(time.Minute, 10*time.Second) }

// Whatever is dropped, repeated and shuffled: each session starts once and ends once, and viewers
// are those who play.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModelMachine()
		var told []subjects.Session
		for _, s := range disturb(t, genConnections(t)) {
			told = append(told, s.do(m)...)
			checkAudience(t, m)
		}
		checkLives(t, told)
		if len(m.open) != 0 || len(m.streams) != 0 {
			t.Errorf("%d are still open, %d streams", len(m.open), len(m.streams))
		}
	})
}

// A machine that is loaded from a checkpoint and repeats events, and only those ticks that told
// something, tells the same as the one that never stopped.
func TestCrashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := disturb(t, genConnections(t))
		m := newModelMachine()
		saveAt := rapid.IntRange(0, len(steps)).Draw(t, "checkpoint")
		var saved []byte
		var want, repeated []subjects.Session
		var again []step
		for i, s := range steps {
			if i == saveAt {
				saved = save(t, m)
			}
			told := s.do(m)
			if i >= saveAt {
				want = append(want, told...)
				if s.event != nil || len(told) > 0 {
					again = append(again, s)
				}
			}
		}
		if saved == nil {
			saved = save(t, m)
		}
		other := newModelMachine()
		if err := other.restore(saved); err != nil {
			t.Fatal(err)
		}
		for _, s := range again {
			repeated = append(repeated, s.do(other)...)
			checkAudience(t, other)
		}
		if got, wanted := encode(t, repeated), encode(t, want); got != wanted {
			t.Fatalf("told after the crash\n%s\nwithout it\n%s", got, wanted)
		}
		if got, wanted := string(save(t, other)), string(save(t, m)); got != wanted {
			t.Fatalf("the state after the crash is\n%s\nwithout it\n%s", got, wanted)
		}
	})
}

// Undisturbed, each accepted connection of its own number is one session.
func TestUndisturbed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := genConnections(t)
		number := 0
		accepted := map[string]string{}
		for i := range events {
			k := events[i].Addr + events[i].ClientID + events[i].Name + events[i].Call
			if c := subjects.ParseCall(events[i].Call); c == subjects.Publish || c == subjects.Play {
				number++
				accepted[k] = fmt.Sprint(number)
			}
		}
		m := newMachine(0, 0)
		want, got := map[string]bool{}, map[string]bool{}
		open := map[key]bool{}
		for i := range events {
			e := &events[i]
			for _, s := range m.apply(e, e.ReceivedAt) {
				got[s.ID] = true
			}
			c := subjects.ParseCall(e.Call)
			k := keyOf(e, c)
			switch c {
			case subjects.Publish, subjects.Play:
				if e.Decision.Effect == subjects.EffectAllow && !open[k] {
					open[k] = true
					want[e.ID+"-started"] = true
				}
			case subjects.PublishDone, subjects.PlayDone:
				delete(open, k)
			}
		}
		for id := range want {
			if !got[id] {
				t.Errorf("%s was not told", id)
			}
		}
		if len(open) != len(m.open) {
			t.Errorf("%d are open, want %d", len(m.open), len(open))
		}
	})
}

// Bytes are counted exactly, over wraps and signed numbers, although updates are shuffled and repeated: as
// long as what is read is less than a wrap apart.
func TestByteTotals(t *testing.T) {
	const late = 4 // places that an update may come behind
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		print32 := func(total int64) subjects.Number {
			v := total % wrap
			if v >= wrap/2 && random.IntN(2) == 0 {
				v -= wrap
			}
			return subjects.Number(fmt.Sprint(v))
		}
		m := newMachine(0, 0)
		for i := range rapid.IntRange(1, 3).Draw(t, "connections") {
			e := subjects.Event{
				ID: fmt.Sprint("x-", i), Call: "publish", Name: "a", Addr: "192.0.2.1", ClientID: fmt.Sprint(i),
				ReceivedAt: start, Decision: &subjects.Decision{Effect: "allow"},
			}
			m.apply(&e, start)
			var updates []subjects.Event
			var in, out int64
			next := func(call string) subjects.Event {
				u := e
				in, out = in+random.Int64N(wrap/(late+2)), out+random.Int64N(wrap/(late+2))
				u.Call, u.BytesIn, u.BytesOut = call, print32(in), print32(out)
				u.ReceivedAt = start.Add(time.Duration(len(updates)+1) * time.Second)
				return u
			}
			for range rapid.IntRange(0, 20).Draw(t, "updates") {
				updates = append(updates, next("update_publish"))
			}
			done := next("publish_done")
			for i := range updates {
				j := min(len(updates)-1, i+random.IntN(late))
				updates[i], updates[j] = updates[j], updates[i]
			}
			for i := range updates {
				m.apply(&updates[i], start)
				m.apply(&updates[random.IntN(i+1)], start)
			}
			told := m.apply(&done, start)
			if len(told) != 1 || told[0].BytesIn != in || told[0].BytesOut != out {
				t.Fatalf("told %+v, want %d and %d bytes", told, in, out)
			}
		}
	})
}

func save(t *rapid.T, m *machine) []byte {
	data, err := json.Marshal(m.snapshot())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func encode(t *rapid.T, list []subjects.Session) string {
	data, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestStateOfALaterVersion(t *testing.T) {
	if err := newModelMachine().restore([]byte(`{"version":2}`)); err == nil {
		t.Error("it was read")
	}
	m := newModelMachine()
	if err := m.restore([]byte(`{"version":1}`)); err != nil || !reflect.DeepEqual(m, newModelMachine()) {
		t.Errorf("%+v, %v", m, err)
	}
}
