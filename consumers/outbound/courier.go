package outbound

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Courier is the transport under shoutrrr's services. Most of them send with
// http.DefaultTransport and take no other: a program that runs them puts its one Courier there,
// before anything is sent. No library does that for it. It bounds each request, goes only where the guard lets it, follows no redirects, and
// leaves a URL alone for as long as it asked with Retry-After.
type Courier struct {
	base  http.RoundTripper
	guard Guard

	mu    sync.Mutex
	until map[string]time.Time // by method and URL without query: not before
}

// NewCourier returns one that goes where the guard lets it.
func NewCourier(g Guard) *Courier { return newCourier(g.transport(), g) }

func newCourier(base http.RoundTripper, g Guard) *Courier {
	return &Courier{base: base, guard: g, until: map[string]time.Time{}}
}

// ErrTransport says that services would send past the Courier.
var ErrTransport = errors.New("http.DefaultTransport is not the Courier")

// Installed returns an error when the Courier is not http.DefaultTransport.
func (c *Courier) Installed() error {
	if http.DefaultTransport != http.RoundTripper(c) {
		return ErrTransport
	}
	return nil
}

// Guard says where it goes.
func (c *Courier) Guard() Guard { return c.guard }

// CloseIdleConnections is http.Client's.
func (c *Courier) CloseIdleConnections() {
	if t, ok := c.base.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// RoundTrip implements http.RoundTripper.
func (c *Courier) RoundTrip(req *http.Request) (*http.Response, error) {
	target := req.Method + " " + req.URL.Scheme + "://" + req.URL.Host + req.URL.EscapedPath()
	if wait := c.wait(target); wait > 0 {
		closeBody(req)
		header := http.Header{"Retry-After": {strconv.FormatFloat(wait.Seconds(), 'f', 3, 64)}}
		return answer(req, http.StatusTooManyRequests, header, ""), nil
	}
	ctx, cancel := context.WithTimeout(req.Context(), Timeout)
	resp, err := c.base.RoundTrip(req.WithContext(ctx))
	if err == nil && 300 <= resp.StatusCode && resp.StatusCode < 400 {
		_ = resp.Body.Close() // of no interest
		err = fmt.Errorf("the receiver answered %d: redirects are not followed", resp.StatusCode)
	}
	if err != nil {
		cancel()
		if req.URL.Hostname() == telegram {
			return answer(req, http.StatusBadGateway, http.Header{}, err.Error()), nil
		}
		return nil, err
	}
	resp.Body = body{io.LimitReader(resp.Body, maxAnswer), resp.Body, cancel}
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		c.note(target, RetryAfter(resp.Header, time.Now()))
	}
	if resp.StatusCode >= 400 && req.URL.Hostname() == telegram && !strings.Contains(resp.Header.Get("Content-Type"), "json") {
		_ = resp.Body.Close() // of no interest
		return answer(req, resp.StatusCode, resp.Header, ""), nil
	}
	return resp, nil
}

// telegram is the host of a service that takes every failure for success whose body is not JSON.
const telegram = "api.telegram.org"

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // it is only read from
	}
}

// wait returns how long the target is to be left alone.
func (c *Courier) wait(target string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Until(c.until[target])
}

func (c *Courier) note(target string, wait time.Duration) {
	if wait <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for old, until := range c.until { // few: only those that asked, and not for long
		if until.Before(now) {
			delete(c.until, old)
		}
	}
	c.until[target] = now.Add(wait)
}

// answer is one that did not come from the receiver, or not in this form.
func answer(req *http.Request, code int, header http.Header, reason string) *http.Response {
	text, _ := json.Marshal(map[string]any{"ok": false, "error_code": code, "description": reason}) // of plain values
	return &http.Response{
		Status: strconv.Itoa(code) + " " + http.StatusText(code), StatusCode: code,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader(text)), Request: req,
	}
}

// maxAnswer is how much of an answer a service gets: some read all there is.
const maxAnswer = 1 << 20

// body ends its request's context when it is closed.
type body struct {
	io.Reader
	whole  io.Closer
	cancel context.CancelFunc
}

func (b body) Close() error {
	defer b.cancel()
	return b.whole.Close()
}
