package consumers_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects"
)

// A consumer can go on with the trace that a webhook came in, and so can one that gets its
// dead letter again. The spool keeps it while NATS is down.
func TestTraceFromRequestToConsumer(t *testing.T) {
	kit := consumerstest.Start(t)
	b := bridgetest.StartBridge(t, kit.NATS)
	const parent, state = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
	kit.Stop()
	for _, headers := range []map[string]string{
		{"traceparent": parent, "tracestate": state},
		{},
		{"traceparent": "00-malformed", "tracestate": state},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+b.HookAddr()+"/hook",
			strings.NewReader("traceparent="+parent+"&call=publish_done&name=lobby&addr=192.0.2.1"))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range headers {
			req.Header.Set(name, value)
		}
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("status %d, %v", resp.StatusCode, err)
		}
	}
	kit.Start()

	var j journal
	refuse := func(ctx context.Context, m *consumers.Message) error {
		if err := j.handle(ctx, m); err != nil {
			return err
		}
		if m.Header.Get(subjects.HeaderRedrive) == "" && m.Header.Get(subjects.HeaderTraceParent) != "" {
			return consumers.Permanent(errors.New("on its first way"))
		}
		return nil
	}
	kit.Run(consumers.Options{Name: "audit"}, refuse)
	kit.WaitAcked(subjects.StreamEvents, "audit", 3)
	if err := consumers.Redrive(t.Context(), kit.JS, "audit", false, func(consumers.Letter) error { return nil }); err != nil {
		t.Fatal(err)
	}
	kit.WaitAcked(subjects.StreamEvents, "audit", 4)
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, want := range [][2]string{{parent, state}, {}, {}, {parent, state}} {
		h := j.got[i].Header
		if got := [2]string{h.Get(subjects.HeaderTraceParent), h.Get(subjects.HeaderTraceState)}; got != want {
			t.Errorf("message %d: trace %q, want %q", i+1, got, want)
		}
	}
}
