package decide

import (
	"fmt"
	"strings"
	"testing"
)

func BenchmarkCompile(b *testing.B) {
	document := func(n int, rule func(i int) string) string {
		rules := make([]string, n)
		for i := range rules {
			rules[i] = rule(i)
		}
		return `{"rules":[` + strings.Join(rules, ",") + `]}`
	}
	exact := func(i int) string {
		return fmt.Sprintf(`{"id":"cam-%d","effect":"allow","calls":["publish"],"name":["cam-%d"]}`, i, i)
	}
	full := func(int) string {
		return `{"id":"ingest","effect":"allow","calls":["publish"],"name":["CD6xx-*"],"addr":["17.31.0.0/16"],"custom":{"team":["red"]}}`
	}
	for _, bench := range []struct {
		name  string
		rules int
		rule  func(i int) string
	}{
		{"deny-all", 1, func(int) string { return `{"effect":"deny"}` }},
		{"exact-1", 1, exact},
		{"exact-10", 10, exact},
		{"exact-1k", 1000, exact},
		{"pattern-network-custom-1", 1, full},
	} {
		b.Run(bench.name, func(b *testing.B) {
			data := []byte(document(bench.rules, bench.rule))
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Compile("acme", data); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*bench.rules), "ns/rule")
		})
	}
}
