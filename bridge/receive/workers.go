package receive

import "sync"

// maxIdleWorkers is how many goroutines may wait for a connection.
const maxIdleWorkers = 64

// workers run jobs, each in a goroutine, which then waits for another one: senders make a
// connection for each call, and a goroutine that is new has to grow its stack first, which
// costs more than the call's event.
type workers struct {
	jobs    chan func() // has room for one job of each that waits
	stopped chan struct{}
	all     sync.WaitGroup

	mu   sync.Mutex
	idle int // that wait, and have no job in jobs
}

func newWorkers() *workers {
	return &workers{jobs: make(chan func(), maxIdleWorkers), stopped: make(chan struct{})}
}

// run has job done. It does not block, and is not called after stop.
func (w *workers) run(job func()) {
	w.mu.Lock()
	waiting := w.idle > 0
	if waiting {
		w.idle--
		w.jobs <- job
	}
	w.mu.Unlock()
	if !waiting {
		w.all.Go(func() { w.work(job) })
	}
}

func (w *workers) work(job func()) {
	for job != nil {
		job()
		job = w.next()
	}
}

// next waits for a job. There is none when enough others wait, or after stop.
func (w *workers) next() func() {
	w.mu.Lock()
	enough := w.idle == maxIdleWorkers
	if !enough {
		w.idle++
	}
	w.mu.Unlock()
	if enough {
		return nil
	}
	select {
	case job := <-w.jobs:
		return job
	case <-w.stopped:
	}
	select {
	case job := <-w.jobs: // it came before
		return job
	default:
		return nil
	}
}

// stop sends those home that wait, and the others when their jobs are done; wait returns
// when all have gone.
func (w *workers) stop() { close(w.stopped) }
func (w *workers) wait() { w.all.Wait() }
