package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"bintubridge/bridge/settings"
	"bintubridge/subjects/natsenv"
	"bintubridge/subjects/provision"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsConfig is what the bridge's environment says of NATS: an outside server, or the embedded one
// of a running bridge.
type natsConfig struct {
	URL      string `env:"NATS_URL" secret:"true"`
	Embedded string `env:"BRIDGE_EMBEDDED_LISTEN" envDefault:"127.0.0.1:4222"`
	Auth     natsenv.Auth
}

// Check implements settings.Checker.
func (c natsConfig) Check() []error {
	if err := natsenv.CheckURL(c.URL); err != nil {
		return []error{fmt.Errorf("NATS_URL: %w", err)}
	}
	return nil
}

// connect returns a JetStream client for url, or for the server that the environment names. A request of it
// whose context has no deadline takes as long as the environment says.
func connect(url string, env environment, more ...nats.Option) (jetstream.JetStream, *nats.Conn, error) {
	if err := natsenv.CheckURL(url); err != nil {
		return nil, nil, usageError{fmt.Errorf("--nats-url: %w", err)}
	}
	cfg, problems := settings.Load[natsConfig](env.getenv)
	auth, err := cfg.Auth.Options()
	if err := errors.Join(append(problems, err)...); err != nil {
		return nil, nil, err
	}
	nc, err := nats.Connect(cmp.Or(url, cfg.URL, "nats://"+cfg.Embedded), slices.Concat(auth, []nats.Option{
		nats.Name("bridgectl"),
		nats.CustomInboxPrefix(provision.InboxBridge), // what the bridge's user may subscribe to
		nats.Timeout(env.connect),
		nats.NoReconnect(), // what is not sent stays in the file
	}, more)...)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot reach NATS: %w; set NATS_URL or --nats-url, or start the bridge that has the embedded server", err)
	}
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(env.request))
	if err != nil {
		nc.Close()
		return nil, nil, fmt.Errorf("NATS: %w", err)
	}
	return js, nc, nil
}

// patience is how long a request to NATS may take, of a client that connect made.
func patience(js jetstream.JetStream) time.Duration { return js.Options().DefaultTimeout }

// errNoAnswer is a fetch that brought nothing where there is something.
var errNoAnswer = errors.New("no answer")

// unanswered adds to the error of a request that got no answer why that may be. A
// user without the permission gets none: the server tells the connection instead.
func unanswered(js jetstream.JetStream, err error) error {
	if !errors.Is(err, errNoAnswer) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrNoResponders) {
		return err
	}
	if told := js.Conn().LastError(); errors.Is(told, nats.ErrPermissionViolation) {
		return told
	}
	return fmt.Errorf("%w; has the server JetStream, and may this user ask it?", err)
}
