package sessions

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// stopped is a connection whose user is told to stop before its third message is sent.
type stopped struct {
	jetstream.JetStream
	messages int
	stop     context.CancelFunc
}

func (s *stopped) PublishMsg(ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if s.messages++; s.messages == 3 {
		s.stop()
		return nil, ctx.Err()
	}
	return s.JetStream.PublishMsg(ctx, msg, opts...)
}

// What was applied and not told when the end came is no part of the checkpoint: it is told by the next one.
func TestStopWhileTelling(t *testing.T) {
	kit := consumerstest.StartFor(t, provision.SessionsPermissions())
	kv, err := kit.JS.KeyValue(t.Context(), subjects.BucketSessionsState)
	if err != nil {
		t.Fatal(err)
	}
	js := kit.JetStream()
	cfg := Config{Timeout: time.Minute, Lease: time.Second}
	ctx, stop := context.WithCancel(t.Context())
	r := &runner{
		js: &stopped{JetStream: js, stop: stop}, cfg: cfg,
		watch: consumers.NewMonitor().Watch(Name, js.Conn()), log: slog.New(slog.DiscardHandler),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = r.work(ctx, kv) // its error is the end
	}()
	kit.Publish(consumerstest.Event("publish", "first"))
	live, err := kit.JS.KeyValue(t.Context(), subjects.BucketLive)
	if err != nil {
		t.Fatal(err)
	}
	bridgetest.Eventually(t, "it may write checkpoints", func() bool { // once all is repeated, as KV live is
		_, err := live.Get(t.Context(), LiveKey("first", "192.0.2.1", "1"))
		return err == nil
	})
	kit.Publish(consumerstest.Event("publish", "told"), consumerstest.Event("publish", "untold"))
	<-ended
	if n := len(kit.Stored(subjects.StreamSessions, "session.>")); n != 2 {
		t.Fatalf("%d are told before the end", n)
	}
	kit.Go(func(ctx context.Context) error {
		return Run(ctx, js, cfg, consumers.NewMonitor(), slog.New(slog.DiscardHandler))
	})
	bridgetest.Eventually(t, "all are told", func() bool {
		return len(kit.Stored(subjects.StreamSessions, "session.started")) == 3
	})
}
