package consumers

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"bintubridge/bridge/bridgetest"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// What is left to do is shown from the start on, and no more when the consumer is gone.
func TestLag(t *testing.T) {
	js := bridgetest.StartNATS(t).JetStream()
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"stream.>"}}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := js.Publish(t.Context(), "stream.publish", fmt.Appendf(nil, `{"id":"a-%d"}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	monitor := NewMonitor()
	opts, err := Options{Name: "audit", MaxAckPending: 1, Monitor: monitor}.withDefaults(false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	finish, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- Run(ctx, js, opts, func(context.Context, *Message) error {
			<-finish
			return nil
		})
	}()
	shows := func(pending, ackPending int) func() bool {
		want := fmt.Sprintf(`# HELP consumer_lag_messages Messages that are not done yet: still in the stream (pending), or on their way (ack_pending).
# TYPE consumer_lag_messages gauge
consumer_lag_messages{consumer="audit",state="ack_pending"} %d
consumer_lag_messages{consumer="audit",state="pending"} %d
`, ackPending, pending)
		return func() bool {
			return testutil.CollectAndCompare(monitor, strings.NewReader(want), "consumer_lag_messages") == nil
		}
	}
	bridgetest.Eventually(t, "all are left", shows(3, 0))
	asked := func(pending, ackPending int) func() bool {
		shown := shows(pending, ackPending)
		return func() bool {
			monitor.mu.Lock()
			watch := monitor.states["audit"]
			monitor.mu.Unlock()
			readLag(t.Context(), js, opts, watch)
			return shown()
		}
	}
	bridgetest.Eventually(t, "one is in work", asked(2, 1))
	close(finish)
	bridgetest.Eventually(t, "nothing is left", asked(0, 0))
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(monitor, "consumer_lag_messages", "consumer_last_error_timestamp_seconds", "consumer_refused_documents"); n != 0 {
		t.Errorf("%d gauges are left of a consumer that is gone", n)
	}
}
