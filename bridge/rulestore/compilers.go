package rulestore

import (
	"runtime"
	"sync"
)

const (
	batchSize = 256
	// batchesEach bounds, for each compiler, the batches that wait or whose
	// verdicts do. Beyond, add waits for the oldest.
	batchesEach = 8
)

// compilers judge many versions on all processors, and give the verdicts back in
// the order the versions came in: to apply, on the goroutine that adds.
type compilers struct {
	known *documents // not changed meanwhile
	apply func(verdict)

	jobs    chan *batch
	next    *batch
	pending []*batch // in order
	free    *batch   // to be used again
	workers sync.WaitGroup
}

type batch struct {
	versions []version
	verdicts []verdict
	done     chan struct{} // gets one when the verdicts are there
}

// startCompilers starts them. Whoever starts them stops them.
func startCompilers(known *documents, apply func(verdict)) *compilers {
	n := runtime.GOMAXPROCS(0)
	c := &compilers{known: known, apply: apply, jobs: make(chan *batch, n*batchesEach)}
	for range n {
		c.workers.Go(c.work)
	}
	return c
}

func (c *compilers) work() {
	for b := range c.jobs {
		for _, v := range b.versions {
			b.verdicts = append(b.verdicts, judge(v, c.known))
		}
		b.done <- struct{}{}
	}
}

func (c *compilers) add(v version) {
	if c.next == nil {
		c.next, c.free = c.free, nil
	}
	if c.next == nil {
		c.next = &batch{versions: make([]version, 0, batchSize), verdicts: make([]verdict, 0, batchSize), done: make(chan struct{}, 1)}
	}
	c.next.versions = append(c.next.versions, v)
	if len(c.next.versions) == batchSize {
		c.hand()
	}
}

// hand gives the next batch to the compilers.
func (c *compilers) hand() {
	if len(c.pending) == cap(c.jobs) {
		c.take()
	}
	c.jobs <- c.next // has room: no more than pending are in it
	c.pending = append(c.pending, c.next)
	c.next = nil
}

// take applies the oldest batch.
func (c *compilers) take() {
	b := c.pending[0]
	c.pending = c.pending[1:]
	<-b.done
	for _, v := range b.verdicts {
		c.apply(v)
	}
	b.versions, b.verdicts = b.versions[:0], b.verdicts[:0]
	c.free = b
}

// finish applies everything that was added.
func (c *compilers) finish() {
	if c.next != nil {
		c.hand()
	}
	for len(c.pending) > 0 {
		c.take()
	}
}

// stop ends the compilers. What was not applied is dropped.
func (c *compilers) stop() {
	close(c.jobs)
	c.workers.Wait()
}
