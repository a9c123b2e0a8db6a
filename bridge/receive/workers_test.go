package receive

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestWorkersAreUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers()
		var done atomic.Int32
		for range 3 * maxIdleWorkers {
			w.run(func() { done.Add(1) })
			synctest.Wait()
		}
		if w.idle != 1 || done.Load() != 3*maxIdleWorkers {
			t.Errorf("%d wait after one job at a time, %d done", w.idle, done.Load())
		}
		block := make(chan struct{})
		for range 3 * maxIdleWorkers {
			w.run(func() { <-block })
		}
		synctest.Wait()
		if w.idle != 0 {
			t.Errorf("%d wait while all are busy", w.idle)
		}
		close(block)
		synctest.Wait()
		if w.idle != maxIdleWorkers {
			t.Errorf("%d wait after many jobs at once", w.idle)
		}
		w.stop()
		w.wait()
	})
}

// A job that came before stop is done, whoever waits meanwhile.
func TestWorkersLeaveNoJob(t *testing.T) {
	for range 200 {
		w := newWorkers()
		var given, done atomic.Int32
		var givers sync.WaitGroup
		for range 8 {
			givers.Go(func() {
				for range 20 {
					given.Add(1)
					w.run(func() { done.Add(1) })
				}
			})
		}
		givers.Wait()
		w.stop()
		w.wait()
		if given.Load() != done.Load() {
			t.Fatalf("%d of %d jobs done", done.Load(), given.Load())
		}
	}
}
