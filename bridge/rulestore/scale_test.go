package rulestore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/bridge/decide"
	"bintubridge/bridge/rulestore"
	"bintubridge/subjects"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// scale is how many documents the tests of this file use: 10,000, or what
// RULESTORE_DOCUMENTS says. One in ten is invalid.
func scale(t testing.TB) int {
	text := os.Getenv("RULESTORE_DOCUMENTS")
	if text == "" {
		return 10_000
	}
	n, err := strconv.Atoi(text)
	check(t, err)
	return n
}

// Documents by the thousand, one in ten invalid, are loaded, pushed to, saved and
// read back: each good one decides, each bad one is refused alone. The log has
// the figures.
func TestScale(t *testing.T) {
	n := scale(t)
	r := startRig(t, jetstream.KeyValueConfig{History: 8, LimitMarkerTTL: time.Second})
	r.fill(n)

	opts := rulestore.Options{SnapshotPath: filepath.Join(t.TempDir(), "rules.snapshot"), CheckEvery: time.Second}
	var log countingLog
	opts.Log = slog.New(&log)
	changed := make(chan struct{}, 1)
	opts.Changed = changed
	heap, began, cpu, server := heapInUse(), time.Now(), processTime(), r.nats.CPU()
	r.follow(opts)
	t.Logf("load: %d documents in %v, processor %v, of the server %v", n, time.Since(began), processTime()-cpu, r.nats.CPU()-server)
	t.Logf("heap: %d bytes a document", (heapInUse()-heap)/uint64(n))
	r.expect(n)

	t.Run("pushes", func(t *testing.T) { r.measurePushes(t, n, changed) })
	if reloads := log.count("loading the bucket again"); reloads != 0 {
		t.Errorf("loaded again %d times", reloads)
	}
	r.expect(n)

	began = time.Now()
	check(t, r.store.Close())
	t.Logf("last snapshot: within %v", time.Since(began))
	opts.Changed = nil
	runtime.GC()
	began, cpu = time.Now(), processTime()
	restored, err := rulestore.Open(opts)
	check(t, err)
	t.Logf("from the snapshot: %v, processor %v", time.Since(began), processTime()-cpu)
	r.store = restored
	if s := restored.Status(); s.Source != rulestore.SourceSnapshot || s.Documents != good(n) {
		t.Errorf("restored %d documents from %s, want %d", s.Documents, s.Source, good(n))
	}
	for i := range n {
		if r.allows(camera(i)) != (i%10 != 0) {
			t.Fatalf("%s: %v", camera(i), r.allows(camera(i)))
		}
	}
	check(t, restored.Close())
}

func camera(i int) string { return fmt.Sprintf("camera-%d", i) }
func good(n int) int      { return n - (n+9)/10 }

func document(i int) []byte {
	if i%10 == 0 {
		return fmt.Appendf(nil, `{"rules":[{"id":"r","effect":"alow","name":["%s"]}]}`, camera(i))
	}
	return []byte(allow(camera(i)))
}

// fill stores n documents.
func (r *rig) fill(n int) {
	r.t.Helper()
	js, err := jetstream.New(r.nats.Conn(), jetstream.WithPublishAsyncMaxPending(4000))
	check(r.t, err)
	for i := range n {
		_, err := js.PublishAsync(fmt.Sprintf("$KV.rules.team.%d", i), document(i))
		check(r.t, err)
	}
	<-js.PublishAsyncComplete()
	stream, err := js.Stream(r.t.Context(), "KV_rules")
	check(r.t, err)
	if msgs := stream.CachedInfo().State.Msgs; msgs != uint64(n) {
		r.t.Fatalf("%d documents stored, want %d", msgs, n)
	}
}

// expect waits for n documents, one in ten of them refused, with their mistakes.
func (r *rig) expect(n int) {
	r.t.Helper()
	r.eventually("all documents", func() bool {
		s := r.store.Status()
		return s.Documents == good(n) && s.InvalidCount == n-good(n)
	})
	for _, d := range r.store.Status().Invalid {
		if !strings.Contains(d.Err, `document "`+d.Key+`", rule "r", field "effect": got "alow", want "allow" or "deny"`) {
			r.t.Errorf("refused: %+v", d)
		}
	}
	for i := range n {
		if r.allows(camera(i)) != (i%10 != 0) {
			r.t.Fatalf("%s: %v", camera(i), r.allows(camera(i)))
		}
	}
}

// measurePushes pushes for some seconds and tells how long after its ack each
// push decides, and how long decisions take meanwhile.
func (r *rig) measurePushes(t *testing.T, n int, changed <-chan struct{}) {
	for _, every := range []time.Duration{time.Millisecond, 100 * time.Microsecond} {
		t.Run(fmt.Sprintf("every %v", every), func(t *testing.T) {
			const lasts = 5 * time.Second
			pushes := int(lasts / every)
			if n <= 10_000 {
				pushes = min(pushes, n)
			}
			acked := r.push(t, n, pushes, every)
			slowest := make(chan []time.Duration)
			stop := make(chan struct{})
			go r.decideUntil(stop, n, slowest)

			seen := make([]time.Time, 0, pushes) // by revision
			first := <-acked
			from := first.revision
			acks := []time.Time{first.at}
			for len(seen) < pushes {
				select {
				case a := <-acked:
					for uint64(len(acks)) <= a.revision-from {
						acks = append(acks, a.at)
					}
				case <-changed:
					now, revision := time.Now(), r.store.Status().Revision
					for from+uint64(len(seen)) <= revision && len(seen) < pushes {
						seen = append(seen, now)
					}
				case <-time.After(bridgetest.Timeout):
					t.Fatalf("%d of %d pushes are seen", len(seen), pushes)
				}
			}
			for len(acks) < pushes {
				a := <-acked
				for uint64(len(acks)) <= a.revision-from {
					acks = append(acks, a.at)
				}
			}
			close(stop)
			lags := make([]time.Duration, pushes)
			for i := range lags {
				lags[i] = max(seen[i].Sub(acks[i]), 0)
			}
			t.Logf("%d pushes in %v; from the ack to decisions: %s", pushes, acks[pushes-1].Sub(acks[0]), spread(lags))
			t.Logf("a decision meanwhile: %s", spread(<-slowest))
		})
	}
}

type ack struct {
	revision uint64
	at       time.Time
}

// push stores a good document again and again, each time another, and gives the
// acks. They come in order of revision.
func (r *rig) push(t *testing.T, n, pushes int, every time.Duration) <-chan ack {
	t.Helper()
	nc := r.nats.Conn()
	inbox := nc.NewInbox()
	acked := make(chan ack, pushes)
	_, err := nc.Subscribe(inbox, func(m *nats.Msg) {
		now := time.Now()
		var a jetstream.PubAck
		if err := json.Unmarshal(m.Data, &a); err != nil || a.Sequence == 0 {
			t.Errorf("push: %s", m.Data)
		}
		acked <- ack{a.Sequence, now}
	})
	check(t, err)
	var pusher sync.WaitGroup
	t.Cleanup(pusher.Wait)
	pusher.Go(func() {
		began := time.Now()
		for i := range pushes {
			if wait := time.Until(began.Add(time.Duration(i) * every)); wait > time.Millisecond/2 {
				time.Sleep(wait)
			}
			key := rand.N(n/10)*10 + 1 + rand.N(9)
			text := fmt.Appendf(nil, `{"rules":[{"id":"push%d","effect":"allow","name":["%s"]}]}`, i, camera(key))
			if err := nc.PublishRequest(fmt.Sprintf("$KV.rules.team.%d", key), inbox, text); err != nil {
				t.Error(err)
			}
		}
	})
	return acked
}

// decideUntil decides now and then, and gives the times it took.
func (r *rig) decideUntil(stop <-chan struct{}, n int, took chan<- []time.Duration) {
	var all []time.Duration
	for {
		select {
		case <-stop:
			took <- all
			return
		case <-time.After(100 * time.Microsecond):
		}
		in := decide.Input{Call: subjects.Publish, Name: camera(rand.N(n))}
		began := time.Now()
		r.store.Decide(&in, began)
		all = append(all, time.Since(began))
	}
}

func spread(d []time.Duration) string {
	slices.Sort(d)
	at := func(share float64) time.Duration { return d[int(share*float64(len(d)-1))] }
	return fmt.Sprintf("median %v, p99 %v, p99.9 %v, max %v", at(0.5), at(0.99), at(0.999), at(1))
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func processTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for nobody's own process
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// countingLog keeps messages.
type countingLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *countingLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *countingLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *countingLog) WithGroup(string) slog.Handler            { return l }

func (l *countingLog) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.WriteString(r.Message + "\n")
	return nil
}

func (l *countingLog) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}
