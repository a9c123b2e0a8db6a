package documents_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bintubridge/consumers"
	"bintubridge/consumers/documents"
)

// troupe is what a supervisor runs, and what became of it.
type troupe struct {
	*documents.Supervisor
	monitor *consumers.Monitor
	mu      sync.Mutex
	lines   []string
}

func newTroupe(run func(context.Context, string) error) *troupe {
	r := &troupe{monitor: consumers.NewMonitor()}
	r.Supervisor = &documents.Supervisor{
		Run: func(ctx context.Context, key string) error {
			r.note(key + " begins")
			err := run(ctx, key)
			r.note(key + " ends")
			return err
		},
		Watch: func(key string) *consumers.Watch { return r.monitor.Watch("test-"+key, nil) },
		Log:   slog.New(slog.DiscardHandler),
	}
	return r
}

func (r *troupe) note(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

func (r *troupe) count(line string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		if l == line {
			n++
		}
	}
	return n
}

// expect compares what has happened since it was asked last.
func (r *troupe) expect(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.lines, want) {
		t.Errorf("got %q, want %q", r.lines, want)
	}
	r.lines = nil
}

func set(keys ...string) map[string]bool {
	all := map[string]bool{}
	for _, key := range keys {
		all[key] = true
	}
	return all
}

// One that takes long to end holds up no other, and its key has one consumer at a time.
func TestSupervisorWaitsForNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTroupe(func(ctx context.Context, key string) error {
			<-ctx.Done()
			if key == "slow" {
				time.Sleep(time.Minute)
			}
			return nil
		})
		r.Serve(t.Context(), set("slow"))
		r.expect(t, "slow begins")
		began := time.Now()
		r.Serve(t.Context(), set("fast"))
		r.expect(t, "fast begins")
		r.Serve(t.Context(), set("slow"))
		r.expect(t, "fast ends")
		r.Serve(t.Context(), set("fast"))
		r.expect(t, "fast begins")
		r.Serve(t.Context(), set("slow", "fast"))
		r.expect(t)
		if passed := time.Since(began); passed > 0 {
			t.Errorf("it waited %v", passed)
		}
		time.Sleep(time.Minute + time.Second)
		r.expect(t, "slow ends", "slow begins")
		r.Close()
		r.expect(t, "fast ends", "slow ends")
	})
}

// One that cannot go on is started again, ever later, and shows in readiness meanwhile.
func TestSupervisorStartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		broken.Store(true)
		var r *troupe
		r = newTroupe(func(ctx context.Context, key string) error {
			watch := r.monitor.Watch("test-"+key, nil)
			defer watch.Leave()
			if broken.Load() {
				return errors.New("another kind of consumer")
			}
			watch.Attached("")
			<-ctx.Done()
			return nil
		})
		shows := func(ok bool, detail string) {
			t.Helper()
			synctest.Wait()
			if c := r.monitor.Checks(); len(c) != 1 || c[0].OK != ok || c[0].Detail != detail {
				t.Errorf("it shows %+v, want %v %q", c, ok, detail)
			}
		}
		r.Serve(t.Context(), set("a"))
		shows(false, "another kind of consumer")
		time.Sleep(10 * time.Minute)
		shows(false, "another kind of consumer")
		if tries := r.count("a ends"); tries < 15 || tries > 30 {
			t.Errorf("%d tries in ten minutes", tries)
		}
		broken.Store(false)
		time.Sleep(time.Minute)
		shows(true, "")
		r.Close()
		if c := r.monitor.Checks(); len(c) != 0 {
			t.Errorf("it shows %+v after its end", c)
		}
		broken.Store(true)
		r.Serve(t.Context(), set("b"))
		shows(false, "another kind of consumer")
		r.Close()
		if c := r.monitor.Checks(); len(c) != 0 {
			t.Errorf("it shows %+v after its end in a wait", c)
		}
	})
}
