package bridgetest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"bintubridge/bridge"
)

// Bridge is a running bridge.
type Bridge struct {
	*bridge.Bridge
	t     testing.TB
	token string // of the admin listener
}

// StartBridge runs a bridge that forwards to server, and waits until it is
// ready. The environment is what os.Environ would give; listeners and data folder
// are set.
func StartBridge(t testing.TB, server *NATS, environ ...string) *Bridge {
	t.Helper()
	b := OpenBridge(t, server, environ...)
	Eventually(t, "the bridge is ready", func() bool {
		code, text := b.Admin("/readyz?verbose")
		return code == http.StatusOK && !strings.Contains(text, "[~]")
	})
	return b
}

// OpenBridge is StartBridge for a bridge that need not become ready.
func OpenBridge(t testing.TB, server *NATS, environ ...string) *Bridge {
	t.Helper()
	return OpenBridgeWithLog(t, io.Discard, server, environ...)
}

// OpenBridgeWithLog is OpenBridge for a bridge whose log is wanted. The log is whole
// when the test's clean-up is over.
func OpenBridgeWithLog(t testing.TB, log io.Writer, server *NATS, environ ...string) *Bridge {
	t.Helper()
	cfg, err := bridge.Load(append([]string{
		"NATS_URL=" + server.URL(), "BRIDGE_NAME=test", "BRIDGE_DATA_DIR=" + t.TempDir(),
		"BRIDGE_LISTEN=127.0.0.1:0", "BRIDGE_ADMIN_LISTEN=127.0.0.1:0",
	}, environ...))
	if err != nil {
		t.Fatal(err)
	}
	opened, err := bridge.Open(cfg, bridge.NewLog(cfg, log))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- opened.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &Bridge{Bridge: opened, t: t, token: cfg.AdminToken}
}

// Post sends a webhook and returns the status.
func (b *Bridge) Post(body string) int {
	b.t.Helper()
	code, _ := b.do(http.MethodPost, "http://"+b.HookAddr()+"/hook", body, "")
	return code
}

// Admin asks the admin listener, with its token, and returns status and body.
func (b *Bridge) Admin(path string) (int, string) {
	b.t.Helper()
	return b.AdminBy(b.token, path)
}

// AdminBy is Admin with another token, "" for none.
func (b *Bridge) AdminBy(token, path string) (int, string) {
	b.t.Helper()
	return b.do(http.MethodGet, "http://"+b.AdminAddr()+path, "", token)
}

func (b *Bridge) do(method, url, body, token string) (int, string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
