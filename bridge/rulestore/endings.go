package rulestore

import (
	"container/heap"
	"time"
)

// ending is when a version expires.
type ending struct {
	revision uint64
	at       time.Time // by the server's clock
}

// endings are the newest versions that have a TTL, by key, in the order in which to
// look whether they ended: the server tells of the end of most, and not of one that
// had an older version under it.
type endings struct {
	byKey map[string]ending
	queue looks // those of keys that have ended or changed since are skipped
}

func newEndings() *endings { return &endings{byKey: map[string]ending{}} }

// set notes when the newest version of a key ends.
func (e *endings) set(key string, end ending) {
	e.byKey[key] = end
	e.push(look{at: end.at, key: key, revision: end.revision})
}

func (e *endings) remove(key string) { delete(e.byKey, key) }

// push queues a look, and bounds the queue: a key that is written again and again
// leaves a look behind each time.
func (e *endings) push(l look) {
	const slack = 64
	if len(e.queue) < slack+2*len(e.byKey) {
		heap.Push(&e.queue, l)
		return
	}
	kept := e.queue[:0]
	for _, old := range append(e.queue, l) {
		if e.valid(old) {
			kept = append(kept, old)
		}
	}
	clear(e.queue[len(kept):])
	e.queue = kept
	heap.Init(&e.queue)
}

func (e *endings) valid(l look) bool {
	end, ok := e.byKey[l.key]
	return ok && end.revision == l.revision
}

// first returns the next look, and false when there is none.
func (e *endings) first() (look, bool) {
	for len(e.queue) > 0 {
		if e.valid(e.queue[0]) {
			return e.queue[0], true
		}
		heap.Pop(&e.queue)
	}
	return look{}, false
}

// again puts the first look off.
func (e *endings) again(at time.Time) {
	e.queue[0].at = at
	heap.Fix(&e.queue, 0)
}

// look is when to look at a version.
type look struct {
	at       time.Time
	key      string
	revision uint64
}

// looks are a heap of them, the earliest first.
type looks []look

func (q looks) Len() int           { return len(q) }
func (q looks) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q looks) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *looks) Push(x any)        { *q = append(*q, x.(look)) }
func (q *looks) Pop() any {
	last := len(*q) - 1
	l := (*q)[last]
	(*q)[last] = look{}
	*q = (*q)[:last]
	return l
}
