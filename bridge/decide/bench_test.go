package decide

import (
	"fmt"
	"strings"
	"testing"

	"bintubridge/subjects"
)

type scenario struct {
	name  string
	table *Table
	in    Input
	want  Effect
}

func scenarios(tb testing.TB) []scenario {
	table := func(n int, rule func(i int) string) *Table {
		var docs []*Document
		const perDocument = 1000
		for start := 0; start < n; start += perDocument {
			var rules []string
			for i := start; i < min(n, start+perDocument); i++ {
				rules = append(rules, rule(i))
			}
			docs = append(docs, mustCompile(tb, fmt.Sprintf("d%d", start), `{"rules":[`+strings.Join(rules, ",")+`]}`))
		}
		return NewTable(1, Defaults{}, docs)
	}
	exact := func(i int) string { return fmt.Sprintf(`{"effect":"allow","name":["cam-%d"]}`, i) }
	in := Input{Call: subjects.Publish, Name: "cam-0", App: "live", Addr: "17.31.43.214", Custom: fields("team", "red", "key", strings.Repeat("k", 200))}
	with := func(change func(*Input)) Input { in := in; change(&in); return in }
	cidr := func(i int) string {
		return fmt.Sprintf(`{"effect":"allow","addr":["10.%d.0.0/16","17.%d.0.0/16"]}`, i, i)
	}
	large := table(100_000, exact)
	return []scenario{
		{"none", table(0, exact), in, Deny},
		{"exact-1", table(1, exact), in, Allow},
		{"exact-1k", table(1000, exact), in, Allow},
		{"exact-100k", large, in, Allow},
		{"exact-100k-miss", large, with(func(in *Input) { in.Name = "nobody" }), Deny},
		{"glob-100", table(100, func(i int) string { return fmt.Sprintf(`{"effect":"allow","name":["*%d-*x*"]}`, i) }), in, Deny},
		{"cidr-100", table(100, cidr), in, Allow},
		{"cidr-socket", table(100, cidr), with(func(in *Input) { in.Addr = "unix:/run/x.sock" }), Deny},
		{"cidr-ipv6-zone", table(1, func(int) string { return `{"effect":"allow","addr":["fe80::/10"]}` }), with(func(in *Input) { in.Addr = "fe80::1%eth0" }), Allow},
		{"custom-equal", table(1, func(int) string { return `{"effect":"allow","custom":{"team":["red"]}}` }), in, Allow},
		{"custom-sum", table(1, func(int) string {
			return `{"effect":"allow","custom":{"key":{"sha256":["` + hexSum(strings.Repeat("k", 200)) + `"]}}}`
		}), in, Allow},
		{"prefix-1k", table(1000, func(i int) string { return fmt.Sprintf(`{"effect":"allow","name":["cam-%d*"]}`, i) }), in, Allow},
		{"many-grams", table(1000, func(i int) string { return fmt.Sprintf(`{"effect":"allow","name":["*-%d-*x*"]}`, i) }), with(func(in *Input) { in.Name = manyGrams }), Deny},
		{"many-grams-hit", table(1000, func(i int) string { return fmt.Sprintf(`{"effect":"allow","name":["*-%d-*x*"]}`, i) }), with(func(in *Input) { in.Name = manyGrams + "x" }), Allow},
		{"custom-many-pairs", table(20, func(i int) string { return fmt.Sprintf(`{"effect":"allow","custom":{"x%d":["red"]}}`, i) }), with(func(in *Input) { in.Custom = manyPairs() }), Deny},
		{"unindexed-1k", table(1000, func(i int) string {
			return fmt.Sprintf(`{"effect":"allow","not_before":"2099-01-01T00:00:00Z","priority":%d}`, i)
		}), in, Deny},
		{"unindexed-other-call-1k", table(1000, func(int) string { return `{"effect":"deny","calls":["play"]}` }), in, Deny},
		{"told", table(1, exact), with(func(in *Input) { in.Call = subjects.PublishDone }), Deny},
	}
}

// manyGrams is a name that has the text of as many of a thousand patterns as it has room for.
var manyGrams = func() string {
	var b strings.Builder
	for i := range 400 {
		fmt.Fprintf(&b, "-%d-", i)
	}
	return b.String()
}()

// manyPairs are as many custom fields as a request may carry.
func manyPairs() *subjects.Fields {
	var f subjects.Fields
	for i := range 10_000 {
		f.Add(fmt.Sprint("k", i), "red")
	}
	return &f
}

func TestDecideDoesNotAllocate(t *testing.T) {
	for _, s := range scenarios(t) {
		t.Run(s.name, func(t *testing.T) {
			var got Decision
			if n := testing.AllocsPerRun(100, func() { got = s.table.Decide(&s.in, noon) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
			if got.Effect != s.want {
				t.Errorf("got %+v, want %v", got, s.want)
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, s := range scenarios(b) {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.table.Decide(&s.in, noon)
			}
		})
	}
}
