package consumers

import (
	"errors"
	"testing"

	"bintubridge/bridge/bridgetest"

	"github.com/nats-io/nats.go/jetstream"
)

// pullsOf makes a stream with messages of these sizes, its durable consumer, and a puller of it.
func pullsOf(t *testing.T, sizes ...int) (*puller, jetstream.Consumer) {
	t.Helper()
	server := bridgetest.StartNATS(t)
	js := server.JetStream()
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"stream.>"}}); err != nil {
		t.Fatal(err)
	}
	for _, size := range sizes {
		if _, err := js.Publish(t.Context(), "stream.publish", make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	cons, err := js.CreateConsumer(t.Context(), "EVENTS", jetstream.ConsumerConfig{Durable: "audit", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	p, err := startPuller(js, "EVENTS", "audit", 100, func() {})
	if err != nil {
		t.Fatal(err)
	}
	return p, cons
}

// What has arrived and was not looked at is not lost at the end: it would wait for the ack wait.
func TestPullerEndsWithAllThatArrived(t *testing.T) {
	p, cons := pullsOf(t, make([]int, 50)...)
	if err := p.ask(pullRequest{Messages: 60, Expires: pullExpires}); err != nil {
		t.Fatal(err)
	}
	bridgetest.Eventually(t, "all is delivered", func() bool {
		info, err := cons.Info(t.Context())
		return err == nil && info.NumAckPending == 50
	})
	came := 0
	p.close(func(jetstream.Msg) { came++ })
	if came != 50 {
		t.Errorf("%d came, want 50", came)
	}
	if info, err := cons.Info(t.Context()); err != nil || info.NumWaiting != 0 {
		t.Errorf("the pull goes on: %+v, %v", info, err)
	}
}

// A pull brings no more than it may, and says so when that is less than the next message.
func TestPullIsLimited(t *testing.T) {
	p, _ := pullsOf(t, 100, 1000, 1000, 1000, 10_000, 100)
	defer p.close(func(jetstream.Msg) {})
	for _, tt := range []struct {
		messages, bytes, came int
		err                   error
	}{
		{2, 0, 2, nil},
		{9, 3000, 2, nil},
		{9, 3000, 0, errTooLarge},
		{1, 0, 1, nil},
	} {
		came := 0
		err := p.pull(t.Context(), tt.messages, tt.bytes, func(jetstream.Msg) { came++ })
		if !errors.Is(err, tt.err) || came != tt.came {
			t.Errorf("%d messages, %d bytes: got %d, %v; want %d, %v", tt.messages, tt.bytes, came, err, tt.came, tt.err)
		}
	}
}
