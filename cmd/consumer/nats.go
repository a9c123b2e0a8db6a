package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsConfig says where NATS is, by the names that the bridge and the nats tool use.
type natsConfig struct {
	URL      string `env:"NATS_URL" envDefault:"nats://127.0.0.1:4222" secret:"true" doc:"NATS servers, comma-separated; the default is where a bridge's embedded one listens"`
	Creds    string `env:"NATS_CREDS" doc:"credentials file for NATS"`
	User     string `env:"NATS_USER" doc:"user name for NATS, with NATS_PASSWORD"`
	Password string `env:"NATS_PASSWORD" secret:"true" doc:"password for NATS_USER"`
	Token    string `env:"NATS_TOKEN" secret:"true" doc:"token for NATS"`
	NKey     string `env:"NATS_NKEY" doc:"NKEY seed file for NATS"`
	CA       string `env:"NATS_CA" doc:"file of certificate authorities that NATS servers are checked by"`
	Cert     string `env:"NATS_CERT" doc:"client certificate file for NATS, with NATS_KEY"`
	Key      string `env:"NATS_KEY" doc:"key file for NATS_CERT"`
}

// connect returns a client that never gives up. With a server that is down it returns at
// once and connects later.
func (c natsConfig) connect(name string, log *slog.Logger) (jetstream.JetStream, error) {
	auth, err := c.auth()
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(c.URL, append(auth,
		nats.Name("consumer "+name),
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(500*time.Millisecond),
		nats.ReconnectJitter(500*time.Millisecond, 2*time.Second),
		nats.ReconnectBufSize(-1), // an ack that cannot be sent fails, and its message comes again
		nats.PingInterval(10*time.Second),
		nats.MaxPingsOutstanding(2),
		nats.Timeout(3*time.Second),
		nats.ConnectHandler(func(*nats.Conn) { log.Info("NATS connected") }),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("NATS connected again") }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("NATS disconnected; trying again and again", "error", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("NATS reports", "error", err) }),
	)...)
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

func (c natsConfig) auth() ([]nats.Option, error) {
	var opts []nats.Option
	if c.Creds != "" {
		opts = append(opts, nats.UserCredentials(c.Creds))
	}
	if c.NKey != "" {
		opt, err := nats.NkeyOptionFromSeed(c.NKey)
		if err != nil {
			return nil, fmt.Errorf("NATS_NKEY: %w", err)
		}
		opts = append(opts, opt)
	}
	if c.User != "" {
		opts = append(opts, nats.UserInfo(c.User, c.Password))
	}
	if c.Token != "" {
		opts = append(opts, nats.Token(c.Token))
	}
	if c.CA != "" {
		opts = append(opts, nats.RootCAs(c.CA))
	}
	if c.Cert != "" {
		opts = append(opts, nats.ClientCert(c.Cert, c.Key))
	}
	return opts, nil
}
