package admin

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func publish(f *Feed, n int, event string) {
	for range n {
		if f.Wants() {
			f.Offer(Shown{Outcome: "happened", Seq: 7}, []byte(event))
		}
	}
}

// settled lets the pump work and waits for it.
func settled() {
	time.Sleep(feedTick)
	synctest.Wait()
}

func watching(t *testing.T, f *Feed) *viewer {
	t.Helper()
	v, err := f.watch()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Each tick shows at most the budget, and every event is shown or counted.
func TestFeedSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFeed()
		publish(f, 100, `{}`)
		v := watching(t, f)
		defer f.leave(v)
		for _, n := range []int{1, feedBudget, 2000, 3} {
			publish(f, n, `{"n":1}`)
			settled()
			b := <-v.batches
			if b.count != min(n, feedBudget) || b.count+int(b.leftOut) != n {
				t.Errorf("%d events: %d shown, %d left out", n, b.count, b.leftOut)
			}
			var events []struct {
				Outcome string
				Seq     uint64
				Event   map[string]int
			}
			if err := json.Unmarshal([]byte("["+string(b.events)+"]"), &events); err != nil || len(events) != b.count {
				t.Fatalf("%v: %s", err, b.events)
			}
			if e := events[0]; e.Outcome != "happened" || e.Seq != 7 || e.Event["n"] != 1 {
				t.Errorf("event %+v", e)
			}
		}
		settled()
		if len(v.batches) != 0 {
			t.Error("a batch with nothing in it")
		}
	})
}

// A viewer that does not read misses batches, is told how many events, and holds up nobody.
func TestFeedOfASlowViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFeed()
		slow, quick := watching(t, f), watching(t, f)
		defer f.leave(slow)
		defer f.leave(quick)
		const ticks = feedBehind + 5
		shown := 0
		for range ticks {
			publish(f, feedBudget+1, `{}`)
			settled()
			b := <-quick.batches
			shown += b.count + int(b.leftOut)
		}
		if want := ticks * (feedBudget + 1); shown != want {
			t.Errorf("the quick viewer was told of %d events, want %d", shown, want)
		}
		shown = 0
		for range feedBehind {
			b := <-slow.batches
			shown += b.count + int(b.leftOut)
		}
		publish(f, 1, `{}`)
		settled()
		b := <-slow.batches
		shown += b.count + int(b.leftOut)
		if want := ticks*(feedBudget+1) + 1; shown != want {
			t.Errorf("the slow viewer was told of %d events, want %d", shown, want)
		}
	})
}

func TestFeedLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFeed()
		var all []*viewer
		for range feedViewers {
			all = append(all, watching(t, f))
		}
		if _, err := f.watch(); err == nil {
			t.Error("one viewer too many")
		}
		f.Offer(Shown{}, make([]byte, MaxShown+1))
		for range feedSlots + 3 { // more than have a place, without asking for one
			f.Offer(Shown{}, []byte(`{}`))
		}
		settled()
		if b := <-all[0].batches; b.count != feedSlots || b.leftOut != 4 {
			t.Errorf("%d shown, %d left out", b.count, b.leftOut)
		}
		for _, v := range all {
			f.leave(v)
		}
		if f.Wants() {
			t.Error("wants events with nobody watching")
		}
		f.Offer(Shown{}, []byte(`{"old":1}`)) // of a request that asked before the last one left
		v := watching(t, f)
		defer f.leave(v)
		publish(f, 1, `{"new":1}`)
		settled()
		if b := <-v.batches; strings.Contains(string(b.events), "old") || b.count != 1 {
			t.Errorf("an old event: %s", b.events)
		}
	})
}

// A viewer who comes while a request, or the pump of the one before, has a slot in hand makes no other in its
// place: it would find no room when it comes back, and its holder wait.
func TestFeedKeepsItsSlots(t *testing.T) {
	f := NewFeed()
	f.leave(watching(t, f))
	held := <-f.free
	v := watching(t, f)
	defer f.leave(v)
	select {
	case f.free <- held:
	default:
		t.Error("there are more slots than have room")
	}
}

func TestFeedDoesNotAllocateForRequests(t *testing.T) {
	f := NewFeed()
	v := watching(t, f)
	defer f.leave(v)
	event := []byte(`{"id":"","name":"` + strings.Repeat("x", 1000) + `"}`)
	f.budget.Store(feedSlots)
	if allocs := testing.AllocsPerRun(feedSlots-1, func() {
		if f.Wants() {
			f.Offer(Shown{Outcome: "denied"}, event)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

// Requests, viewers and the pump at the same time, for the race detector; the sums agree.
func TestFeedFromManyGoroutines(t *testing.T) {
	f := NewFeed()
	v := watching(t, f)
	const goroutines, each = 4, 3000
	var requests, others sync.WaitGroup
	for range goroutines {
		requests.Go(func() { publish(f, each, `{}`) })
	}
	others.Go(func() {
		for range 20 {
			if other, err := f.watch(); err == nil {
				f.leave(other)
			}
		}
	})
	requests.Wait()
	others.Wait()
	for sum := uint64(0); sum < goroutines*each; {
		select {
		case b := <-v.batches:
			sum += uint64(b.count) + b.leftOut
		case <-time.After(patience):
			t.Fatalf("told of %d events", sum)
		}
	}
	f.leave(v)
}
