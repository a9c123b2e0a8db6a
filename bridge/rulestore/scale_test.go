package rulestore_test

import (
	"bytes"
	"context"
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
	"sync/atomic"
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

// scale is how many documents the tests of this file use, of all kinds of rules: 10,000,
// or what RULESTORE_DOCUMENTS says. One in ten is invalid, unless RULESTORE_ALL_VALID is
// set.
func scale(t testing.TB) (n int, allValid bool) {
	n, allValid = 10_000, os.Getenv("RULESTORE_ALL_VALID") != ""
	if text := os.Getenv("RULESTORE_DOCUMENTS"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		check(t, err)
	}
	return n, allValid
}

// Documents by the thousand, one in ten invalid, are loaded, pushed to, saved and
// read back: each good one decides, each bad one is refused alone. The log has
// the figures.
func TestScale(t *testing.T) {
	n, allValid := scale(t)
	r := startRig(t, jetstream.KeyValueConfig{History: 8, LimitMarkerTTL: time.Second})
	r.allValid = allValid
	r.fill(n)
	load := func(what string, opts rulestore.Options) {
		began, cpu, server := time.Now(), processTime(), r.nats.CPU()
		r.follow(opts)
		t.Logf("load of %s: %d documents in %v, processor %v, of the server %v", what, n, time.Since(began), processTime()-cpu, r.nats.CPU()-server)
	}
	load("one version each", rulestore.Options{})
	r.expect(n)
	r.close()
	t.Run("pushes to a bare consumer", func(t *testing.T) { r.bareConsumer(t).measure(t, r, n, 100*time.Microsecond) })

	opts := rulestore.Options{SnapshotPath: filepath.Join(t.TempDir(), "rules.snapshot"), CheckEvery: time.Second}
	var log reloadLog
	opts.Log = slog.New(&log)
	changed := make(chan struct{}, 1)
	opts.Changed = changed
	heap := heapInUse()
	load("several versions of some, with the histories of those that are refused", opts)
	t.Logf("heap: %d bytes a document", (heapInUse()-heap)/uint64(n))
	r.expect(n)

	for _, every := range []time.Duration{time.Millisecond, 100 * time.Microsecond} {
		seer := seer{changed: changed, revision: func() uint64 { return r.store.Status().Revision }}
		t.Run(fmt.Sprintf("pushes every %v", every), func(t *testing.T) {
			stop := r.decideNowAndThen(t, n)
			defer stop()
			seer.measure(t, r, n, every)
		})
	}
	if reloads := log.reloads(); len(reloads) > 0 {
		t.Errorf("loaded again: %q", reloads)
	}
	r.expect(n)

	began := time.Now()
	r.close()
	t.Logf("last snapshot: within %v", time.Since(began))
	opts.Changed = nil
	runtime.GC()
	began, cpu := time.Now(), processTime()
	restored, err := rulestore.Open(opts)
	check(t, err)
	t.Logf("from the snapshot: %v, processor %v", time.Since(began), processTime()-cpu)
	r.store = restored
	if s := restored.Status(); s.Source != rulestore.SourceSnapshot || s.Documents != r.good(n) {
		t.Errorf("restored %d documents from %s, want %d", s.Documents, s.Source, r.good(n))
	}
	r.expectDecisions(n)
	r.close()
}

func (r *rig) isBad(i int) bool { return !r.allValid && i%10 == 0 }

func (r *rig) good(n int) int {
	if r.allValid {
		return n
	}
	return n - (n+9)/10
}

// condition is what the rule of a document asks for. Most name a stream; of a million,
// 10,000 have a prefix, 10,000 a network and 1,000 something else.
func condition(i int) string {
	switch {
	case i%100 == 2:
		return fmt.Sprintf(`"name":["lens-%d-*"]`, i)
	case i%100 == 3:
		return fmt.Sprintf(`"addr":["10.%d.%d.0/24"]`, i/100/256, i/100%256)
	case i%1000 == 1:
		return fmt.Sprintf([]string{
			`"name":["*-%d-hd"]`, `"name":["*cam%d*preview*"]`, `"app":["app-%d"]`,
			`"custom":{"team":["blue-%d"]}`, `"custom":{"key-%d":{"present":true}}`,
		}[i/1000%5], i)
	}
	return fmt.Sprintf(`"name":["camera-%d"]`, i)
}

// request is one that the rule of a document matches, and no other.
func request(i int) decide.Input {
	in := decide.Input{Call: subjects.Publish, Name: fmt.Sprintf("camera-%d", i), App: "live", Addr: "192.0.2.1"}
	switch {
	case i%100 == 2:
		in.Name = fmt.Sprintf("lens-%d-a", i)
	case i%100 == 3:
		in.Addr = fmt.Sprintf("10.%d.%d.7", i/100/256, i/100%256)
	case i%1000 == 1:
		switch i / 1000 % 5 {
		case 0:
			in.Name = fmt.Sprintf("a-%d-hd", i)
		case 1:
			in.Name = fmt.Sprintf("a-cam%d-preview", i)
		case 2:
			in.App = fmt.Sprintf("app-%d", i)
		case 3:
			in.Custom = &subjects.Fields{}
			in.Custom.Add("team", fmt.Sprintf("blue-%d", i))
		case 4:
			in.Custom = &subjects.Fields{}
			in.Custom.Add(fmt.Sprintf("key-%d", i), "")
		}
	}
	return in
}

func (r *rig) document(i int) []byte {
	effect := "allow"
	if r.isBad(i) {
		effect = "alow"
	}
	return fmt.Appendf(nil, `{"rules":[{"id":"r","effect":"%s",%s}]}`, effect, condition(i))
}

// fill stores n documents.
func (r *rig) fill(n int) {
	r.t.Helper()
	js, err := jetstream.New(r.nats.Conn(), jetstream.WithPublishAsyncMaxPending(4000))
	check(r.t, err)
	for i := range n {
		_, err := js.PublishAsync(fmt.Sprintf("$KV.rules.team.%d", i), r.document(i), jetstream.WithStallWait(bridgetest.Timeout))
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
		return s.Documents == r.good(n) && s.InvalidCount == n-r.good(n)
	})
	for _, d := range r.store.Status().Invalid {
		if !strings.Contains(d.Err, `document "`+d.Key+`", rule "r", field "effect": got "alow", want "allow" or "deny"`) {
			r.t.Errorf("refused: %+v", d)
		}
	}
	r.expectDecisions(n)
}

// expectDecisions asks by each document, and wants the good ones to allow.
func (r *rig) expectDecisions(n int) {
	r.t.Helper()
	for i := range n {
		in := request(i)
		d, _, _ := r.store.Decide(&in, time.Now())
		if allowed := d.Effect == decide.Allow; allowed == r.isBad(i) || allowed && !strings.HasPrefix(d.Rule, fmt.Sprintf("team.%d/", i)) {
			r.t.Fatalf("document %d: %+v", i, d)
		}
	}
}

// seer sees pushes: decisions, or what they are compared with.
type seer struct {
	changed  <-chan struct{} // there may be more to see
	revision func() uint64   // that is seen now
}

// bareConsumer sees the messages of the bucket and does nothing with them: what
// the server, the client and the scheduler cost without any rules.
func (r *rig) bareConsumer(t *testing.T) seer {
	t.Helper()
	push, err := r.nats.Conn().JetStream()
	check(t, err)
	var revision atomic.Uint64
	changed := make(chan struct{}, 1)
	sub, err := push.Subscribe("$KV.rules.>", func(m *nats.Msg) {
		meta, err := m.Metadata()
		if err != nil {
			t.Error(err)
			return
		}
		revision.Store(meta.Sequence.Stream)
		select {
		case changed <- struct{}{}:
		default:
		}
	}, nats.OrderedConsumer(), nats.DeliverNew())
	check(t, err)
	t.Cleanup(func() { check(t, sub.Unsubscribe()) })
	return seer{changed: changed, revision: revision.Load}
}

// measure pushes for so long that collections of the garbage collector and
// snapshots fall into it, and tells how long after its ack each push is seen.
func (s seer) measure(t *testing.T, r *rig, n int, every time.Duration) {
	lasts := 15 * time.Second
	if n <= 10_000 {
		lasts = time.Second
	}
	pushes := int(lasts / every)
	deadline := time.NewTimer(lasts + bridgetest.Timeout)
	defer deadline.Stop()
	before, cpu, server := allocated(), processTime(), r.nats.CPU()
	acked := r.push(t, n, pushes, every)
	first := <-acked
	acks, seen := []time.Time{first.at}, make([]time.Time, 0, pushes) // by revision
	for len(seen) < pushes || len(acks) < pushes {
		select {
		case a := <-acked:
			for uint64(len(acks)) <= a.revision-first.revision {
				acks = append(acks, a.at)
			}
		case <-s.changed:
			now, revision := time.Now(), s.revision()
			for first.revision+uint64(len(seen)) <= revision && len(seen) < pushes {
				seen = append(seen, now)
			}
		case <-deadline.C:
			t.Fatalf("%d of %d pushes are acked, %d seen", len(acks), pushes, len(seen))
		}
	}
	cpu, server = processTime()-cpu, r.nats.CPU()-server
	after := allocated()
	lags := make([]time.Duration, pushes)
	for i := range lags {
		lags[i] = max(seen[i].Sub(acks[i]), 0)
	}
	t.Logf("%d pushes in %v; from the ack to being seen: %s", pushes, acks[pushes-1].Sub(acks[0]), spread(lags))
	t.Logf("a push, of pusher and follower: processor %v, %d bytes; of the server: processor %v; %d collections",
		cpu/time.Duration(pushes), (after.TotalAlloc-before.TotalAlloc)/uint64(pushes), server/time.Duration(pushes), after.NumGC-before.NumGC)
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
		acked <- ack{sequence(t, m.Data), now}
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
			key := rand.N(n/10)*10 + 1 + rand.N(9) // none of the invalid ones
			text := fmt.Appendf(nil, `{"rules":[{"id":"push%d","effect":"allow",%s}]}`, i, condition(key))
			if err := nc.PublishRequest(fmt.Sprintf("$KV.rules.team.%d", key), inbox, text); err != nil {
				t.Error(err)
			}
		}
	})
	return acked
}

// sequence reads a message's number from its ack, and allocates nothing for it:
// what the pusher allocates, the follower's collector has to collect.
func sequence(t *testing.T, ack []byte) uint64 {
	_, after, _ := bytes.Cut(ack, []byte(`"seq":`))
	n := uint64(0)
	for _, b := range after {
		if b < '0' || b > '9' {
			break
		}
		n = n*10 + uint64(b-'0')
	}
	if n == 0 {
		t.Errorf("push: %s", ack)
	}
	return n
}

// decideNowAndThen decides until stop is called, and then tells how long it took.
func (r *rig) decideNowAndThen(t *testing.T, n int) (stop func()) {
	quit, done := make(chan struct{}), make(chan []time.Duration)
	go func() {
		var all []time.Duration
		tick := time.NewTicker(100 * time.Microsecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				done <- all
				return
			case <-tick.C:
			}
			in := request(rand.N(n))
			began := time.Now()
			r.store.Decide(&in, began)
			all = append(all, time.Since(began))
		}
	}()
	return func() {
		close(quit)
		t.Logf("a decision meanwhile: %s", spread(<-done))
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

func allocated() (m runtime.MemStats) {
	runtime.ReadMemStats(&m)
	return m
}

func processTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for nobody's own process
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// reloadLog keeps messages.
type reloadLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *reloadLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *reloadLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *reloadLog) WithGroup(string) slog.Handler            { return l }

func (l *reloadLog) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&l.text, " %s=%q", a.Key, a.Value)
		return true
	})
	l.text.WriteString("\n")
	return nil
}

// reloads returns what was logged of loads that were not needed. On a machine that stands
// still the watch may: that is no mistake of the store.
func (l *reloadLog) reloads() (needless []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, "loading the bucket again") && !strings.Contains(line, "the watch stays at revision") {
			needless = append(needless, line)
		}
	}
	return needless
}
