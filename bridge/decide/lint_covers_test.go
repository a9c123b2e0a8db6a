package decide

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Whatever covers a rule is found: the slow way compares each rule with each.
func TestCoveringAgreesWithComparingAll(t *testing.T) {
	found, missed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		docs := drawDocs(t, "documents")
		l := linter{now: noon, table: NewTable(0, Defaults{}, docs)}
		var rules []*rule
		for _, doc := range docs {
			for i := range doc.rules {
				rules = append(rules, &doc.rules[i])
			}
		}
		for _, r := range rules {
			want := ""
			for _, other := range rules {
				if l.mayCover(other) && other.compare(r) < 0 && other.covers(r) {
					want = other.name
				}
			}
			got := l.covering(r)
			if (got != nil) != (want != "") || got != nil && (!l.mayCover(got) || got.compare(r) >= 0 || !got.covers(r)) {
				t.Fatalf("%s is covered by %v, want by %q or another", r.name, got, want)
			}
			if got != nil {
				found++
			} else {
				missed++
			}
		}
	})
	if found == 0 || missed == 0 {
		t.Errorf("%d rules are covered, %d are not: nothing was tested", found, missed)
	}
}

// Rules that no request tells apart are not all compared with each other.
func TestCoveringIsBounded(t *testing.T) {
	var rules []string
	for i := range mostCompared + 10 {
		rules = append(rules, fmt.Sprintf(`{"id":"r%05d","effect":"deny","custom":{"k%d":{"present":false}}}`, i, i))
	}
	doc := mustCompile(t, "d", `{"rules":[`+strings.Join(rules, ",")+`]}`)
	l := linter{now: noon, table: NewTable(0, Defaults{}, []*Document{doc})}
	c := coverSearch{linter: &l, covered: &doc.rules[len(doc.rules)-1]}
	in := c.covered.example()
	s := search{query: query{in: &in, now: noon}, best: c.covered, cover: &c}
	l.table.index(in.Call).visit(&s, l.table.keys)
	if c.compared != mostCompared {
		t.Errorf("compared with %d rules, want %d", c.compared, mostCompared)
	}
}
