package consumers

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// answered is a message whose answers go nowhere.
type answered struct{ jetstream.Msg }

func (answered) Ack() error { return nil }

// A consumer that gets messages and does none of them is told in readiness, until it does one.
func TestFailingIsDegraded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		monitor := NewMonitor()
		watch := monitor.Watch("audit", nil)
		s := newSettler(nil, Options{Log: slog.New(slog.DiscardHandler)}, watch, false)
		watch.Attached("")
		try := func(err error) {
			s.settle(t.Context(), &delivery{msg: answered{}, Message: &Message{}}, err, time.Second)
		}
		expect := func(want Check) {
			t.Helper()
			want.Name, want.OK = "audit", true
			if got := monitor.Checks()[0]; got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			degraded := 0
			if want.Degraded {
				degraded = 1
			}
			shown := fmt.Sprintf(`# HELP consumer_degraded 1 when the consumer gets messages and not all is as it should be, as /readyz?verbose says.
# TYPE consumer_degraded gauge
consumer_degraded{consumer="audit"} %d
# HELP consumer_ready 1 when the consumer gets messages or stands by, as /readyz says.
# TYPE consumer_ready gauge
consumer_ready{consumer="audit"} 1
`, degraded)
			if err := testutil.CollectAndCompare(monitor, strings.NewReader(shown), "consumer_degraded", "consumer_ready"); err != nil {
				t.Error(err)
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
