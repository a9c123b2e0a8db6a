// Package embed runs a nats-server with JetStream inside the bridge, so that one
// program on a fresh machine is the whole set-up. Nobody has to restart it after its
// disk was full.
package embed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	startTimeout = 10 * time.Second
	readyPoll    = 100 * time.Millisecond
	maxMemory    = 64 << 20 // of memory streams; the server's own default is 75 % of the RAM
)

// Options of the embedded server.
type Options struct {
	Listen   string // host:port for other clients; port 0 takes a free one
	StoreDir string // JetStream's; the caller holds a lock on it
	MaxStore int64  // bytes JetStream may reserve on disk

	// Credentials clients must show; all empty lets everybody in.
	User, Password, Token string

	Log *slog.Logger
}

// Server is a nats-server that is started again when a failed write has put its
// JetStream out of order.
type Server struct {
	opts Options
	host string
	port int    // the same for each start
	url  string // of it

	ns       atomic.Pointer[server.Server] // the last that was started, set by Start and the supervisor
	trouble  atomic.Pointer[string]        // what the supervisor saw last, nil for nothing
	restarts atomic.Uint64

	cancel     context.CancelFunc
	supervisor sync.WaitGroup
}

// Start returns when the server takes clients. Its errors name the next step.
func Start(o Options) (*Server, error) {
	host, portText, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: listen address %q: %w", o.Listen, err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: listen address %q: %w", o.Listen, err)
	}
	s := &Server{opts: o, host: host, port: port}
	if err := s.run(); err != nil {
		return nil, err
	}
	ns := s.ns.Load()
	s.url, s.port = ns.ClientURL(), ns.Addr().(*net.TCPAddr).Port
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	s.supervisor.Go(func() { s.supervise(ctx) })
	return s, nil
}

// run starts a nats-server where none runs.
func (s *Server) run() error {
	listen := net.JoinHostPort(s.host, strconv.Itoa(s.port))
	if err := probe(listen); err != nil {
		return fmt.Errorf("embedded NATS cannot listen on %s: %w; stop the program that holds the port, set BRIDGE_EMBEDDED_LISTEN to another, or set NATS_URL to use the server that runs there", listen, err)
	}
	if err := os.MkdirAll(s.opts.StoreDir, 0o700); err != nil {
		return fmt.Errorf("embedded NATS: %w", err)
	}
	ns, err := server.NewServer(s.serverOptions())
	if err != nil {
		return fmt.Errorf("embedded NATS: %w", err)
	}
	fatal := make(chan string, 1)
	ns.SetLoggerV2(&logger{log: s.opts.Log, fatal: fatal}, false, false, false)
	go ns.Start() // returns when Shutdown is called; stop waits for the server
	if err := ready(ns, fatal); err != nil {
		stop(ns)
		return fmt.Errorf("embedded NATS did not start: %w", err)
	}
	s.ns.Store(ns)
	return nil
}

func (s *Server) serverOptions() *server.Options {
	port := s.port
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return &server.Options{
		ServerName:         "bridge-embedded",
		Host:               s.host,
		Port:               port,
		JetStream:          true,
		StoreDir:           s.opts.StoreDir,
		JetStreamMaxMemory: maxMemory,
		JetStreamMaxStore:  s.opts.MaxStore,
		Username:           s.opts.User,
		Password:           s.opts.Password,
		Authorization:      s.opts.Token,
		NoSigs:             true, // signals are the bridge's
		NoLog:              true,
	}
}

// probe tells a taken port before the server does, which would only log it.
func probe(addr string) error {
	ln, err := net.Listen("tcp", addr) //nolint:noctx // bound and closed at once
	if err != nil {
		return err
	}
	return ln.Close()
}

// ready waits until the server takes clients.
func ready(ns *server.Server, fatal <-chan string) error {
	for range startTimeout / readyPoll {
		if ns.ReadyForConnections(readyPoll) {
			return nil
		}
		select {
		case text := <-fatal:
			return errors.New(text)
		default:
		}
	}
	return fmt.Errorf("it was not ready within %s", startTimeout)
}

// stop returns when the server's files are closed.
func stop(ns *server.Server) {
	ns.Shutdown()
	ns.WaitForShutdown()
}

// ClientURL is where other programs reach the server.
func (s *Server) ClientURL() string { return s.url }

// ConnectOptions are what the bridge's own connections need: they go through
// memory, not through the network.
func (s *Server) ConnectOptions() []nats.Option {
	opts := []nats.Option{nats.InProcessServer(s)}
	if s.opts.Token != "" {
		opts = append(opts, nats.Token(s.opts.Token))
	} else if s.opts.User != "" {
		opts = append(opts, nats.UserInfo(s.opts.User, s.opts.Password))
	}
	return opts
}

// InProcessConn connects to the server that runs now, and fails between two of
// them. Clients that reconnect come here again.
func (s *Server) InProcessConn() (net.Conn, error) { return s.ns.Load().InProcessConn() }

// Close stops the server and waits until its files are closed.
func (s *Server) Close() {
	s.cancel()
	s.supervisor.Wait()
	stop(s.ns.Load())
}
