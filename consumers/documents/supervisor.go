package documents

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"bintubridge/consumers"
)

// Supervisor keeps a consumer running for each document. Its methods are of one goroutine.
type Supervisor struct {
	Run   func(ctx context.Context, key string) error // until ctx ends
	Watch func(key string) *consumers.Watch           // of the same name as Run's own
	Log   *slog.Logger

	served map[string]*service // those that end are among them
	group  sync.WaitGroup
}

// service is the consumer of one key.
type service struct {
	cancel context.CancelFunc
	done   chan struct{}
	ends   bool
}

// Serve makes the consumers those of the keys. It waits for none that ends, as a receiver that does not
// answer may hold one up: if its key comes back, the next one begins when the last has ended.
func (s *Supervisor) Serve(ctx context.Context, keys map[string]bool) {
	if s.served == nil {
		s.served = map[string]*service{}
	}
	for key, v := range s.served {
		if !keys[key] {
			v.cancel()
			v.ends = true
		}
		if v.ends && v.over() {
			delete(s.served, key)
		}
	}
	for key := range keys {
		last := s.served[key]
		if last != nil && !last.ends {
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		next := &service{cancel: cancel, done: make(chan struct{})}
		s.served[key] = next
		s.group.Go(func() {
			defer close(next.done)
			defer cancel()
			if last != nil {
				<-last.done
			}
			s.serve(ctx, key)
		})
	}
}

// Close ends all consumers, and waits for them.
func (s *Supervisor) Close() {
	for _, v := range s.served {
		v.cancel()
	}
	s.group.Wait()
}

func (v *service) over() bool {
	select {
	case <-v.done:
		return true
	default:
		return false
	}
}

// The waits until a consumer that could not go on is started again.
const (
	firstWait = time.Second
	lastWait  = 30 * time.Second
)

// serve runs the consumer until ctx ends. While it cannot, that shows in readiness.
func (s *Supervisor) serve(ctx context.Context, key string) {
	for wait := firstWait; ctx.Err() == nil; wait = min(2*wait, lastWait) {
		err := s.Run(ctx, key)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			s.Log.Warn("a consumer did not end well", "key", key, "error", err)
			return
		}
		s.Log.Error("a consumer cannot go on, and is started again", "key", key, "wait", wait, "error", err)
		watch := s.Watch(key)
		watch.Detached(err)
		pause(ctx, wait)
		if ctx.Err() != nil {
			watch.Leave() // else Run takes its place
		}
	}
}
