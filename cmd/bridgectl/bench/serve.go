package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/valyala/fasthttp"

	"bintubridge/bridge"
)

// The roles of the processes a bench starts of this program.
const (
	roleBare   = "bare"
	roleNATS   = "nats"
	roleBridge = "bridge"
)

const (
	natsStartTimeout = 30 * time.Second
	natsMaxStore     = 128 << 30 // bytes; a bench purges what it has counted
)

// ServeCommand is the subcommand of this program that calls Serve.
const ServeCommand = "bench-serve"

// Serve is one of the processes of a bench: role and what it needs, as Run calls it. It
// runs until ctx or its standard input ends, which the bench holds, and tells on standard
// error, in JSON, where it listens.
func Serve(ctx context.Context, role string, args []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	switch {
	case role == roleBare && len(args) == 0:
		return serveBare(ctx, log)
	case role == roleNATS && len(args) == 2:
		port, err := strconv.Atoi(args[1])
		if err != nil {
			return fmt.Errorf("port: %w", err)
		}
		return serveNATS(ctx, log, args[0], port)
	case role == roleBridge && len(args) == 0:
		return serveBridge(ctx, log)
	}
	return fmt.Errorf("no process of a bench: %s %q", role, args)
}

// serveBare is the reference: fasthttp as it comes, answering 200 to everything.
func serveBare(ctx context.Context, log *slog.Logger) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("bare server: %w", err)
	}
	s := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(fasthttp.StatusOK) }}
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(ln) }()
	log.Info(listening, "address", ln.Addr().String())
	select {
	case err := <-failed:
		return fmt.Errorf("bare server: %w", err)
	case <-ctx.Done():
		return errors.Join(s.ShutdownWithContext(ctx), <-failed)
	}
}

// serveNATS is a nats-server with file storage in dir, otherwise as it comes.
func serveNATS(ctx context.Context, log *slog.Logger, dir string, port int) error {
	ns, err := server.NewServer(&server.Options{
		ServerName: "bench", Host: "127.0.0.1", Port: port,
		JetStream: true, StoreDir: dir, JetStreamMaxStore: natsMaxStore,
		NoSigs: true, NoLog: true,
	})
	if err != nil {
		return fmt.Errorf("NATS server: %w", err)
	}
	go ns.Start() // returns after Shutdown
	defer func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	}()
	if !ns.ReadyForConnections(natsStartTimeout) {
		return fmt.Errorf("NATS server: not ready within %s", natsStartTimeout)
	}
	log.Info(listening, "address", ns.ClientURL())
	<-ctx.Done()
	return nil
}

// serveBridge is the bridge as cmd/bridge runs it.
func serveBridge(ctx context.Context, log *slog.Logger) error {
	cfg, err := bridge.Load(os.Environ())
	if err != nil {
		return err
	}
	b, err := bridge.Open(cfg, log)
	if err != nil {
		return err
	}
	return b.Run(ctx)
}
