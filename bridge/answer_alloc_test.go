//go:build !race

package bridge

import (
	"bytes"
	"math"
	"runtime"
	"testing"

	"bintubridge/bridge/admin"
	"bintubridge/bridge/receive"
)

// The request path after the HTTP server: parse, decide, redact, encode, append.
// The race detector makes sync.Pool forget on purpose, so this is not for it.
func TestHandleDoesNotAllocate(t *testing.T) {
	a := realAnswerer(t)
	for _, body := range benchBodies() {
		if n := testing.AllocsPerRun(500, func() { a.Handle(body, receive.Trace{}) }); n != 0 {
			t.Errorf("%v allocations for %q", n, body)
		}
		if n := testing.AllocsPerRun(500, func() { a.Handle(body, traced) }); n != 0 {
			t.Errorf("%v allocations for %q in a trace", n, body)
		}
	}
}

// Somebody who watches the events costs the requests no memory, also one whose event is
// cut for the page.
func TestHandleDoesNotAllocateWhileWatched(t *testing.T) {
	a := realAnswerer(t)
	shown, stop := watch(t, a)
	defer stop()
	large := append(bytes.Repeat([]byte("x"), 2*admin.MaxShown), "=1&call=publish&name=n&addr=192.0.2.1"...)
	for _, body := range append(benchBodies(), large) {
		least := math.Inf(1)
		for try := 0; try < 5 && least > 0; try++ { // the viewer allocates too, now and then
			for a.feed.Wants() { // to the end of what this tick shows
			}
			for !a.feed.Wants() { // the next tick: each of the few requests is shown
			}
			before := shown()
			least = min(least, testing.AllocsPerRun(10, func() { a.Handle(body, receive.Trace{}) }))
			for shown() < before+11 {
				runtime.Gosched()
			}
		}
		if least != 0 {
			t.Errorf("%v allocations for %.200q", least, body)
		}
	}
}
