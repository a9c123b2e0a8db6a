package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Probe asks the admin listener of this machine that was configured as listen, host:port, whether
// its program is ready. It is what a container's health check runs.
func Probe(ctx context.Context, listen string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	if port == "0" {
		return errors.New("health: port 0 is any free one; to be asked, the program needs one of its own")
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "localhost"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz?verbose", nil)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("health: nobody answers: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<10))
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready:\n%s", strings.TrimSpace(string(text)))
	}
	return nil
}
