// Package embed runs a nats-server with JetStream inside the bridge, so that one
// program on a fresh machine is the whole set-up.
package embed

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	startTimeout = 10 * time.Second
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

// Server is a running nats-server.
type Server struct {
	ns   *server.Server
	auth []nats.Option
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
	if err := probe(o.Listen); err != nil {
		return nil, fmt.Errorf("embedded NATS cannot listen on %s: %w; stop the program that holds the port, set BRIDGE_EMBEDDED_LISTEN to another, or set NATS_URL to use the server that runs there", o.Listen, err)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	if err := os.MkdirAll(o.StoreDir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	ns, err := server.NewServer(&server.Options{
		ServerName:         "bridge-embedded",
		Host:               host,
		Port:               port,
		JetStream:          true,
		StoreDir:           o.StoreDir,
		JetStreamMaxMemory: maxMemory,
		JetStreamMaxStore:  o.MaxStore,
		Username:           o.User,
		Password:           o.Password,
		Authorization:      o.Token,
		NoSigs:             true, // signals are the bridge's
		NoLog:              true,
	})
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	fatal := make(chan string, 1)
	ns.SetLoggerV2(&logger{log: o.Log, fatal: fatal}, false, false, false)
	go ns.Start() // returns when Shutdown is called; Close waits for the server
	s := &Server{ns: ns}
	if o.Token != "" {
		s.auth = append(s.auth, nats.Token(o.Token))
	} else if o.User != "" {
		s.auth = append(s.auth, nats.UserInfo(o.User, o.Password))
	}
	if !ns.ReadyForConnections(startTimeout) {
		s.Close()
		return nil, fmt.Errorf("embedded NATS did not start: %w", reason(fatal))
	}
	return s, nil
}

// probe tells a taken port before the server does, which would only log it.
func probe(addr string) error {
	ln, err := net.Listen("tcp", addr) //nolint:noctx // bound and closed at once
	if err != nil {
		return err
	}
	return ln.Close()
}

func reason(fatal <-chan string) error {
	select {
	case text := <-fatal:
		return errors.New(text)
	default:
		return fmt.Errorf("it was not ready within %s", startTimeout)
	}
}

// ClientURL is where other programs reach the server.
func (s *Server) ClientURL() string { return s.ns.ClientURL() }

// ConnectOptions are what the bridge's own connections need: they go through
// memory, not through the network.
func (s *Server) ConnectOptions() []nats.Option {
	return append([]nats.Option{nats.InProcessServer(s.ns)}, s.auth...)
}

// Close stops the server and waits until its files are closed.
func (s *Server) Close() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
}
