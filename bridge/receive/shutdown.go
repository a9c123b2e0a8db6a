package receive

import (
	"context"
	"fmt"
	"time"
)

// defaultLastCall is how long a connection that is waiting for a request may
// still bring one after Shutdown began: the request may be on its way, and the
// sender does not try again.
const defaultLastCall = 250 * time.Millisecond

// Shutdown ends the server in the order that loses no request: it stops
// accepting, answers what has begun, gives waiting connections a last call of
// a quarter second, and returns nil when all connections are gone. When ctx
// ends first, the remaining ones are cut off and the error says how many. In
// both cases no goroutine of the server is left; it waits for a Handler that is
// still at work. It may be called again.
func (s *Server) Shutdown(ctx context.Context) error {
	s.beginDraining()

	gone := make(chan struct{})
	go func() {
		s.workers.wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	cut := s.killAll()
	<-gone
	if cut == 0 {
		return nil
	}
	return fmt.Errorf("receive: %d connections cut off in shutdown: %w", cut, context.Cause(ctx))
}

func (s *Server) beginDraining() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Swap(true) {
		return
	}
	close(s.stopped)
	s.workers.stop()
	for src := range s.sources {
		delete(s.sources, src)
		_ = src.Close() // nothing can be done about it, and Serve returns anyway
	}
	deadline := time.Now().Add(s.lastCall)
	for c := range s.open {
		c.drain(deadline)
	}
}

// killAll cuts off every connection and returns how many there were.
func (s *Server) killAll() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.kill()
	}
	return len(s.open)
}
