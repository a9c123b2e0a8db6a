package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"bintubridge/bridge/admin"
	"bintubridge/bridge/settings"
	"bintubridge/consumers"
	"bintubridge/subjects/provision"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
)

// commonConfig is what every consumer has.
type commonConfig struct {
	NATS        natsConfig
	AdminListen string     `env:"CONSUMER_ADMIN_LISTEN" envDefault:"127.0.0.1:0" doc:"where /livez, /readyz and /metrics are; port 0 is any free one, see the log"`
	LogLevel    slog.Level `env:"CONSUMER_LOG_LEVEL" envDefault:"info" doc:"debug, info, warn or error"`
	LogFormat   string     `env:"CONSUMER_LOG_FORMAT" envDefault:"text" doc:"text or json"`
}

// Check implements settings.Checker.
func (c commonConfig) Check() []error {
	if c.LogFormat != "text" && c.LogFormat != "json" {
		return []error{fmt.Errorf("CONSUMER_LOG_FORMAT=%q: want text or json", c.LogFormat)}
	}
	return nil
}

func (c commonConfig) log(w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// load reads a configuration; its error lists every mistake, one a line.
func load[T any](environ []string) (T, error) {
	cfg, problems := settings.Load[T](settings.Lookup(environ), settings.Parser(provision.ParseMode))
	return cfg, errors.Join(problems...)
}

// service is what a consumer runs with.
type service struct {
	js      jetstream.JetStream
	monitor *consumers.Monitor
	log     *slog.Logger
}

// newConsumer returns the command that runs a consumer. C is its own configuration, a struct with
// the tags that package settings reads. run returns nil when its context ends.
func newConsumer[C any](environ []string, name, short string, run func(context.Context, C, service) error) *cobra.Command {
	type config struct {
		Own    C
		Common commonConfig
	}
	return &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs,
		Long: short + ".\n\nIts configuration comes from the environment:\n\n" + settings.Usage[config](),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load[config](environ)
			if err != nil {
				return fmt.Errorf("the configuration has mistakes (consumer %s -h explains every variable)\n%w", name, err)
			}
			log := cfg.Common.log(cmd.ErrOrStderr())
			for _, v := range settings.Unknown[config](environ, "CONSUMER_"+strings.ToUpper(name)+"_") {
				log.Warn("this variable means nothing to this version, see -h", "variable", v)
			}
			return cfg.Common.serve(cmd.Context(), name, log, func(ctx context.Context, s service) error { return run(ctx, cfg.Own, s) })
		},
	}
}

// serve runs a consumer beside its admin listener. When one of them ends, so does the other.
func (c commonConfig) serve(ctx context.Context, name string, log *slog.Logger, run func(context.Context, service) error) error {
	js, err := c.NATS.connect(name, log)
	if err != nil {
		return err
	}
	defer js.Conn().Close()
	s := service{js: js, monitor: consumers.NewMonitor(), log: log}
	server, err := admin.New(admin.Config{
		Loopback: true, Log: log, Collectors: []prometheus.Collector{s.monitor, buildMetric()},
		Ready: func() []admin.Check { return checks(s.monitor) },
	})
	if err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.AdminListen)
	if err != nil {
		return fmt.Errorf("CONSUMER_ADMIN_LISTEN: %w", err)
	}
	log.Info("the consumer runs", "consumer", name, "admin", ln.Addr())

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	served := make(chan error, 1)
	go func() {
		err := server.Serve(ln)
		cancel(err)
		served <- err
	}()
	err = run(ctx, s)
	limit, done := context.WithTimeout(context.WithoutCancel(ctx), adminGrace)
	defer done()
	err = errors.Join(err, server.Shutdown(limit), <-served)
	log.Info("the consumer ended", "consumer", name)
	return err
}

// adminGrace is how long a scrape may take in shutdown.
const adminGrace = 2 * time.Second

func checks(m *consumers.Monitor) []admin.Check {
	all := m.Checks()
	list := make([]admin.Check, len(all))
	for i, c := range all {
		list[i] = admin.Check{Name: c.Name, OK: c.OK, Degraded: c.Degraded, Detail: c.Detail}
	}
	return list
}
