package outbound

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// StatusError is an answer other than 2xx.
type StatusError struct {
	Code       int
	RetryAfter time.Duration // that the receiver asked for; 0 is none
}

func (e StatusError) Error() string {
	return fmt.Sprintf("the receiver answered %d %s", e.Code, http.StatusText(e.Code))
}

// Client posts webhooks. It follows no redirects.
type Client struct{ http http.Client }

// NewClient returns one that goes where the guard lets it.
func NewClient(g Guard) *Client {
	return &Client{http.Client{
		Transport: g.transport(), Timeout: Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Post sends the body with these headers. Any 2xx is success; other answers are a StatusError.
func (c *Client) Post(ctx context.Context, target string, header http.Header, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return errors.New("the target is no URL")
	}
	req.Header = header
	resp, err := c.http.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return StatusError{resp.StatusCode, RetryAfter(resp.Header, time.Now())}
	}
	return nil
}

// withoutURL returns what the library wraps into one line with the URL.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// maxRetryAfter is how long a receiver may ask to be left alone.
const maxRetryAfter = 24 * time.Hour

// RetryAfter reads the header of this name: seconds, which may have a fraction, or a date.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	var wait time.Duration
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds > 0 {
		wait = time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second))
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
