package rulestore

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// awayServer knows no bucket until it is ready. A silent one does not even say so.
type awayServer struct {
	jetstream.JetStream
	ready  time.Time
	silent bool

	opened func() // the bucket, to watch it
}

func (s *awayServer) Stream(ctx context.Context, _ string) (jetstream.Stream, error) {
	switch {
	case !time.Now().Before(s.ready):
		return fakeStream{info: &jetstream.StreamInfo{}}, nil
	case s.silent:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, errors.New("not ready yet")
}

func (s *awayServer) KeyValue(context.Context, string) (jetstream.KeyValue, error) {
	s.opened()
	return nil, errors.New("as far as this test goes")
}

// The bucket is watched again within a second of the reconnect, or of when JetStream is
// ready after it, however long the outage was.
func TestRewatchWithinASecond(t *testing.T) {
	const outage = 10*time.Minute + time.Second
	for _, tt := range []struct {
		name    string
		watched bool          // when the outage began; else no session had begun
		late    time.Duration // ready so long after the reconnect
		silent  bool
		within  time.Duration // of being ready
	}{
		{"ready at once", true, 0, false, 0},
		{"ready at once, for a bridge that never watched", false, 0, false, 0},
		{"ready soon", true, 300 * time.Millisecond, false, time.Second},
		{"ready late", true, 20 * time.Second, false, time.Second},
		{"ready late, for a bridge that never watched", false, 20 * time.Second, false, time.Second},
		{"silent until it is ready", true, 20 * time.Second, true, 2 * time.Second}, // one request in vain before it
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, err := Open(Options{})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var opened time.Time
				server := &awayServer{ready: time.Now().Add(outage + tt.late), silent: tt.silent}
				server.opened = func() { opened = time.Now(); cancel() }
				reconnected := make(chan struct{}, 1)
				time.AfterFunc(outage, func() { reconnected <- struct{}{} })
				f := &follower{store: store, js: server, reconnected: reconnected, log: slog.New(slog.DiscardHandler)}
				if tt.watched {
					if err := f.keepUp(ctx, &watch{updates: make(chan *version)}, nil); !errors.Is(err, errRewatch) {
						t.Fatal(err)
					}
					if *store.trouble.Load() == "" {
						t.Error("the outage was not told")
					}
				}
				f.run(ctx)
				if late := opened.Sub(server.ready); late > tt.within {
					t.Errorf("%v late, want within %v", late, tt.within)
				}
			})
		})
	}
}

// Where the bucket stays away, tries become rare again.
func TestBackOffSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := Open(Options{})
		if err != nil {
			t.Fatal(err)
		}
		reconnected := make(chan struct{}, 1)
		reconnected <- struct{}{}
		f := &follower{store: store, reconnected: reconnected, failures: 20}
		f.backOff(t.Context()) // ended by the reconnect
		f.failures = 20
		for _, least := range []time.Duration{settlingRetry / 2, store.opts.RetryMax / 2} {
			began := time.Now()
			f.backOff(t.Context())
			if waited := time.Since(began); waited < least || waited > 2*least {
				t.Errorf("waited %v, want %v to %v", waited, least, 2*least)
			}
			time.Sleep(settling)
		}
	})
}
