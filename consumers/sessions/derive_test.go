package sessions

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

// One that was asleep while another took over tells nothing, however sure it is of its lease, and
// changes neither KV live nor the checkpoint.
func TestOneWhoWasAsleep(t *testing.T) {
	kit := consumerstest.StartFor(t, provision.SessionsPermissions())
	js := kit.JetStream()
	r := &runner{js: js, cfg: Config{Timeout: time.Minute}, watch: consumers.NewMonitor().Watch(Name, js.Conn()), log: slog.New(slog.DiscardHandler)}
	event := consumerstest.Event("publish", "lobby")
	event.ID, event.ReceivedAt = "x-1", start
	kv, err := kit.JS.KeyValue(t.Context(), subjects.BucketSessionsState)
	if err != nil {
		t.Fatal(err)
	}
	takeUp := func() *derivation {
		d, err := r.takeUp(t.Context(), kv)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	work := func(ctx context.Context, d *derivation) (told, live, saved error) {
		told = d.tell(ctx, d.machine.apply(&event, start), 1, time.Time{})
		live = d.board.flush(ctx, d.machine)
		d.at.Sequence, d.told.ids = 1, nil
		return told, live, d.save(ctx)
	}
	asleep, active := takeUp(), takeUp()
	if told, live, saved := work(t.Context(), active); told != nil || live != nil || saved != nil {
		t.Fatal(told, live, saved)
	}
	event.ID = "x-2" // what it saw of the world is another thing
	told, live, saved := work(t.Context(), asleep)
	if !errors.Is(told, errFenced) || !errors.Is(live, errFenced) || !errors.Is(saved, errFenced) {
		t.Errorf("told: %v; live: %v; saved: %v", told, live, saved)
	}
	if d := takeUp(); d.machine.open[key{"publish", event.Addr, event.ClientID, "lobby"}].Told.Session != "x-1" || d.at.Sequence != 0 {
		// EVENTS is empty: the checkpoint's place in it is none
		t.Errorf("at %+v, %+v", d.at, d.machine.open)
	}
	s, err := kit.JS.Stream(t.Context(), subjects.StreamSessions)
	if err != nil || s.CachedInfo().State.Msgs != 1 {
		t.Errorf("%+v, %v", s.CachedInfo().State, err)
	}
}
