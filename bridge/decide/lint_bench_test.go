package decide

import (
	"fmt"
	"runtime"
	"testing"
)

// What a look through all rules takes, and the memory that it needs beside the
// compiled documents. One rule in a hundred is shadowed.
func BenchmarkCheck(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := scaleUp(b, n, allOthers)
			for i := range n / 100 {
				s.docs = append(s.docs, mustCompile(b, fmt.Sprint("shadowed-", i), fmt.Sprintf(`{"rules":[{"id":"out","effect":"allow","priority":-1,"name":[%q]}]}`, streamName(i))))
			}
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			b.ResetTimer()
			for b.Loop() {
				if got := len(Check(s.docs, nil, noon, nil)); got < n/100 {
					b.Fatalf("%d warnings", got)
				}
			}
			runtime.ReadMemStats(&after)
			rules := float64(s.rules + n/100)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rules, "ns/rule")
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/rules, "B/rule")
		})
	}
}
