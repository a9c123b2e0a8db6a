package consumerstest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"bintubridge/consumers"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metric returns the value of a series, as consumer_dead_total{consumer="audit"}, the way
// it is scraped; "" when there is none.
func Metric(t testing.TB, m *consumers.Monitor, series string) string {
	t.Helper()
	registry := prometheus.NewRegistry()
	if err := registry.Register(m); err != nil {
		t.Fatal(err)
	}
	page := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	for line := range strings.Lines(page.Body.String()) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
