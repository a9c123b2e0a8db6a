package outbound

import (
	"errors"
	"net/http"
	"testing"
)

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
