package consumers

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// answered is a message whose answers go nowhere.
type answered struct{ jetstream.Msg }

func (answered) Ack() error                       { return nil }
func (answered) NakWithDelay(time.Duration) error { return nil }

// A consumer that gets messages and does none of them is told in readiness, until it does one.
func TestFailingIsDegraded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		monitor := NewMonitor()
		watch := monitor.Watch("audit")
		s := newSettler(nil, Options{Log: slog.New(slog.DiscardHandler)}, watch, false)
		watch.Attached("")
		try := func(err error) {
			s.settle(t.Context(), delivery{answered{}, &Message{}}, err, time.Second)
		}
		expect := func(want Check) {
			t.Helper()
			want.Name, want.OK = "audit", true
			if got := monitor.Checks()[0]; got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		time.Sleep(time.Hour)
		expect(Check{})
		for range 11 { // for ten seconds
			try(errors.New("first"))
			expect(Check{})
			time.Sleep(time.Second)
		}
		try(errors.New("away\nand gone"))
		expect(Check{Degraded: true, Detail: "nothing is done for 11s: away.and gone"})
		time.Sleep(time.Minute) // the next try is far
		expect(Check{Degraded: true, Detail: "nothing is done for 1m11s: away.and gone"})
		try(nil)
		expect(Check{})
		for range 60 { // one that fails among others that work
			try(errors.New("broken"))
			time.Sleep(time.Second)
			try(nil)
		}
		expect(Check{})
		try(errors.New("again"))
		time.Sleep(degradedAfter)
		expect(Check{})
	})
}
