package decide

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// version is a table and the documents it must answer by.
type version struct {
	table *Table
	docs  map[string]oracleDocument
}

// editMachine changes a table at random and keeps some of the versions it had.
type editMachine struct {
	defaults Defaults
	docs     map[string]*Document // in force
	now      version
	old      []version
}

func newEditMachine(t *rapid.T) *editMachine {
	d := Defaults{
		Publish: Effect(rapid.IntRange(0, 1).Draw(t, "default publish")),
		Play:    Effect(rapid.IntRange(0, 1).Draw(t, "default play")),
	}
	return &editMachine{
		defaults: d,
		docs:     map[string]*Document{},
		now:      version{table: NewTable(0, d, nil), docs: map[string]oracleDocument{}},
	}
}

// Edit puts, replaces and deletes some documents at once.
func (m *editMachine) Edit(t *rapid.T) {
	m.old = append(m.old, m.now)
	m.now.docs = maps.Clone(m.now.docs)
	edit := m.now.table.Edit()
	for range rapid.IntRange(1, 4).Draw(t, "changes") {
		key := fmt.Sprintf("doc%d", rapid.IntRange(0, 5).Draw(t, "document"))
		old := m.docs[key]
		if old != nil && rapid.Bool().Draw(t, "old one compiled again?") {
			old = mustCompile(t, key, old.Source())
		}
		if rapid.IntRange(0, 3).Draw(t, "delete?") == 0 {
			edit.Replace(old, nil)
			delete(m.docs, key)
			delete(m.now.docs, key)
			continue
		}
		text := drawDocument(t)
		doc, err := Compile(key, text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		edit.Replace(old, doc)
		m.docs[key], m.now.docs[key] = doc, readOracleDocument(text)
		if rapid.IntRange(0, 3).Draw(t, "look meanwhile?") == 0 {
			m.old = append(m.old, version{edit.Table(1), maps.Clone(m.now.docs)})
		}
	}
	m.now.table = edit.Table(uint64(len(m.old)))
}

// Rebuild makes the table anew, in another order.
func (m *editMachine) Rebuild(t *rapid.T) {
	docs := rapid.Permutation(slices.Collect(maps.Values(m.docs))).Draw(t, "order")
	m.now.table = NewTable(1, m.defaults, docs)
}

// Empty deletes all documents, which must leave nothing behind.
func (m *editMachine) Empty(t *rapid.T) {
	edit := m.now.table.Edit()
	for _, key := range rapid.Permutation(slices.Sorted(maps.Keys(m.docs))).Draw(t, "order") {
		edit.Replace(m.docs[key], nil)
	}
	indexes := []*index{&edit.table.starting, &edit.table.running}
	if edit.shadow != nil {
		indexes = append(indexes, &edit.shadow.table.starting, &edit.shadow.table.running)
	}
	for _, x := range indexes {
		if x.bare.lists.Len()+x.names.trie.count+x.prefixes.trie.count+x.grams.trie.count+x.values.count+x.fields.len()+x.absent.len()+x.apps.count+len(x.rest)+len(x.prefixLengths)+len(x.gramSizes) != 0 || x.addrs != nil {
			t.Fatalf("left after all was deleted: %+v", x)
		}
		for part, reach := range x.reach {
			if reach.entries != 0 {
				t.Fatalf("part %d counts %d entries after all was deleted", part, reach.entries)
			}
		}
	}
}

// Decide asks the table, and one it was before, as the oracle is asked.
func (m *editMachine) Decide(t *rapid.T) {
	m.check(t, m.now)
	if len(m.old) > 0 {
		m.check(t, rapid.SampledFrom(m.old).Draw(t, "old version"))
	}
}

func (m *editMachine) check(t *rapid.T, v version) {
	for range 8 {
		in, now := drawInput(t), drawTime.Draw(t, "now")
		want := oracleDecide(v.docs, m.defaults, in, now)
		if got := v.table.Decide(in, now); got != want {
			t.Fatalf("got %+v, want %+v\nfor %+v at %v\nof %+v", got, want, in, now, v.docs)
		}
		if got, want := v.table.Shadow(new(Shadows), in, now), oracleShadow(v.docs, in, now); !slices.Equal(got, want) {
			t.Fatalf("shadow: got %+v, want %+v\nfor %+v at %v\nof %+v", got, want, in, now, v.docs)
		}
		explained := v.table.Explain(in, now)
		if explained.Decision != want {
			t.Fatalf("explains %+v, want %+v\nfor %+v at %v\nof %+v", explained.Decision, want, in, now, v.docs)
		}
		checkConsidered(t, v, in, explained)
	}
	rules := 0
	for _, doc := range v.docs {
		rules += len(doc.Rules)
	}
	if v.table.Rules() != rules {
		t.Fatalf("%d rules, want %d", v.table.Rules(), rules)
	}
}

// checkConsidered holds an explanation to what it promises: each rule once, in
// order, one of them deciding when a rule does.
func checkConsidered(t *rapid.T, v version, in *Input, e Explanation) {
	seen := map[string]bool{}
	decides := ""
	for i, c := range e.Considered {
		if seen[c.Rule] {
			t.Fatalf("%s is considered twice for %+v", c.Rule, in)
		}
		seen[c.Rule] = true
		if i > 0 && e.Considered[i-1].Priority < c.Priority {
			t.Fatalf("%s stands after a lower one", c.Rule)
		}
		if (c.Outcome == OutcomeFailed) != (c.Failed != NoCondition) {
			t.Fatalf("%s: %s by %q", c.Rule, c.Outcome, c.Failed)
		}
		if c.Outcome == OutcomeDecides {
			decides = c.Rule
		}
	}
	if decides != e.Decision.Rule {
		t.Fatalf("%q decides, the decision is by %q, of %+v", decides, e.Decision.Rule, v.docs)
	}
}

// drawDocument draws different rules, or many that differ in little.
func drawDocument(t *rapid.T) []byte {
	rules := []any{}
	if rapid.IntRange(0, 3).Draw(t, "crowd?") == 0 {
		model := drawRule(t, "")
		delete(model, "when") // compiling so many takes long
		varied := rapid.SampledFrom([]string{"", "name", "prefix", "pattern", "addr", "custom", "app", "priority", "calls", "not_before", "expires_at"}).Draw(t, "varied")
		for i := range rapid.IntRange(1, 150).Draw(t, "rules") {
			rules = append(rules, variant(model, varied, i))
		}
	} else {
		for i := range rapid.IntRange(0, 5).Draw(t, "rules") {
			rules = append(rules, drawRule(t, fmt.Sprintf("r%d", i)))
		}
	}
	text, err := json.Marshal(map[string]any{"rules": rules})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func variant(model map[string]any, varied string, i int) map[string]any {
	rule := maps.Clone(model)
	rule["id"] = fmt.Sprintf("r%d", i)
	switch varied {
	case "name":
		rule[varied] = []string{fmt.Sprintf("cam-%d", i), "a*"}
	case "prefix":
		rule["name"] = []string{fmt.Sprintf("cam-%d*", i)}
	case "pattern":
		rule["name"] = []string{fmt.Sprintf("*-%d-hd", i), "*b*"}
	case "addr":
		rule[varied] = []string{fmt.Sprintf("10.0.0.%d", i), fmt.Sprintf("2001:db8:%x::/48", i)}
	case "custom":
		rule[varied] = map[string]any{"team": []string{"x", fmt.Sprint(i)}}
	case "app":
		rule[varied] = []string{"b", "c", "d", "e", "f", "live", "g", "h", "i", "a"}[i%2:]
	case "priority":
		rule[varied] = i % 7
	case "calls":
		rule[varied] = []string{[]string{"publish", "play", "connect"}[i*3/150]}
	case "not_before":
		rule[varied] = noon.Add(time.Duration(i/40-1) * time.Second).Format(time.RFC3339)
		delete(rule, "expires_at")
	case "expires_at":
		rule[varied] = noon.Add(time.Duration(i/40-1) * time.Second).Format(time.RFC3339)
		delete(rule, "not_before")
	}
	return rule
}

// Whatever is put, replaced and deleted, in whatever order: the table answers as
// the oracle does, and every table it was before still does.
func TestEditsAgreeWithOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newEditMachine(t)
		t.Repeat(map[string]func(*rapid.T){"edit": m.Edit, "rebuild": m.Rebuild, "empty": m.Empty, "decide": m.Decide})
	})
}
