package analytics

import (
	"path/filepath"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

// What is older than the retention is gone soon after the start, and nothing else.
func TestRetention(t *testing.T) {
	kit := consumerstest.StartFor(t, provision.ConsumerPermissions(Name))
	dsn := "sqlite://" + filepath.Join(t.TempDir(), "a.db")
	s := open(t, dsn)
	now := time.Now()
	if err := s.WriteEvents(t.Context(), pointers(
		subjects.Event{ID: "old", ReceivedAt: now.Add(-61 * time.Minute)}, subjects.Event{ID: "young", ReceivedAt: now.Add(-30 * time.Minute)},
	)); err != nil {
		t.Fatal(err)
	}
	watched(kit, Config{Database: Database{dsn}, Batch: 1, Retention: time.Hour})
	bridgetest.Eventually(t, "the old one is deleted", func() bool { n, _ := rows(t.Context(), s); return n == 1 })
	expect(t, s, "SELECT event_id FROM events", "young")
}

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
