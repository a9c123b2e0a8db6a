package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Levels are what a process holds at one moment. Heap and goroutines are the bridge's own
// words, the others the kernel's.
type Levels struct {
	Resident   int64 `json:"resident_bytes"`
	Anonymous  int64 `json:"anonymous_bytes"` // of them what is in no file
	Heap       int64 `json:"heap_in_use_bytes,omitempty"`
	Goroutines int   `json:"goroutines,omitempty"`
	Files      int   `json:"open_files"`
	Threads    int   `json:"threads"`
}

// Sample is taken while a load runs.
type Sample struct {
	Seconds float64 `json:"seconds"` // since the load began
	Bridge  Levels  `json:"bridge"`
	NATS    Levels  `json:"nats"`
}

// levels are the bridge's now.
func (r *rig) levels(ctx context.Context) (Levels, error) {
	l, err := r.bridge.levels()
	if err != nil {
		return l, err
	}
	err = r.scrape(ctx, func(name string, value float64) {
		switch name {
		case "go_memstats_heap_inuse_bytes":
			l.Heap = int64(value)
		case "go_goroutines":
			l.Goroutines = int(value)
		}
	})
	if err == nil && (l.Heap == 0 || l.Goroutines == 0) {
		err = errors.New("metrics of the bridge: they have no heap or no goroutines")
	}
	return l, err
}

func (p *process) levels() (Levels, error) {
	u, err := p.usage()
	return Levels{Resident: u.resident, Anonymous: u.anonymous, Files: u.files, Threads: u.threads}, err
}

// scrape calls each with the bridge's metrics that have no labels.
func (r *rig) scrape(ctx context.Context, each func(name string, value float64)) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	resp, err := r.get(ctx, "/metrics")
	if err != nil {
		return fmt.Errorf("metrics of the bridge: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("metrics of the bridge: %s", resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), " ")
		if value, err := strconv.ParseFloat(text, 64); err == nil {
			each(name, value)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("metrics of the bridge: %w", err)
	}
	return nil
}

// sampler takes samples until it is stopped.
type sampler struct {
	cancel  context.CancelFunc
	done    chan error
	samples []Sample // the sampler's until done
}

// startSampler takes one at once and then one each time every has passed.
func (r *rig) startSampler(ctx context.Context, every time.Duration) *sampler {
	ctx, cancel := context.WithCancel(ctx)
	s := &sampler{cancel: cancel, done: make(chan error, 1)}
	go func() { s.done <- s.run(ctx, r, every) }()
	return s
}

func (s *sampler) run(ctx context.Context, r *rig, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for began := time.Now(); ; {
		sample := Sample{Seconds: time.Since(began).Seconds()}
		var err error
		if sample.Bridge, err = r.levels(ctx); err == nil {
			sample.NATS, err = r.nats.levels()
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		s.samples = append(s.samples, sample)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// stop returns the samples.
func (s *sampler) stop() ([]Sample, error) {
	s.cancel()
	err := <-s.done
	return s.samples, err
}
