package decide

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"bintubridge/subjects"

	"pgregory.net/rapid"
)

func TestBare(t *testing.T) {
	tests := []struct {
		name, rules string
		want        bool
	}{
		{"no rules", ``, true},
		{"a stream name", `{"effect":"allow","name":["a"]}`, true},
		{"with calls and priority", `{"effect":"deny","name":["a"],"calls":["play"],"priority":-7,"id":"x"}`, true},
		{"two of them", `{"effect":"allow","name":["a"]},{"effect":"deny","name":["b"]}`, true},
		{"the same name twice", `{"effect":"allow","name":["a","a"]}`, true},
		{"one with a pattern", `{"effect":"allow","name":["a"]},{"effect":"deny","name":["b*"]}`, false},
		{"two names", `{"effect":"allow","name":["a","b"]}`, false},
		{"any name", `{"effect":"allow"}`, false},
		{"a reason", `{"effect":"deny","name":["a"],"reason":"r"}`, true},
		{"a long reason", `{"effect":"deny","name":["a"],"reason":"` + strings.Repeat("r", 200) + `"}`, true},
		{"apps", `{"effect":"deny","name":["a"],"app":["live","vod"]}`, true},
		{"as much as goes", `{"effect":"deny","name":["a"],"app":["` + strings.Repeat("a", maxConditions-bareTimes-2*textHead) + `"]}`, true},
		{"one byte more", `{"effect":"deny","name":["a"],"app":["` + strings.Repeat("a", maxConditions-bareTimes-2*textHead+1) + `"]}`, false},
		{"times", `{"effect":"deny","name":["a"],"not_before":"2026-01-01T00:00:00Z","expires_at":"9999-01-01T00:00:00.5Z"}`, true},
		{"a network", `{"effect":"deny","name":["a"],"addr":["10.0.0.0/8"]}`, false},
		{"a field", `{"effect":"deny","name":["a"],"custom":{"f":{"present":true}}}`, false},
		{"an expression", `{"effect":"deny","name":["a"],"when":"true"}`, false},
		{"shadow", `{"effect":"deny","name":["a"],"shadow":true}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := mustCompile(t, "d", `{"rules":[`+tt.rules+`]}`).Bare(); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// A bare rule comes out of a table as it went in.
func TestBareBytes(t *testing.T) {
	drawTime := rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "second"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanosecond"))
	})
	drawConditions := rapid.Custom(func(t *rapid.T) *conditions {
		return &conditions{
			notBefore: drawTime.Draw(t, "not before"), expiresAt: drawTime.Draw(t, "expires at"),
			reason: rapid.StringN(0, 20, -1).Draw(t, "reason"), apps: rapid.SliceOfN(rapid.StringN(0, 20, -1), 1, 5).Draw(t, "apps"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		var bytes []byte
		var want []rule
		for range rapid.IntRange(1, 5).Draw(t, "rules") {
			r := rule{
				name: rapid.StringN(1, 300, -1).Draw(t, "name"), stream: "cam",
				priority: rapid.Int32().Draw(t, "priority"), calls: callSet(rapid.Uint16().Draw(t, "calls")),
				effect: Effect(rapid.IntRange(0, 1).Draw(t, "effect")),
				more:   rapid.OneOf(rapid.Just[*conditions](nil), drawConditions).Draw(t, "conditions"),
			}
			want, bytes = append(want, r), appendBare(bytes, &r)
		}
		list := string(bytes)
		for i := range want {
			var got bareRule
			if got, list = cutBare(list, "cam"); !reflect.DeepEqual(*got.whole(), want[i]) {
				t.Fatalf("rule %d: got %+v, want %+v", i, got, want[i])
			}
			if got.conditions.reason() != want[i].reason() {
				t.Fatalf("rule %d: reason %q, want %q", i, got.conditions.reason(), want[i].reason())
			}
		}
		if list != "" {
			t.Fatalf("%q left", list)
		}
	})
}

// The conditions of a bare rule hold when those of any other rule would.
func TestBareConditions(t *testing.T) {
	const times = `"not_before":"2026-01-01T00:00:00Z","expires_at":"2026-02-01T00:00:00Z"`
	tests := []struct {
		name, rule, app, now string
		want                 bool
	}{
		{"no conditions", ``, "live", "2026-01-15T00:00:00Z", true},
		{"the app", `,"app":["vod","live"]`, "live", "2026-01-15T00:00:00Z", true},
		{"another app", `,"app":["vod","live"]`, "liv", "2026-01-15T00:00:00Z", false},
		{"no app", `,"app":["vod","live"]`, "", "2026-01-15T00:00:00Z", false},
		{"any app, with a reason", `,"reason":"contract"`, "", "2026-01-15T00:00:00Z", true},
		{"too early", "," + times, "live", "2025-12-31T23:59:59.999999999Z", false},
		{"just in time", "," + times, "live", "2026-01-01T00:00:00Z", true},
		{"at the last moment", "," + times, "live", "2026-01-31T23:59:59.999999999Z", true},
		{"too late", "," + times, "live", "2026-02-01T00:00:00Z", false},
		{"in time, another app", `,"app":["vod"],` + times, "live", "2026-01-15T00:00:00Z", false},
		{"no times, before the zero one", `,"reason":"contract"`, "live", "0000-06-01T00:00:00Z", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc := mustCompile(t, "d", `{"rules":[{"id":"r","effect":"allow","name":["cam"]`+tt.rule+`}]}`)
			if !doc.Bare() {
				t.Fatal("not bare")
			}
			now, err := time.Parse(time.RFC3339Nano, tt.now)
			if err != nil {
				t.Fatal(err)
			}
			table := NewTable(1, Defaults{}, []*Document{doc})
			in := &Input{Call: subjects.Publish, Name: "cam", App: tt.app}
			d := table.Decide(in, now)
			if got := d.Effect == Allow; got != tt.want {
				t.Errorf("got %+v", d)
			}
			c := newCandidate(&doc.rules[0], anyGlob)
			if got := c.fails(&query{in: in, now: now}) == NoCondition; got != tt.want {
				t.Errorf("as another rule: %v", got)
			}
			if e := table.Explain(in, now); e.Decision != d || len(e.Considered) != 1 || (e.Considered[0].Failed == NoCondition) != tt.want {
				t.Errorf("explained as %+v", e)
			}
			if allocations := testing.AllocsPerRun(100, func() { table.Decide(in, now) }); allocations != 0 {
				t.Errorf("%v allocations", allocations)
			}
		})
	}
}

// However many rules say something of one stream name, in whatever order they come and
// go, the right one decides, and nothing is left of them.
func TestCrowdOfOneName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := map[string]string{}
		for i := range rapid.IntRange(1, 4*enough).Draw(t, "documents") {
			effect := Effect(rapid.IntRange(0, 1).Draw(t, "effect"))
			texts[fmt.Sprint("d", i)] = fmt.Sprintf(`{"rules":[{"effect":%q,"name":["cam"],"priority":%d}]}`, effect, rapid.IntRange(0, 9).Draw(t, "priority"))
		}
		order := rapid.Permutation(slices.Sorted(maps.Keys(texts)))
		edit := new(Table).Edit()
		for _, key := range order.Draw(t, "coming") {
			edit.Replace(nil, mustCompile(t, key, texts[key]))
		}
		docs := map[string]oracleDocument{}
		for key, text := range texts {
			docs[key] = readOracleDocument([]byte(text))
		}
		in := &Input{Call: subjects.Publish, Name: "cam"}
		for _, key := range order.Draw(t, "going") {
			before := edit.Table(1)
			want := oracleDecide(docs, Defaults{}, in, noon)
			edit.Replace(mustCompile(t, key, texts[key]), nil)
			delete(docs, key)
			if got := before.Decide(in, noon); got != want {
				t.Fatalf("with %d rules: got %+v, want %+v", len(docs)+1, got, want)
			}
			if got := len(before.Explain(in, noon).Considered); got != len(docs)+1 {
				t.Fatalf("with %d rules: %d considered", len(docs)+1, got)
			}
		}
		if x := edit.Table(1).starting; x.bare.lists.Len()+x.names.trie.count != 0 || x.reach[partBare].entries+x.reach[partName].entries != 0 {
			t.Fatalf("left: %+v", x.reach)
		}
	})
}

// However many rules there are for one stream name of an app, no other name of the app
// has to do with them.
func TestCrowdOfOneNameAndApp(t *testing.T) {
	var docs []*Document
	for i := range 4 * enough {
		docs = append(docs, mustCompile(t, fmt.Sprint("d", i), `{"rules":[{"effect":"allow","name":["cam"],"app":["live"]},{"effect":"allow","name":["cam","door"],"app":["live"]}]}`))
	}
	table := NewTable(1, Defaults{}, docs)
	for name, want := range map[string]int{"cam": 2 * len(docs), "door": len(docs), "other": 0} {
		in := &Input{Call: subjects.Publish, Name: name, App: "live"}
		if got := len(table.Explain(in, noon).Considered); got != want {
			t.Errorf("%s: %d rules considered, want %d", name, got, want)
		}
	}
}

// The name of the deciding rule stays what it is when the table has changed.
func TestNameOfADecisionStays(t *testing.T) {
	edit := new(Table).Edit()
	var docs []*Document
	for i := range 100 {
		docs = append(docs, mustCompile(t, fmt.Sprint("doc", i), fmt.Sprintf(`{"rules":[{"effect":"allow","name":["cam%d"],"id":"first"}]}`, i)))
		edit.Replace(nil, docs[i])
	}
	d := edit.Table(1).Decide(&Input{Call: subjects.Publish, Name: "cam7"}, noon)
	want := strings.Clone(d.Rule)
	for i, doc := range docs {
		edit.Replace(doc, mustCompile(t, fmt.Sprint("doc", i), fmt.Sprintf(`{"rules":[{"effect":"deny","name":["cam%d"],"id":"other"}]}`, i)))
	}
	edit.Table(2)
	if d.Rule != want || want != "doc7/first" {
		t.Errorf("was %q, is %q", want, d.Rule)
	}
}
