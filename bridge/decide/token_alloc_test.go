//go:build !race

package decide

import (
	"errors"
	"testing"
)

// HMAC always, and JWT from their second sight on. The race detector makes
// sync.Pool forget on purpose, so this is not for it.
func TestTokensDoNotAllocate(t *testing.T) {
	for _, s := range tokenScenarios(t) {
		t.Run(s.name, func(t *testing.T) {
			var err error
			if n := testing.AllocsPerRun(500, func() { err = s.token.Check(&s.in, noon) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
			if !errors.Is(err, s.want) {
				t.Errorf("got %v, want %v", err, s.want)
			}
		})
	}
}
