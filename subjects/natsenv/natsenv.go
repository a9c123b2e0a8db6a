// Package natsenv is how the programs of this repository connect to NATS by their environment:
// by the variables of the nats tool, and without ever giving up.
package natsenv

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Auth says how a program is known to the servers, and they to it. The tags are those that package
// settings reads.
type Auth struct {
	Creds    string `env:"NATS_CREDS" doc:"credentials file for NATS"`
	User     string `env:"NATS_USER" doc:"user name for NATS, with NATS_PASSWORD"`
	Password string `env:"NATS_PASSWORD" secret:"true" doc:"password for NATS_USER"`
	Token    string `env:"NATS_TOKEN" secret:"true" doc:"token for NATS"`
	NKey     string `env:"NATS_NKEY" doc:"NKEY seed file for NATS"`
	CA       string `env:"NATS_CA" doc:"file of certificate authorities that NATS servers are checked by"`
	Cert     string `env:"NATS_CERT" doc:"client certificate file for NATS, with NATS_KEY"`
	Key      string `env:"NATS_KEY" doc:"key file for NATS_CERT"`
}

// Check returns what the values get wrong together.
func (a Auth) Check() []error {
	var problems []error
	if (a.User == "") != (a.Password == "") {
		problems = append(problems, errors.New("NATS_USER and NATS_PASSWORD belong together: set both or none"))
	}
	if (a.Cert == "") != (a.Key == "") {
		problems = append(problems, errors.New("NATS_CERT and NATS_KEY belong together: set both or none"))
	}
	return problems
}

// Options returns the credentials and certificates. Files that cannot be read are the operator's
// to mend now, not at some reconnect: they are all told in the error.
func (a Auth) Options() ([]nats.Option, error) {
	if err := a.checkFiles(); err != nil {
		return nil, err
	}
	var opts []nats.Option
	if a.Creds != "" {
		opts = append(opts, nats.UserCredentials(a.Creds))
	}
	if a.NKey != "" {
		opt, err := nats.NkeyOptionFromSeed(a.NKey)
		if err != nil {
			return nil, fmt.Errorf("NATS_NKEY: %w", err)
		}
		opts = append(opts, opt)
	}
	if a.User != "" {
		opts = append(opts, nats.UserInfo(a.User, a.Password))
	}
	if a.Token != "" {
		opts = append(opts, nats.Token(a.Token))
	}
	if a.CA != "" {
		opts = append(opts, nats.RootCAs(a.CA))
	}
	if a.Cert != "" {
		opts = append(opts, nats.ClientCert(a.Cert, a.Key))
	}
	return opts, nil
}

func (a Auth) checkFiles() error {
	var problems []error
	for _, file := range []struct{ name, path string }{
		{"NATS_CREDS", a.Creds}, {"NATS_NKEY", a.NKey}, {"NATS_CA", a.CA}, {"NATS_CERT", a.Cert}, {"NATS_KEY", a.Key},
	} {
		if file.path == "" {
			continue
		}
		if _, err := os.Stat(file.path); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", file.name, err))
		}
	}
	return errors.Join(problems...)
}

// Lasting are the options of a connection that never gives up, whatever the servers say: who mends
// them need not restart their clients. With none that answers, nats.Connect returns at once. What is
// published while there is no connection fails.
func Lasting() []nats.Option {
	return []nats.Option{
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(500 * time.Millisecond),
		nats.ReconnectJitter(500*time.Millisecond, 2*time.Second),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.Timeout(3 * time.Second),
		nats.FlusherTimeout(5 * time.Second),
	}
}

// CheckURL looks at a comma-separated list of servers, the value of NATS_URL. Its error does not
// show the text, which may hold a password.
func CheckURL(list string) error {
	if list == "" {
		return nil
	}
	for i, text := range strings.Split(list, ",") {
		if err := checkServer(strings.TrimSpace(text)); err != nil {
			return fmt.Errorf("server %d %w", i+1, err)
		}
	}
	return nil
}

func checkServer(text string) error {
	if !strings.Contains(text, "://") {
		text = "nats://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return errors.New("is no URL: want nats://host:4222, several separated by commas")
	}
	switch u.Scheme {
	case "nats", "tls", "ws", "wss":
	default:
		return fmt.Errorf("has the scheme %q: want nats, tls, ws or wss", u.Scheme)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("has the port %q: want 1 to 65535", port)
		}
	}
	return nil
}
