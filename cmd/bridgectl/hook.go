package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"bintubridge/bridge/settings"
)

// hookTimeout is how long a media server waits for an answer.
const hookTimeout = 10 * time.Second

// hook is the URL of a webhook. Its path may hold a secret: String leaves it out.
type hook struct {
	scheme, host string // host has no port where the URL has none
	path         string // with the query
}

// hookOf reads a URL, or takes that of the bridge's environment. The error shows nothing of it.
func hookOf(text string, getenv func(string) string) (hook, error) {
	if text == "" {
		return hookOfBridge(getenv)
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return hook{}, usageError{errors.New("the URL of the webhook: want http://HOST[:PORT]/PATH or https://…")}
	}
	return hook{scheme: u.Scheme, host: u.Host, path: u.RequestURI()}, nil
}

// hookConfig is what the bridge's environment says of its webhook.
type hookConfig struct {
	Listen  string `env:"BRIDGE_LISTEN" envDefault:"127.0.0.1:8080"`
	Path    string `env:"BRIDGE_HOOK_PATH" envDefault:"/hook"`
	Secrets string `env:"BRIDGE_HOOK_SECRETS" secret:"true"`
	TLSCert string `env:"BRIDGE_TLS_CERT"`
}

// hookOfBridge is where a bridge of this environment answers.
func hookOfBridge(getenv func(string) string) (hook, error) {
	cfg, problems := settings.Load[hookConfig](getenv)
	if err := errors.Join(problems...); err != nil {
		return hook{}, err
	}
	h := hook{scheme: "http", host: cfg.Listen, path: cfg.Path}
	if strings.HasPrefix(h.host, ":") {
		h.host = "127.0.0.1" + h.host
	}
	if cfg.TLSCert != "" {
		h.scheme = "https"
	}
	if first, _, _ := strings.Cut(cfg.Secrets, ","); first != "" {
		h.path += "/" + url.PathEscape(strings.TrimSpace(first))
	}
	return h, nil
}

// String is the URL without its path.
func (h hook) String() string { return h.scheme + "://" + h.host }

func (h hook) address() string {
	if _, _, err := net.SplitHostPort(h.host); err == nil {
		return h.host
	}
	return net.JoinHostPort(strings.Trim(h.host, "[]"), h.scheme)
}

func (h hook) dial(ctx context.Context) (net.Conn, error) {
	if h.scheme == "https" {
		return (&tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", h.address())
	}
	return new(net.Dialer).DialContext(ctx, "tcp", h.address())
}

// reach says whether somebody listens there.
func (h hook) reach(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	conn, err := h.dial(ctx)
	if err != nil {
		return fmt.Errorf("cannot reach the webhook at %s: %w; start the bridge, or give another URL", h, err)
	}
	return conn.Close()
}

// caller posts webhooks one after the other, as a media server does: by HTTP/1.0 and over a
// connection for each, or over one that is kept.
type caller struct {
	hook   hook
	keep   bool
	conn   net.Conn
	reader *bufio.Reader
	used   time.Time
	head   []byte
}

// idle is how long a connection is kept: the other side may close it later.
const idle = time.Second

// post sends a body and returns the status of the answer.
func (c *caller) post(ctx context.Context, body []byte) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, hookTimeout)
	defer cancel()
	if c.conn != nil && time.Since(c.used) > idle {
		c.close()
	}
	if c.conn == nil {
		if c.conn, err = c.hook.dial(ctx); err != nil {
			c.conn = nil
			return 0, err
		}
		c.reader = bufio.NewReader(c.conn)
	}
	status, again, err := c.exchange(ctx, body)
	if c.used = time.Now(); err != nil || !again {
		c.close()
	}
	return status, err
}

func (c *caller) exchange(ctx context.Context, body []byte) (status int, again bool, err error) {
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.conn.SetDeadline(deadline); err != nil {
			return 0, false, err
		}
	}
	c.head = append(c.head[:0], "POST "...)
	c.head = append(c.head, c.hook.path...)
	if c.keep {
		c.head = append(c.head, " HTTP/1.1\r\nHost: "...)
	} else {
		c.head = append(c.head, " HTTP/1.0\r\nHost: "...)
	}
	c.head = append(c.head, c.hook.host...)
	c.head = append(c.head, "\r\nContent-Type: application/x-www-form-urlencoded\r\n"...)
	if !c.keep {
		c.head = append(c.head, "Connection: Close\r\n"...)
	}
	c.head = append(c.head, "Content-Length: "...)
	c.head = strconv.AppendInt(c.head, int64(len(body)), 10)
	c.head = append(c.head, "\r\n\r\n"...)
	c.head = append(c.head, body...)
	if _, err := c.conn.Write(c.head); err != nil {
		return 0, false, err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, false, fmt.Errorf("read the answer: %w", err)
	}
	const most = 64 << 10
	n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, most))
	return resp.StatusCode, c.keep && !resp.Close && err == nil && n < most, resp.Body.Close()
}

// close ends the connection; how is of no interest.
func (c *caller) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
