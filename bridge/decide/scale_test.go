package decide

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"bintubridge/subjects"
)

// scaled is a rule set of many teams: exact names, and beside them rules of all
// other kinds that no request matches.
type scaled struct {
	docs  []*Document
	names []string // of the exact rules
	rules int
}

func streamName(i int) string { return "CD6xx-" + strconv.Itoa(100_000+i) }

// others are the rules beside exact names.
type others uint8

const (
	noOthers others = iota
	indexedOthers
	allOthers
)

func (o others) String() string { return [...]string{"none", "indexed", "all"}[o] }

// scaleUp makes n exact rules of one document each. The others are 10,000
// prefixes, 10,000 networks, 1,000 rules without either that an index finds and
// 1,000 that none finds for a million.
func scaleUp(tb testing.TB, n int, others others) *scaled {
	s := &scaled{}
	add := func(key, rule string) {
		s.docs = append(s.docs, mustCompile(tb, key, `{"rules":[`+rule+`]}`))
		s.rules++
	}
	for i := range n {
		name := streamName(i)
		s.names = append(s.names, name)
		s.docs = append(s.docs, exactDocument("team-"+strconv.Itoa(i), name))
		s.rules++
	}
	if others == noOthers {
		return s
	}
	for i := range n / 100 {
		add("prefix-"+strconv.Itoa(i), fmt.Sprintf(`{"id":"in","effect":"deny","name":["CD6xx-%d-*"]}`, i))
		add("cidr-"+strconv.Itoa(i), fmt.Sprintf(`{"id":"in","effect":"deny","addr":["10.%d.%d.0/24"]}`, i/256, i%256))
	}
	for i := range n / 1000 {
		rule := []string{
			`{"id":"in","effect":"deny","name":["*-%d-hd"]}`,
			`{"id":"in","effect":"deny","name":["*cam%d*preview*"]}`,
			`{"id":"in","effect":"deny","custom":{"team":["blue-%d"]}}`,
			`{"id":"in","effect":"deny","custom":{"key-%d":{"present":true}}}`,
			`{"id":"in","effect":"deny","app":["app-%d"]}`,
		}[i%5]
		add("other-"+strconv.Itoa(i), fmt.Sprintf(rule, i))
	}
	for i := range n / 1000 {
		if others == allOthers {
			add("unindexed-"+strconv.Itoa(i), unindexed[i%len(unindexed)])
		}
	}
	return s
}

// unindexed are rules that no name, address, application or value of a request brings
// up, and that those of the benchmarks do not match.
var unindexed = []string{
	`{"id":"in","effect":"deny","not_before":"2099-01-01T00:00:00Z"}`,
	`{"id":"in","effect":"deny","expires_at":"2020-01-01T00:00:00Z"}`,
	`{"id":"in","effect":"deny","calls":["play"]}`,
	`{"id":"in","effect":"deny","custom":{"team":{"present":false}}}`,
	`{"id":"in","effect":"deny","token":{"type":"hmac","field":"token","keys":["k"],"bind":["name"]}}`,
}

// exactDocument is what Compile makes of one rule with one name, and quicker.
func exactDocument(key, name string) *Document {
	r := rule{name: key + "/in", calls: startingCalls, effect: Allow}
	r.pack(&conditions{streams: []string{name}})
	return &Document{key: key, rules: []rule{r}}
}

// request is what a publisher of the name sends.
func request(name string) Input {
	return Input{Call: subjects.Publish, Name: name, App: "live", Addr: "17.31.43.214", Custom: fields("team", "red", "tier", "pro")}
}

var scales = []int{1_000, 100_000, 1_000_000}

// plainMap is what a decision is measured against: a Go map of the same names.
func plainMap(names []string) map[string]*rule {
	m := make(map[string]*rule, len(names))
	for _, name := range names {
		m[string([]byte(name))] = &rule{name: name}
	}
	return m
}

var sink int

// BenchmarkBesideMap measures decisions and look-ups in a plain Go map of the
// same names in turn, by the same random names, in chunks so short that few of
// them are interrupted. Within a chunk each name is known only after the answer
// before it, as with requests: a processor works on several look-ups at once
// otherwise, and on one decision. What it tells is the median chunk and the
// percentiles of single requests.
func BenchmarkBesideMap(b *testing.B) {
	for _, n := range scales {
		for _, others := range []others{noOthers, indexedOthers, allOthers} {
			s := scaleUp(b, n, others)
			t := NewTable(1, Defaults{}, s.docs)
			plain := plainMap(s.names)
			for _, hit := range []bool{true, false} {
				b.Run(fmt.Sprintf("rules=%d/others=%v/hit=%v", n, others, hit), func(b *testing.B) {
					besideMap(b, t, plain, n, hit)
				})
			}
		}
	}
}

func besideMap(b *testing.B, t *Table, plain map[string]*rule, n int, hit bool) {
	in := request("")
	inMap := func(name string) int {
		if r := plain[name]; r != nil {
			return len(r.name)
		}
		return 0
	}
	inTable := func(name string) int {
		in.Name = name
		return len(t.Decide(&in, noon).Rule)
	}
	names := make([]string, 256)
	draw := func() {
		for i := range names {
			k := rand.IntN(n)
			if !hit {
				k += 10 * n
			}
			names[i] = streamName(k)
		}
	}
	chunk := func(ask func(string) int) time.Duration {
		draw()
		start := time.Now()
		for at := 0; at < len(names); {
			at += 1 + ask(names[at])>>16 // no rule's name is as long
		}
		return time.Since(start)
	}
	single := func(ask func(string) int, took []time.Duration) []time.Duration {
		draw()
		for _, name := range names {
			start := time.Now()
			sink += ask(name)
			took = append(took, time.Since(start))
		}
		return took
	}
	chunks, singles := [2][]time.Duration{}, [2][]time.Duration{}
	for b.Loop() {
		for i, ask := range []func(string) int{inMap, inTable} {
			chunks[i] = append(chunks[i], chunk(ask))
			singles[i] = single(ask, singles[i])
		}
	}
	at := func(took []time.Duration, perMille int) float64 {
		slices.Sort(took)
		return float64(took[len(took)*perMille/1000])
	}
	inOne := float64(len(names))
	b.ReportMetric(at(chunks[0], 500)/inOne, "map-ns")
	b.ReportMetric(at(chunks[1], 500)/inOne, "table-ns")
	b.ReportMetric(at(chunks[1], 500)/at(chunks[0], 500), "table/map")
	b.ReportMetric(at(singles[0], 500), "map-p50-ns") // singles have the clock's own cost in them
	b.ReportMetric(at(singles[1], 500), "table-p50-ns")
	b.ReportMetric(at(singles[1], 500)/at(singles[0], 500), "p50-table/map")
	b.ReportMetric(at(singles[0], 990), "map-p99-ns")
	b.ReportMetric(at(singles[1], 990), "table-p99-ns")
	b.ReportMetric(0, "ns/op")
}

// Neither a name that has a rule nor one that has none costs an allocation, whatever
// other rules are looked at.
func TestScaleDoesNotAllocate(t *testing.T) {
	s := scaleUp(t, 10_000, allOthers)
	table := NewTable(1, Defaults{}, s.docs)
	for name, want := range map[string]string{s.names[7]: "team-7/in", streamName(10_000_000): ""} {
		in := request(name)
		var got Decision
		if n := testing.AllocsPerRun(1000, func() { got = table.Decide(&in, noon) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		if got.Rule != want {
			t.Errorf("%s: %+v, want %q", name, got, want)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkLoad builds a table from documents, and tells what it and they take.
func BenchmarkLoad(b *testing.B) {
	for _, n := range scales {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			before := heap()
			s := scaleUp(b, n, allOthers)
			s.names = nil
			text := 0
			for _, doc := range s.docs {
				text += len(doc.key)
				for i := range doc.rules {
					text += len(doc.rules[i].name)
				}
			}
			docs := heap()
			var t *Table
			for b.Loop() {
				t = NewTable(1, Defaults{}, s.docs)
			}
			after := heap()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(s.rules), "ns/rule")
			b.ReportMetric(float64(after-docs)/float64(s.rules), "index-B/rule")
			b.ReportMetric((float64(after-before)-float64(text))/float64(s.rules), "B/rule")
			runtime.KeepAlive(t)
			runtime.KeepAlive(s)
		})
	}
}

// BenchmarkPush replaces one document of a large table, alone and in batches.
func BenchmarkPush(b *testing.B) {
	for _, n := range scales {
		s := scaleUp(b, n, allOthers)
		t := NewTable(1, Defaults{}, s.docs)
		for _, kind := range []string{"exact", "prefix", "cidr"} {
			for _, batch := range []int{1, 100} {
				b.Run(fmt.Sprintf("rules=%d/kind=%s/batch=%d", n, kind, batch), func(b *testing.B) {
					var old, doc []*Document
					for i := range min(n/100, 1000) {
						at := i
						switch kind {
						case "prefix":
							at = n + 2*i
						case "cidr":
							at = n + 2*i + 1
						}
						was := s.docs[at]
						changed := *was
						changed.rules = slices.Clone(was.rules)
						changed.rules[0].priority++
						old, doc = append(old, was), append(doc, &changed)
					}
					b.ReportAllocs()
					t, i := t, 0
					for b.Loop() {
						edit := t.Edit()
						for range batch {
							at := i % len(old)
							edit.Replace(old[at], doc[at])
							old[at], doc[at] = doc[at], old[at]
							i++
						}
						t = edit.Table(1)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/push")
				})
			}
		}
	}
}
