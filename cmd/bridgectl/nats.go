package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const connectTimeout = 3 * time.Second

// connect returns a JetStream client for url, or for the server that the bridge's
// environment names: an outside one, or the embedded one of a running bridge.
func connect(url string, getenv func(string) string) (jetstream.JetStream, *nats.Conn, error) {
	if url == "" {
		var err error
		if url, err = serverURL(getenv); err != nil {
			return nil, nil, err
		}
	}
	auth, err := authOptions(getenv)
	if err != nil {
		return nil, nil, err
	}
	nc, err := nats.Connect(url, append(auth,
		nats.Name("bridgectl"),
		nats.CustomInboxPrefix("_INBOX_bridge"), // what the bridge's user may subscribe to
		nats.Timeout(connectTimeout),
		nats.NoReconnect(), // what is not sent stays in the file
	)...)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot reach NATS: %w; set NATS_URL or --nats-url, or start the bridge that has the embedded server", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, nil, fmt.Errorf("NATS: %w", err)
	}
	return js, nc, nil
}

func serverURL(getenv func(string) string) (string, error) {
	url, err := secret(getenv, "NATS_URL")
	if url != "" || err != nil {
		return url, err
	}
	if listen := getenv("BRIDGE_EMBEDDED_LISTEN"); listen != "" {
		return "nats://" + listen, nil
	}
	return nats.DefaultURL, nil
}

// authOptions are the credentials and certificates of the bridge's environment.
func authOptions(getenv func(string) string) ([]nats.Option, error) {
	password, err := secret(getenv, "NATS_PASSWORD")
	token, err2 := secret(getenv, "NATS_TOKEN")
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	var opts []nats.Option
	if file := getenv("NATS_CREDS"); file != "" {
		opts = append(opts, nats.UserCredentials(file))
	}
	if file := getenv("NATS_NKEY"); file != "" {
		opt, err := nats.NkeyOptionFromSeed(file)
		if err != nil {
			return nil, fmt.Errorf("NATS_NKEY: %w", err)
		}
		opts = append(opts, opt)
	}
	if user := getenv("NATS_USER"); user != "" {
		opts = append(opts, nats.UserInfo(user, password))
	}
	if token != "" {
		opts = append(opts, nats.Token(token))
	}
	if file := getenv("NATS_CA"); file != "" {
		opts = append(opts, nats.RootCAs(file))
	}
	if file := getenv("NATS_CERT"); file != "" {
		opts = append(opts, nats.ClientCert(file, getenv("NATS_KEY")))
	}
	return opts, nil
}

// secret returns the variable's value, or what is in the file that <name>_FILE names.
func secret(getenv func(string) string, name string) (string, error) {
	value, file := getenv(name), getenv(name+"_FILE")
	switch {
	case file == "":
		return value, nil
	case value != "":
		return "", fmt.Errorf("%s and %s_FILE are both set: keep one", name, name)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s_FILE: %w", name, err)
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}
