package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	mainIfAsked()
	goleak.VerifyTestMain(m)
}

// echoConfig is the configuration of a consumer of this test.
type echoConfig struct {
	Word  string        `env:"CONSUMER_ECHO_WORD" envDefault:"hello" doc:"a word"`
	Every time.Duration `env:"CONSUMER_ECHO_EVERY" envDefault:"1s" doc:"a duration"`
	Key   string        `env:"CONSUMER_ECHO_KEY" secret:"true" doc:"a secret"`
}

func execute(ctx context.Context, cmd *cobra.Command, out io.Writer, args ...string) error {
	cmd.SetOut(out)
	cmd.SetErr(out)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append([]string{}, args...)) // nil would be those of the test binary
	return cmd.ExecuteContext(ctx)
}

// A consumer runs beside its admin listener and ends with its context.
func TestServe(t *testing.T) {
	kit := consumerstest.Start(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := []string{"NATS_URL=" + kit.URL(), "CONSUMER_ECHO_WORD=", "CONSUMER_ECHO_EVERY=5s", "CONSUMER_ECHO_KEY_FILE=" + secret, "CONSUMER_ECHO_WROD=x"}
	got := make(chan echoConfig, 1)
	echo := func(ctx context.Context, cfg echoConfig, s service) error {
		got <- cfg
		return consumers.Run(ctx, s.js, consumers.Options{Name: "echo", Monitor: s.monitor, Log: s.log},
			func(context.Context, *consumers.Message) error { return nil })
	}
	ctx, cancel := context.WithCancel(t.Context())
	var log consumerstest.Log
	ended := make(chan error, 1)
	go func() { ended <- execute(ctx, newConsumer(environ, "echo", "Echoes", echo), &log) }()
	if cfg := <-got; cfg != (echoConfig{"hello", 5 * time.Second, "s3cret"}) {
		t.Errorf("configuration %+v", cfg)
	}
	kit.Publish(consumerstest.Event("publish", "lobby"))
	admin := regexp.MustCompile(`admin=(\S+)`).FindStringSubmatch(log.String())[1]
	bridgetest.Eventually(t, "it is ready and has counted", func() bool {
		return get(t, admin, "/livez") == "200 ok\n" && get(t, admin, "/readyz?verbose") == "200 [+] echo ok\nok\n" &&
			strings.Contains(get(t, admin, "/metrics"), `consumer_processed_total{consumer="echo"} 1`) &&
			strings.Contains(get(t, admin, "/metrics"), `consumer_ready{consumer="echo"} 1`)
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if text := log.String(); !strings.Contains(text, "CONSUMER_ECHO_WROD") || strings.Contains(text, "s3cret") {
		t.Errorf("log:\n%s", text)
	}
}

func get(t *testing.T, addr, path string) string {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Status[:3] + " " + string(body)
}

// All mistakes are told together, by the variable, without secrets; -h explains each.
func TestConfiguration(t *testing.T) {
	never := func(context.Context, echoConfig, service) error { t.Error("it ran"); return nil }
	environ := []string{"CONSUMER_ECHO_EVERY=soon", "CONSUMER_LOG_LEVEL=loud", "CONSUMER_LOG_FORMAT=xml",
		"NATS_URL=nats://u:s3cret@%zz", "NATS_USER=u", "NATS_TOKEN=s3cret", "NATS_TOKEN_FILE=x"}
	var out bytes.Buffer
	err := execute(t.Context(), newConsumer(environ, "echo", "Echoes", never), &out)
	for _, want := range []string{`CONSUMER_ECHO_EVERY="soon"`, `CONSUMER_LOG_LEVEL="loud"`, `CONSUMER_LOG_FORMAT="xml": want text or json`,
		"NATS_URL: server 1 is no URL", "NATS_USER and NATS_PASSWORD belong together", "NATS_TOKEN and NATS_TOKEN_FILE are both set"} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	if err := execute(t.Context(), newConsumer(environ, "echo", "Echoes", never), &out, "-h"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CONSUMER_ECHO_WORD (default hello)\n        a word", "a secret; or CONSUMER_ECHO_KEY_FILE", "CONSUMER_ADMIN_LISTEN", "NATS_NKEY"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("-h does not say %q:\n%s", want, out.String())
		}
	}
}

// A value that can be read and makes no sense is told with the others, before anything runs.
func TestValues(t *testing.T) {
	for name, mistakes := range map[string][]string{
		"sessions":  {"CONSUMER_SESSIONS_TIMEOUT=-5s", "CONSUMER_SESSIONS_GRACE=-1s", "CONSUMER_SESSIONS_LEASE=0s"},
		"analytics": {"CONSUMER_ANALYTICS_BATCH=0", "CONSUMER_ANALYTICS_TIMEOUT=-1s", "CONSUMER_ANALYTICS_RETENTION=-1h", "CONSUMER_ANALYTICS_DSN=mysql://s3cret"},
		"chat":      {"CONSUMER_CHAT_SETTLE=1s", "CONSUMER_CHAT_QUIET=-1s"},
	} {
		var out bytes.Buffer
		err := execute(t.Context(), newRoot(append(mistakes, "CONSUMER_LOG_FORMAT=xml")), &out, name)
		if err == nil || strings.Contains(out.String(), "the consumer runs") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v\n%s", name, err, out.String())
			continue
		}
		for _, want := range append(mistakes, `CONSUMER_LOG_FORMAT="xml"`) {
			if variable, _, _ := strings.Cut(want, "="); !strings.Contains(err.Error(), "\n"+variable) {
				t.Errorf("%s: %v does not tell %s", name, err, variable)
			}
		}
	}
}
