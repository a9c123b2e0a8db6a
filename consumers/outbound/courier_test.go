package outbound

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
)

// endless is a body without an end.
type endless struct{ io.Closer }

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// Of an answer without an end a service gets a part.
func TestAnswersAreBounded(t *testing.T) {
	courier := newCourier(roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: endless{io.NopCloser(nil)}}, nil
	}), Guard{})
	resp, err := (&http.Client{Transport: courier}).Get("http://host.example/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 10*maxAnswer)); n != maxAnswer || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// A receiver that answers a byte now and then is left when the time is up, in its headers as in its body.
func TestSlowAnswers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if r.URL.Path == "/body" {
				_, _ = io.WriteString(w, "x") // of no interest when it is gone
				_ = http.NewResponseController(w).Flush()
			}
			time.Sleep(10 * time.Millisecond) // it is slow
		}
	}))
	defer server.Close() // when all requests have ended
	c := NewClient(Anywhere())
	defer c.Close()
	if c.http.Timeout != Timeout {
		t.Errorf("it waits %v", c.http.Timeout)
	}
	c.http.Timeout = 200 * time.Millisecond
	bridgetest.Eventually(t, "the status was 200, and in time", func() bool {
		return c.Post(t.Context(), server.URL+"/body", http.Header{}, nil) == nil
	})
	if err := c.Post(t.Context(), server.URL+"/headers", http.Header{}, nil); err == nil {
		t.Error("there was no status")
	}
}

// A Courier that the services would send past is told of.
func TestInstalled(t *testing.T) {
	previous := http.DefaultTransport
	defer func() { http.DefaultTransport = previous }()
	one, other := NewCourier(Guard{}), NewCourier(Guard{})
	http.DefaultTransport = other
	if err := one.Installed(); !errors.Is(err, ErrTransport) {
		t.Error(err)
	}
	http.DefaultTransport = one
	if err := one.Installed(); err != nil {
		t.Error(err)
	}
}
