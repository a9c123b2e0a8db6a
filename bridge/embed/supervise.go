package embed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	lookEvery  = time.Second
	minBackoff = time.Second // between two attempts to start the server again
	maxBackoff = 30 * time.Second
	roomNeeded = 1 << 20 // bytes the disk has to take before an attempt
)

// Status is what became of the server since Start.
type Status struct {
	Restarts uint64 // how often it was started again
	Trouble  string // why it stores nothing, or not all; empty when all is well
}

// Status returns what the supervisor saw last.
func (s *Server) Status() Status {
	st := Status{Restarts: s.restarts.Load()}
	if trouble := s.trouble.Load(); trouble != nil {
		st.Trouble = *trouble
	}
	return st
}

// supervise looks after the server until ctx ends. A nats-server does not recover
// from a failed write: the stream keeps the error and takes no message after it, or
// the server turns JetStream off. Either lasts until it is started again.
func (s *Server) supervise(ctx context.Context) {
	var told string // of the present trouble
	look := func() error {
		err := s.look()
		if err == nil {
			told = ""
			s.trouble.Store(nil)
		} else {
			text := err.Error()
			s.trouble.CompareAndSwap(nil, &text) // the last attempt's says more
		}
		return err
	}
	mend := func(why error) {
		err := s.restart()
		if err == nil {
			s.trouble.Store(nil)
			s.opts.Log.Warn("the embedded NATS was started again", "reason", why)
			return
		}
		text := fmt.Sprintf("%v; %v", why, err)
		s.trouble.Store(&text)
		if text != told {
			told = text
			s.opts.Log.Warn("the embedded NATS is out of order, events wait in the spool; it is started again when that is possible", "error", text)
		}
	}
	keep(ctx, look, mend)
}

// keep looks every second, and mends what it finds with growing pauses between two
// attempts. They are short again after half a minute without need.
func keep(ctx context.Context, look func() error, mend func(why error)) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var next time.Time // not before
	backoff := minBackoff
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		why := look()
		switch now := time.Now(); {
		case why == nil && now.Sub(next) >= maxBackoff:
			backoff = minBackoff
		case why != nil && !now.Before(next):
			mend(why)
			next, backoff = time.Now().Add(backoff), min(2*backoff, maxBackoff)
		}
	}
}

// look returns what a new start may mend. A stream that could not be recovered is
// not: it may be one that is being made, and else a start has tried.
func (s *Server) look() error {
	ns := s.ns.Load()
	if !ns.JetStreamEnabled() { // nor is that of a server that has ended
		return errors.New("JetStream is off")
	}
	for _, e := range ns.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if e.Type == server.HealthzErrorStream && strings.Contains(e.Error, " write error: ") {
			return errors.New(e.Error)
		}
	}
	return nil
}

// restart replaces the server, unless its disk takes no writes: then it would be
// no better off, and what it still does would be interrupted for nothing.
func (s *Server) restart() error {
	if err := writes(s.opts.StoreDir); err != nil {
		return fmt.Errorf("its disk takes no writes yet, make room: %w", err)
	}
	stop(s.ns.Load())
	if err := s.run(); err != nil {
		return err
	}
	s.restarts.Add(1)
	return nil
}

// checkName is of a file in the store's folder, beside JetStream's.
const checkName = ".write-check"

// writes reports whether the disk of dir takes some writes.
func writes(dir string) error {
	f, err := os.Create(filepath.Join(dir, checkName))
	if err != nil {
		return err
	}
	data := make([]byte, roomNeeded)
	_, _ = rand.Read(data) // never fails; zeros need no room where a file system compresses
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}
