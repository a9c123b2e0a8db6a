package analytics

import (
	"testing"
	"time"
)

// A clock that jumps, ahead or back, makes nothing older than it is.
func TestRetentionWhenClocksJump(t *testing.T) {
	for _, tt := range []struct{ jump, kept time.Duration }{
		{0, time.Hour}, {10 * 8760 * time.Hour, time.Hour}, {-24 * time.Hour, 25 * time.Hour},
	} {
		if got, want := retainedFrom(time.Hour, nine, nine.Add(tt.jump)), nine.Add(-tt.kept); !got.Equal(want) {
			t.Errorf("a jump of %v: before %v, want %v", tt.jump, got, want)
		}
	}
}
