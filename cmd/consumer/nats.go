package main

import (
	"fmt"
	"log/slog"

	"bintubridge/subjects/natsenv"
	"bintubridge/subjects/provision"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsConfig says where NATS is.
type natsConfig struct {
	URL  string `env:"NATS_URL" envDefault:"nats://127.0.0.1:4222" secret:"true" doc:"NATS servers, comma-separated; the default is where a bridge's embedded one listens"`
	Auth natsenv.Auth
}

// Check implements settings.Checker.
func (c natsConfig) Check() []error {
	if err := natsenv.CheckURL(c.URL); err != nil {
		return []error{fmt.Errorf("NATS_URL: %w", err)}
	}
	return nil
}

// connectNow returns a client for a command that somebody waits for: with no server that answers
// it fails.
func (c natsConfig) connectNow(name string) (jetstream.JetStream, error) {
	js, err := c.connect(name, slog.New(slog.DiscardHandler), nats.RetryOnFailedConnect(false))
	if err != nil {
		return nil, fmt.Errorf("cannot reach %w; set NATS_URL, or start the bridge that has the embedded server", err)
	}
	return js, nil
}

// connect returns a client that never gives up. With a server that is down it returns at
// once and connects later.
func (c natsConfig) connect(name string, log *slog.Logger, more ...nats.Option) (jetstream.JetStream, error) {
	opts, err := c.Auth.Options()
	if err != nil {
		return nil, err
	}
	var told string                                   // the last reason logged
	opts = append(append(opts, natsenv.Lasting()...), // an ack that cannot be sent fails, and its message comes again
		nats.Name("consumer "+name),
		nats.CustomInboxPrefix(provision.InboxConsumer),
		nats.ConnectHandler(func(*nats.Conn) { log.Info("NATS connected") }),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("NATS connected again") }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("NATS disconnected; trying again and again", "error", err)
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { // of the connection's own goroutine
			if text := err.Error(); text != told {
				told = text
				log.Warn("NATS cannot be reached; trying again and again", "error", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("NATS reports", "error", err) }),
	)
	nc, err := nats.Connect(c.URL, append(opts, more...)...)
	if err != nil {
		return nil, fmt.Errorf("NATS: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("NATS: %w", err)
	}
	return js, nil
}
