//go:build !race

package bridge

import "testing"

// The request path after the HTTP server: parse, decide, redact, encode, append.
// The race detector makes sync.Pool forget on purpose, so this is not for it.
func TestHandleDoesNotAllocate(t *testing.T) {
	a := realAnswerer(t)
	for _, body := range benchBodies() {
		if n := testing.AllocsPerRun(500, func() { a.Handle(body) }); n != 0 {
			t.Errorf("%v allocations for %q", n, body)
		}
	}
}
