package forward

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// tailLog is a log of which only the end is asked for.
type tailLog struct {
	Log
	tail uint64
}

func (l tailLog) Tail() uint64 { return l.tail }

func TestGather(t *testing.T) {
	for _, test := range []struct {
		name    string
		closed  bool
		since   time.Duration // the last publish
		first   uint64
		tail    uint64
		careful uint64
		want    time.Duration
	}{
		{"after a while", false, time.Second, 7, 7, 0, 0},
		{"at once after another", false, 0, 7, 7, 0, gatherFor},
		{"soon after another", false, gatherFor - time.Millisecond, 7, 7, 0, time.Millisecond},
		{"nearly enough for a batch", false, 0, 7, 7 + firstBatch - 1, 0, gatherFor},
		{"enough for a batch", false, 0, 7, 7 + firstBatch, 0, 0},
		{"one by one", false, 0, 7, 7, 7, 0},
		{"closed meanwhile", true, 0, 7, 7, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.closed {
					cancel()
				}
				f := &Forwarder{
					log: tailLog{tail: test.tail}, careful: test.careful,
					published: time.Now().Add(-test.since), batches: batching{size: firstBatch},
				}
				began := time.Now()
				f.gather(ctx, &entry{seq: test.first})
				if waited := time.Since(began); waited != test.want {
					t.Errorf("waited %s, want %s", waited, test.want)
				}
			})
		})
	}
}

// The first event of all has nobody to wait for.
func TestGatherFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := &Forwarder{log: tailLog{tail: 1}}
		f.gather(t.Context(), &entry{seq: 1})
		if waited := time.Since(began); waited != 0 {
			t.Errorf("waited %s", waited)
		}
	})
}
