package consumers_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects"
)

// effects are what a handler has done, by stream name: sequences, in the order they were done.
type effects struct {
	mu   sync.Mutex
	done map[string][]uint64
}

func (e *effects) add(batch ...*consumers.Message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.done == nil {
		e.done = map[string][]uint64{}
	}
	for _, m := range batch {
		e.done[m.Name()] = append(e.done[m.Name()], m.Sequence)
	}
}

func (e *effects) count() (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, list := range e.done {
		n += len(list)
	}
	return n
}

// expect wants n effects, those of each name in the order of the stream and once.
func (e *effects) expect(t *testing.T, n int) {
	t.Helper()
	if got := e.count(); got != n {
		t.Errorf("%d were done, want %d", got, n)
	}
	for _, name := range slices.Sorted(maps.Keys(e.done)) {
		if list := e.done[name]; !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
			t.Errorf("%s: done in the order %v", name, list)
		}
	}
}

// isPoison picks messages that never succeed.
func isPoison(m *consumers.Message) bool { return m.Sequence%13 == 0 }

// failing runs a consumer whose every third try fails, alone or in batches.
func failing(kit *consumerstest.Kit, batches bool, opts consumers.Options, done *effects) (stop func()) {
	try := func(_ context.Context, batch []*consumers.Message) error {
		if rand.N(3) == 0 { //nolint:gosec // no secret
			return consumers.RetryIn(errors.New("not now"), rand.N(10*time.Millisecond)) //nolint:gosec // no secret
		}
		if slices.ContainsFunc(batch, isPoison) {
			return consumers.Permanent(errors.New("never"))
		}
		done.add(batch...)
		return nil
	}
	if batches {
		opts.Batch, opts.BatchWait = 7, time.Millisecond
		return kit.RunBatch(opts, try)
	}
	return kit.Run(opts, func(ctx context.Context, m *consumers.Message) error { return try(ctx, []*consumers.Message{m}) })
}

func publishTo(kit *consumerstest.Kit, names, each int) {
	for range each {
		for n := range names {
			kit.Publish(consumerstest.Event("update_publish", fmt.Sprint("n", n)))
		}
	}
}

// Whatever fails meanwhile, the messages of a name are done in the order of the stream.
func TestOrderOverFailures(t *testing.T) {
	for _, batches := range []bool{false, true} {
		t.Run(fmt.Sprint("batches ", batches), func(t *testing.T) {
			kit := consumerstest.Start(t)
			publishTo(kit, 20, 15)
			var done effects
			failing(kit, batches, consumers.Options{Name: "audit", Workers: 8}, &done)
			kit.WaitAcked(subjects.StreamEvents, "audit", 20*15)
			done.expect(t, 20*15-20*15/13)
		})
	}
}

// A consumer that ends and begins again goes on in the order of the stream, and does nothing twice.
func TestOrderOverDrains(t *testing.T) {
	const names, each, drains = 5, 80, 4
	for _, batches := range []bool{false, true} {
		t.Run(fmt.Sprint("batches ", batches), func(t *testing.T) {
			kit := consumerstest.Start(t)
			publishTo(kit, names, each)
			var done effects
			opts := consumers.Options{Name: "audit", Workers: 3, AckWait: time.Hour} // what is not given back comes too late
			for i := range drains {
				stop := failing(kit, batches, opts, &done)
				bridgetest.Eventually(t, "it works", func() bool { return done.count() > i*names*each/(drains+1) })
				stop()
			}
			failing(kit, batches, opts, &done)
			kit.WaitAcked(subjects.StreamEvents, "audit", names*each)
			done.expect(t, names*each-names*each/13)
		})
	}
}

// One that fails holds up no other name.
func TestFailureHoldsUpItsNameAlone(t *testing.T) {
	kit := consumerstest.Start(t)
	publishTo(kit, 3, 5)
	var done effects
	healed := make(chan struct{})
	kit.Run(consumers.Options{Name: "audit", Workers: 1}, func(_ context.Context, m *consumers.Message) error {
		select {
		case <-healed:
		default:
			if m.Name() == "n0" {
				return consumers.RetryIn(errors.New("not now"), time.Millisecond)
			}
		}
		done.add(m)
		return nil
	})
	bridgetest.Eventually(t, "the others are done", func() bool { return done.count() == 2*5 })
	close(healed)
	kit.WaitAcked(subjects.StreamEvents, "audit", 3*5)
	done.expect(t, 3*5)
}

// Where no order is asked for, what is tried again is passed by.
func TestUnordered(t *testing.T) {
	kit := consumerstest.Start(t)
	sent := ids(kit.Publish(consumerstest.Event("publish", "lobby"), consumerstest.Event("publish_done", "lobby")))
	var j journal
	kit.Run(consumers.Options{Name: "audit", Unordered: true}, func(ctx context.Context, m *consumers.Message) error {
		if m.Sequence == 1 && len(j.all()) == 0 {
			return consumers.RetryIn(errors.New("not now"), 10*time.Millisecond)
		}
		return j.handle(ctx, m)
	})
	kit.WaitAcked(subjects.StreamEvents, "audit", 2)
	if got := j.all(); !slices.Equal(got, []string{sent[1], sent[0]}) || j.got[1].Delivered < 2 {
		t.Errorf("handled %v of %v", got, sent)
	}
}
