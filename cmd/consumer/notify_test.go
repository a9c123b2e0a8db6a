package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/bridge/bridgetest/freeport"
	"bintubridge/consumers/consumerstest"
	"bintubridge/consumers/notify"
	"bintubridge/subjects"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const notYet = "consumer notify has not run yet: what happens before its first start is not delivered\n"

// Who subscribes before the consumer's first start is told what will not be delivered.
func TestSubscribeBeforeTheFirstStart(t *testing.T) {
	kit := consumerstest.Start(t)
	environ := []string{"NATS_URL=" + kit.URL()}
	subscribe := func() string {
		t.Helper()
		var out bytes.Buffer
		if err := execute(t.Context(), newNotify(environ), &out, "subscribe", "red", "--subject", ">", "--url", "https://red.example/hook"); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if out := subscribe(); !strings.HasSuffix(out, notYet) {
		t.Errorf("before the first start: %s", out)
	}
	for stream, name := range map[string]string{subjects.StreamEvents: notify.Name, subjects.StreamSessions: notify.SessionsName} {
		if _, err := kit.JS.CreateConsumer(t.Context(), stream, jetstream.ConsumerConfig{Durable: name, AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
			t.Fatal(err)
		}
	}
	if out := subscribe(); out != "" {
		t.Errorf("after it: %s", out)
	}
}

// A subscription is made, tried, rotated, listed without its secrets, and removed.
func TestNotifyCommands(t *testing.T) {
	kit := consumerstest.Start(t)
	got := make(chan [2]any, 10)
	r := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body) // what is missing fails the signature
		got <- [2]any{req.Header, body}
	}))
	defer r.Close()
	environ := []string{"NATS_URL=" + kit.URL(), "CONSUMER_NOTIFY_ALLOW=127.0.0.0/8"}
	do := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := execute(t.Context(), newNotify(environ), &out, args...)
		return strings.TrimSpace(strings.ReplaceAll(out.String(), notYet, "")), err
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := do(args...)
		if err != nil {
			t.Fatal(args, err)
		}
		return out
	}
	first := must("subscribe", "red", "--who", "team red", "--subject", "stream.>", "--url", r.URL+"/s3cret")
	second := must("subscribe", "red", "--rotate")
	if out := must("subscribe", "red", "--name", "red-*"); out != "" {
		t.Errorf("a change made a new secret: %s", out)
	}
	if out := must("test", "red"); out != "delivered" {
		t.Error(out)
	}
	one := <-got
	for _, secret := range []string{first, second} {
		wh, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := wh.Verify(one[1].([]byte), one[0].(http.Header)); err != nil {
			t.Error(err)
		}
	}
	if out := must("ls"); out != `{"key":"red","who":"team red","subjects":["stream.\u003e"],"names":["red-*"],"target":"`+r.URL+`","secrets":2}` {
		t.Error(out)
	}
	if out := must("deliveries", "red"); out != "" {
		t.Error(out)
	}
	kit.PublishRaw("delivery.red", nats.Header{subjects.HeaderID: {"e-1"}, "delivery-type": {"stream.publish"}}, []byte(`{}`))
	stored := kit.Stored(subjects.StreamDeliveries, "delivery.red")[0].Time
	for _, args := range [][]string{{"deliveries", "red"}, {"deliveries"}} {
		var w notify.Waiting
		if out := must(args...); json.Unmarshal([]byte(out), &w) != nil || w.Subscription != "red" || w.ID != "e-1" || w.Type != "stream.publish" || !w.Since.Equal(stored) {
			t.Errorf("%v: %s", args, out)
		}
		in := w.NextTry.Sub(stored) // in whole seconds; by the schedule after 5 s, and if that was long ago after 5 min more
		if soon, later := 5*time.Second, 5*time.Second+5*time.Minute; (in <= soon-time.Second || in > soon) && (in <= later-time.Second || in > later) {
			t.Errorf("%v: the next try is %v after the begin", args, in)
		}
	}
	if out := must("deliveries", "blue"); out != "" {
		t.Error(out)
	}
	must("rm", "red")
	for _, args := range [][]string{
		{"rm", "red"}, {"test", "red"}, {"subscribe", "red", "--rotate", "--subject", ">", "--url", r.URL}, {"subscribe", "x", "--url", r.URL}, {"subscribe", "x", "--subject", "a..b", "--url", r.URL},
		{"subscribe", "a.b", "--subject", ">", "--url", r.URL}, {"subscribe", "x", "--subject", ">", "--url", "slack://s3cret"},
	} {
		if out, err := do(args...); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v: %s, %v", args, out, err)
		}
	}
	for _, command := range []string{"rm", "test"} {
		if _, err := do(command, "red"); err == nil || !strings.HasPrefix(err.Error(), "there is no subscription red") {
			t.Errorf("%s of none: %v", command, err)
		}
	}
	must("subscribe", "red", "--subject", ">", "--url", r.URL) // after it was deleted
}

// Without a server, who waits is told at once, and a consumer logs it.
func TestNoServer(t *testing.T) {
	environ := []string{"NATS_URL=nats://" + freeport.Addr(t), "CONSUMER_ADMIN_LISTEN=127.0.0.1:0"}
	for _, args := range [][]string{{"notify", "ls"}, {"redrive", "notify-red"}} {
		var out bytes.Buffer
		err := execute(t.Context(), newRoot(environ), &out, args...)
		if err == nil || !strings.HasPrefix(err.Error(), "cannot reach NATS: ") || !strings.Contains(err.Error(), "set NATS_URL") {
			t.Errorf("%v: %v", args, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var log consumerstest.Log
	ended := make(chan error, 1)
	go func() { ended <- execute(ctx, newRoot(environ), &log, "chat") }()
	bridgetest.Eventually(t, "the log tells", func() bool { return strings.Contains(log.String(), "NATS cannot be reached") })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
