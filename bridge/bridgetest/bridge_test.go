package bridgetest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Many callers at once while rules are pushed and NATS restarts: every event
// whose answer came is in the stream once, in order for each caller.
func TestBridgeUnderChange(t *testing.T) {
	const callers, each = 8, 200
	server := bridgetest.StartNATS(t)
	b := bridgetest.StartBridge(t, server, "BRIDGE_DEFAULT_PLAY=allow")
	kv, err := server.JetStream().KeyValue(t.Context(), subjects.BucketRules)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := range each {
				if code := b.Post(fmt.Sprintf("caller=%d&i=%d&call=play&name=x&addr=192.0.2.1&app=live", caller, i)); code != http.StatusOK {
					t.Errorf("status %d", code)
				}
			}
		})
	}
	for i := range 20 {
		if _, err := kv.PutString(t.Context(), fmt.Sprintf("doc.%d", i), `{"rules":[{"id":"r","effect":"deny","name":["other"]}]}`); err != nil {
			t.Fatal(err)
		}
	}
	server.Stop()
	server.Start()
	wg.Wait()

	bridgetest.Eventually(t, "the spool is empty", func() bool {
		_, text := b.Admin("/metrics")
		return strings.Contains(text, "\nbridge_spool_events 0\n")
	})
	var next [callers]int
	for _, msg := range server.Messages(subjects.StreamEvents, callers*each) {
		caller, i := callerOf(t, msg)
		if i != next[caller] {
			t.Fatalf("caller %d: event %d, want %d", caller, i, next[caller])
		}
		next[caller]++
	}
}

func callerOf(t *testing.T, msg jetstream.Msg) (caller, i int) {
	t.Helper()
	event, err := subjects.DecodeEvent(msg.Data())
	if err != nil {
		t.Fatal(err)
	}
	c, _ := event.Custom.Get("caller")
	n, _ := event.Custom.Get("i")
	if _, err := fmt.Sscanf(c+" "+n, "%d %d", &caller, &i); err != nil {
		t.Fatalf("%v: %s", err, msg.Data())
	}
	return caller, i
}

// The metrics keep Prometheus' conventions, and no text of a sender's gets into one.
func TestMetrics(t *testing.T) {
	b := bridgetest.StartBridge(t, bridgetest.StartNATS(t))
	const secretive = "hostile_name"
	b.Post("call=publish&name=" + secretive + "&app=" + secretive)
	b.Post("call=" + secretive)
	b.Post(secretive)
	_, text := b.Admin("/metrics")
	if strings.Contains(text, secretive) {
		t.Error("a sender's text is in the metrics")
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "bridge_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	for _, want := range []string{
		`bridge_requests_total{call="publish",outcome="denied"} 1`,
		`bridge_requests_total{call="unknown",outcome="unknown"} 1`,
		`bridge_requests_total{call="unknown",outcome="invalid"} 1`,
		"bridge_answer_duration_seconds_count 3",
		`bridge_nats_connected{connection="publish"} 1`,
		"bridge_events_lost_total 0",
		`bridge_fallback_decisions_total{call="publish"} 1`,
		`bridge_fallback_decisions_total{call="play"} 0`,
		"bridge_ready 1",
		`bridge_check_troubled{check="nats"} 0`,
		"bridge_spool_max_bytes 1.073741824e+09",
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

func TestStatus(t *testing.T) {
	b := bridgetest.StartBridge(t, bridgetest.StartNATS(t))
	code, text := b.Admin("/status")
	for _, want := range []string{`"bridge": "test"`, `"ready": true`, `"publishing": "CONNECTED"`, `"revision": 0`, `"lost_events": 0`} {
		if !strings.Contains(text, want) {
			t.Errorf("/status (%d) lacks %s:\n%s", code, want, text)
		}
	}
	if code, text := b.Admin("/debug/pprof/goroutine?debug=1"); code != http.StatusOK || !strings.Contains(text, "goroutine profile") {
		t.Errorf("profiles: %d %.100s", code, text)
	}
}

// The spool syncs as its variables say: before each answer, each interval, or not at all.
func TestSpoolSync(t *testing.T) {
	server := bridgetest.StartNATS(t)
	for _, c := range []struct {
		env  []string
		want func(syncs, posts uint64, took time.Duration) bool
	}{
		{[]string{"BRIDGE_SPOOL_SYNC=always"}, func(syncs, posts uint64, _ time.Duration) bool { return syncs >= posts }},
		// The janitor syncs what it finds every second, too.
		{[]string{"BRIDGE_SPOOL_SYNC=interval", "BRIDGE_SPOOL_SYNC_INTERVAL=1h"}, func(syncs, _ uint64, took time.Duration) bool {
			return syncs <= 2+uint64(took/time.Second)
		}},
		{[]string{"BRIDGE_SPOOL_SYNC=off"}, func(syncs, _ uint64, _ time.Duration) bool { return syncs == 0 }},
	} {
		t.Run(strings.Join(c.env, " "), func(t *testing.T) {
			b := bridgetest.StartBridge(t, server, c.env...)
			began, before := time.Now(), fsyncs(t, b)
			for posts := uint64(1); time.Since(began) < 500*time.Millisecond || posts <= 5; posts++ {
				b.Post("call=done&name=x&addr=192.0.2.1")
				if syncs := fsyncs(t, b) - before; !c.want(syncs, posts, time.Since(began)) {
					t.Fatalf("%d syncs after %d events in %s", syncs, posts, time.Since(began))
				}
			}
		})
	}
}

// fsyncs is how often the spool of b forced events to the disk, as /status tells.
func fsyncs(t *testing.T, b *bridgetest.Bridge) uint64 {
	t.Helper()
	_, text := b.Admin("/status")
	var status struct {
		Spool struct{ Fsync struct{ Count uint64 } }
	}
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		t.Fatal(err)
	}
	return status.Spool.Fsync.Count
}

// A rule that was pushed with a TTL ends by itself, and a deleted one at once.
func TestRulesEndWithTheirKeys(t *testing.T) {
	server := bridgetest.StartNATS(t)
	b := bridgetest.StartBridge(t, server)
	kv, err := server.JetStream().KeyValue(t.Context(), subjects.BucketRules)
	if err != nil {
		t.Fatal(err)
	}
	answers := func(name string, want int) func() bool {
		return func() bool { return b.Post("call=play&name="+name+"&addr=192.0.2.1") == want }
	}
	create := func(name string, opts ...jetstream.KVCreateOpt) error {
		_, err := kv.Create(t.Context(), name, fmt.Appendf(nil, `{"rules":[{"id":"r","effect":"allow","name":["%s"]}]}`, name), opts...)
		return err
	}
	if err := create("deleted"); err != nil {
		t.Fatal(err)
	}
	bridgetest.Eventually(t, "both rules hold", func() bool {
		// It may have ended already, unseen, on a machine that stood still.
		if err := create("expiring", jetstream.KeyTTL(4*time.Second)); err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
			t.Fatal(err)
		}
		return answers("expiring", http.StatusOK)() && answers("deleted", http.StatusOK)()
	})
	if err := kv.Delete(t.Context(), "deleted"); err != nil {
		t.Fatal(err)
	}
	bridgetest.Eventually(t, "the deleted rule is gone", answers("deleted", http.StatusForbidden))
	bridgetest.Eventually(t, "the expiring rule is gone", answers("expiring", http.StatusForbidden))
}

// A bucket that is deleted while rules are in force does not end them: the bridge
// reports it and makes no empty one, and neither does a new bridge that knows no rules.
func TestDeletedBucketEndsNoRules(t *testing.T) {
	server := bridgetest.StartNATS(t)
	b := bridgetest.StartBridge(t, server)
	js := server.JetStream()
	rules, bridges := buckets(t, server)
	if _, err := rules.PutString(t.Context(), "acme", `{"rules":[{"id":"r","effect":"allow"}]}`); err != nil {
		t.Fatal(err)
	}
	play := func() int { return b.Post("call=play&name=x&addr=192.0.2.1") }
	bridgetest.Eventually(t, "the rule holds", func() bool { return play() == http.StatusOK })
	bridgetest.Eventually(t, "the bridge shows with its rule", func() bool { return shown(t, bridges, "test").Rules.Documents == 1 })
	if err := js.DeleteKeyValue(t.Context(), subjects.BucketRules); err != nil {
		t.Fatal(err)
	}
	server.Stop() // the bridge looks at everything when NATS is there again
	server.Start()
	bridgetest.Eventually(t, "the missing bucket is reported", func() bool {
		_, text := b.Admin("/readyz?verbose")
		return strings.Contains(text, "[~] streams degraded: missing: KV bucket rules; bridgectl setup --check")
	})
	if code := play(); code != http.StatusOK {
		t.Errorf("status %d: the rules went with the bucket", code)
	}
	other := bridgetest.OpenBridge(t, server, "BRIDGE_NAME=other")
	bridgetest.Eventually(t, "the new bridge reports it too", func() bool {
		_, text := other.Admin("/readyz?verbose")
		return strings.Contains(text, "[~] streams degraded: missing: KV bucket rules")
	})
	if code := play(); code != http.StatusOK {
		t.Errorf("status %d: another bridge ended the rules", code)
	}
}

// Events that cannot reach the stream although NATS is there are no secret.
func TestWaitingEventsShow(t *testing.T) {
	server := bridgetest.StartNATS(t)
	b := bridgetest.StartBridge(t, server)
	if err := server.JetStream().DeleteStream(t.Context(), subjects.StreamEvents); err != nil {
		t.Fatal(err)
	}
	b.Post("call=done&name=x")
	bridgetest.Eventually(t, "the waiting event shows", func() bool {
		code, text := b.Admin("/readyz?verbose")
		return code == http.StatusOK && strings.Contains(text, "[~] forward degraded: 1 events wait for ")
	})
	server.Stop() // with NATS there again the bridge makes the stream anew
	server.Start()
	bridgetest.Eventually(t, "all is well again", func() bool {
		_, text := b.Admin("/readyz?verbose")
		return strings.Contains(text, "[+] forward ok")
	})
	server.Messages(subjects.StreamEvents, 1)
}

// Dead letters wait for an operator, and that shows. When their file is full, the
// event counts as lost and the rest goes on.
func TestDeadLettersShow(t *testing.T) {
	dir, server := t.TempDir(), bridgetest.StartNATS(t)
	b := bridgetest.StartBridge(t, server, "BRIDGE_DATA_DIR="+dir, "BRIDGE_MAX_BODY=256KiB")
	tooLarge := "x=" + strings.Repeat("\x01", 200<<10) + "&call=done&name=x&addr=192.0.2.1"
	b.Post(tooLarge)
	bridgetest.Eventually(t, "the dead letter shows", func() bool {
		code, text := b.Admin("/readyz?verbose")
		return code == http.StatusOK && strings.Contains(text, "[~] forward degraded: ") && strings.Contains(text, "bytes of dead letters: see bridgectl spool redrive")
	})
	path := filepath.Join(dir, "dead-letters.jsonl")
	if err := os.Truncate(path, 256<<20); err != nil { // a sparse file
		t.Fatal(err)
	}
	b.Post(tooLarge)
	b.Post("call=done&name=x&addr=192.0.2.1")
	server.Messages(subjects.StreamEvents, 1)
	bridgetest.Eventually(t, "the loss shows", func() bool {
		_, text := b.Admin("/readyz?verbose")
		return strings.Contains(text, "1 more events were lost because their file took no more")
	})
	if _, text := b.Admin("/metrics"); !strings.Contains(text, "\nbridge_events_lost_total 1\n") || !strings.Contains(text, "\nbridge_forward_dead_letters_bytes 2.68435456e+08\n") {
		t.Error("the metrics do not tell")
	}
	if _, text := b.Admin("/status"); !strings.Contains(text, `"lost_events": 1`) {
		t.Error("the status does not tell")
	}
	if err := os.Remove(path); err != nil { // a redrive moves it away
		t.Fatal(err)
	}
	if _, text := b.Admin("/readyz?verbose"); !strings.Contains(text, "[+] forward ok") {
		t.Error(text)
	}
	if err := os.Mkdir(path, 0o700); err != nil { // it cannot be written
		t.Fatal(err)
	}
	b.Post(tooLarge)
	bridgetest.Eventually(t, "the failure shows", func() bool {
		_, text := b.Admin("/readyz?verbose")
		return strings.Contains(text, "[~] forward degraded: ") && strings.Contains(text, "dead letters cannot be kept")
	})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// A spool that is full of what waits is not ready, and ready again when NATS has
// taken it, although no request comes to show that. One that is full of what is acked
// is always ready.
func TestReadinessOfAFullSpool(t *testing.T) {
	server := bridgetest.StartNATS(t)
	b := bridgetest.StartBridge(t, server, "BRIDGE_SPOOL_MAX_BYTES=1MiB", "BRIDGE_SPOOL_FULL=reject")
	body := "x=" + strings.Repeat("x", 8<<10) + "&call=done&name=x&addr=192.0.2.1"
	ready := func() bool {
		code, _ := b.Admin("/readyz")
		return code == http.StatusOK
	}
	server.Stop()
	sent := 0
	for b.Post(body) == http.StatusOK {
		if sent++; sent > 1000 {
			t.Fatal("the spool is never full")
		}
	}
	if ready() {
		t.Error("ready with a full spool")
	}
	server.Start()
	bridgetest.Eventually(t, "ready again without a request", ready)
	for range 300 { // more than the spool holds
		bridgetest.Eventually(t, "the spool is empty", func() bool {
			_, text := b.Admin("/metrics")
			return strings.Contains(text, "\nbridge_spool_events 0\n")
		})
		if code := b.Post(body); code != http.StatusOK {
			t.Fatalf("status %d", code)
		}
		if !ready() {
			_, text := b.Admin("/readyz?verbose")
			t.Fatalf("not ready with nothing waiting\n%s", text)
		}
	}
}
