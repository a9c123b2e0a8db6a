package main

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers/consumerstest"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// scraped returns the metrics of a bridge with its embedded NATS, and of a consumer that reads
// documents, as chat and notify do.
func scraped(t *testing.T) (pages [2]string) {
	t.Helper()
	kit := consumerstest.Start(t)
	b := bridgetest.StartBridge(t, kit.NATS, "NATS_URL=", "BRIDGE_EMBEDDED_LISTEN=127.0.0.1:0")
	b.Post("call=play&name=lobby&addr=192.0.2.1")
	_, pages[0] = b.Admin("/metrics")

	var log consumerstest.Log
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	reader := newConsumer([]string{"NATS_URL=" + kit.URL()}, "reader", "Reads documents", func(ctx context.Context, _ struct{}, s service) error {
		watch := s.monitor.Watch("reader", s.js.Conn())
		defer watch.Leave()
		watch.Refused("documents", nil)
		watch.Attached("")
		<-ctx.Done()
		return nil
	})
	go func() { ended <- execute(ctx, reader, &log) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	bridgetest.Eventually(t, "the consumer shows its documents", func() bool {
		admin := regexp.MustCompile(`admin=(\S+)`).FindStringSubmatch(log.String())
		if admin == nil {
			return false
		}
		pages[1] = strings.TrimPrefix(get(t, admin[1], "/metrics"), "200 ")
		return strings.Contains(pages[1], "\nconsumer_refused_documents{")
	})
	return pages
}

// The metrics keep Prometheus' conventions.
func TestMetricsLint(t *testing.T) {
	for _, page := range scraped(t) {
		problems, err := promlint.New(strings.NewReader(page)).Lint()
		if err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
		promtool(t, page, "check", "metrics")
	}
}

// promtool runs Prometheus' own tool, which CI has.
func promtool(t *testing.T, input string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("no promtool: Debian's package prometheus has it")
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Alerts and dashboard ask for metrics that there are.
func TestExpressionsNameRealMetrics(t *testing.T) {
	have := map[string]bool{"up": true} // Prometheus' own
	for _, page := range scraped(t) {
		for _, m := range regexp.MustCompile(`(?m)^[a-z_]+`).FindAllString(page, -1) {
			have[m] = true
		}
	}
	expressions := dashboardExpressions(t)
	for _, a := range alerts(t) {
		expressions["alert "+a.Alert] = a.Expr
	}
	for where, expr := range expressions {
		names := metricsOf(expr)
		if len(names) == 0 {
			t.Errorf("%s: no metric in %q", where, expr)
		}
		for _, name := range names {
			if !have[name] {
				t.Errorf("%s: there is no metric %s", where, name)
			}
		}
	}
}

// What is no metric in an expression: first texts, matchers, ranges and lists of labels, then
// functions and operators.
var noMetrics = []*regexp.Regexp{
	regexp.MustCompile(`"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring)\s*\([^)]*\)`),
	regexp.MustCompile(`\b\w+\s*\(|\b(?:and|or|unless|offset|bool)\b`),
}

// metricsOf returns the names of the metrics in an expression of PromQL.
func metricsOf(expr string) []string {
	for _, no := range noMetrics {
		expr = no.ReplaceAllString(expr, " ")
	}
	return regexp.MustCompile(`\b[a-zA-Z_:]\w*`).FindAllString(expr, -1)
}
