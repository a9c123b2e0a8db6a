//go:build linux

package bench

import (
	"slices"
	"testing"
	"time"
)

// itinerary is the steps that a bench has told of.
type itinerary []Step

// follow makes o tell its steps to the itinerary, and to the log.
func follow(t *testing.T, o *Options) *itinerary {
	var list itinerary
	o.Progress = func(s Step) {
		t.Logf("%+v", s)
		list = append(list, s)
	}
	return &list
}

// check expects so many steps, each announced by the one before it, and nothing behind the last.
func (i itinerary) check(t *testing.T, want int) {
	t.Helper()
	if len(i) != want {
		t.Errorf("%d steps, want %d", len(i), want)
	}
	var behind time.Duration
	for _, s := range slices.Backward(i) {
		if s.Then != behind {
			t.Errorf("%s: %s behind it, want %s", s.Name, s.Then, behind)
		}
		behind += s.Takes
	}
}
