package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of the listener. Its callers are probes, scrapers and one operator.
const (
	readTimeout  = 5 * time.Second  // for a whole request
	writeTimeout = 30 * time.Second // for a whole reply
	idleTimeout  = time.Minute      // between two requests
	maxHeader    = 16 << 10         // bytes
	maxScrapes   = 4                // at the same time; more get 503
)

// Config says what the listener shows.
type Config struct {
	// Token is what callers present for /status, as "Authorization: Bearer <token>".
	// Empty means that nobody can.
	Token string

	// Loopback says that the listener is bound to a loopback address, so that
	// whoever reaches it is on this host, and needs no token where there is none.
	Loopback bool

	// Ready returns the state of the parts that readiness depends on. nil, or
	// no checks, is not ready. Called for each probe: it should be cheap.
	Ready func() []Check

	// Status returns what /status shows as JSON. nil means that there is no
	// such path, and no page, which is made of it.
	Status func() any

	// Queries answer what the page asks, by their paths.
	Queries map[string]Query

	// Feed is what /events shows. nil means that there is no such path.
	Feed *Feed

	// AsyncAPI is what /asyncapi.json shows. nil means that there is no such path.
	AsyncAPI []byte

	// Profile adds /debug/pprof/.
	Profile bool

	// Collectors are shown by /metrics beside those of the Go runtime and the
	// process.
	Collectors []prometheus.Collector

	// Log gets what goes wrong while answering; nil is silence.
	Log *slog.Logger
}

// Server is the admin listener's server. Make one with New, start it with
// Serve, end it with Shutdown.
type Server struct {
	cfg     Config
	gate    gate
	crowd   *crowd
	http    *http.Server
	queries chan struct{} // one for each that is being answered

	stopping chan struct{} // closed by Shutdown: replies that do not end by themselves do

	conns  sync.WaitGroup // one for each connection's goroutine
	mu     sync.Mutex     // guards closed, and loops against Add after Wait
	closed bool
	loops  sync.WaitGroup // one for each Serve
}

// New returns a server for cfg. It fails when two of the collectors want the same
// metric.
func New(cfg Config) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, gate: newGate(cfg), crowd: newCrowd(cfg.Log), queries: make(chan struct{}, maxQueries), stopping: make(chan struct{})}
	errorLog := slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn)

	registry := prometheus.NewRegistry()
	all := append([]prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}, cfg.Collectors...)
	for _, c := range all {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("admin: register %s, give each metric its own name: %w", describe(c), err)
		}
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", s.livez)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: errorLog, MaxRequestsInFlight: maxScrapes}))
	if cfg.Status != nil {
		mux.HandleFunc("GET /status", s.status)
		if err := s.addPage(mux); err != nil {
			return nil, fmt.Errorf("admin: the page: %w", err)
		}
	}
	for path, query := range cfg.Queries {
		mux.HandleFunc("GET "+path, s.query(query))
		mux.HandleFunc("POST "+path, s.query(query))
	}
	if cfg.Feed != nil {
		mux.HandleFunc("GET /events", s.events)
	}
	if cfg.Profile {
		profile(mux)
	}
	if cfg.AsyncAPI != nil {
		mux.HandleFunc("GET /asyncapi.json", s.asyncAPI)
	}
	s.http = &http.Server{
		Handler:        withHeaders(s.gate.guard(mux)),
		ReadTimeout:    readTimeout,
		WriteTimeout:   writeTimeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       errorLog,
		ConnState:      s.track,
	}
	return s, nil
}

// describe names a collector by its first metric.
func describe(c prometheus.Collector) string {
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		c.Describe(descs)
	}()
	first, ok := <-descs
	if !ok {
		return "a collector without metrics"
	}
	for range descs { // to the end, which ends the goroutine
	}
	return first.String()
}

// withHeaders sets what every reply carries: it is not to be kept, nor to be
// taken for another type than the one it names, nor shown in or read by another page.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Security-Policy", contentPolicy)
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		w.Header().Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// status shows the state as JSON.
func (s *Server) status(w http.ResponseWriter, _ *http.Request) { s.sendJSON(w, s.cfg.Status()) }

// asyncAPI shows the contract of what the bridge publishes.
func (s *Server) asyncAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	s.send(w, s.cfg.AsyncAPI)
}

// send writes a reply's body. A caller who left has no use for it.
func (s *Server) send(w http.ResponseWriter, body []byte) {
	if _, err := w.Write(body); err != nil {
		s.cfg.Log.Debug("the caller did not wait for the reply", "error", err)
	}
}

// track follows the connections' goroutines for Shutdown, and closes connections that
// are too many.
func (s *Server) track(conn net.Conn, state http.ConnState) {
	peer := peerOf(conn.RemoteAddr().String())
	switch state {
	case http.StateNew:
		s.conns.Add(1)
		if !s.crowd.enter(peer) {
			_ = conn.Close() // its goroutine finds it closed
		}
	case http.StateClosed, http.StateHijacked:
		s.crowd.leave(peer)
		s.conns.Done()
	}
}

// Serve answers what comes in on ln, which it owns from now on, until
// Shutdown, and then returns nil.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ln.Close()
	}
	s.loops.Add(1)
	s.mu.Unlock()
	defer s.loops.Done()

	if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin: listener %s broke, restart the bridge: %w", ln.Addr(), err)
	}
	return nil
}

// Shutdown stops accepting and answers what has begun. When ctx ends first it
// cuts the remaining connections off and logs so: whoever can connect could bring it
// about, by saying nothing. In both cases no goroutine of the server is left; it waits
// for the functions of Config that are at work.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stopping)
	}
	s.mu.Unlock()

	err := s.http.Shutdown(ctx)
	switch {
	case err != nil && errors.Is(err, ctx.Err()):
		s.cfg.Log.Warn("connections to the admin listener were cut off", "reason", err)
		_ = s.http.Close() // closes what Shutdown could not; its error adds nothing
		err = nil
	case err != nil:
		err = fmt.Errorf("admin: close the listener: %w", err)
	}
	s.loops.Wait() // no connection begins after this
	s.conns.Wait()
	return err
}
