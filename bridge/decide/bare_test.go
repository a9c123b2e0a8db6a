package decide

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

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
		{"a reason", `{"effect":"deny","name":["a"],"reason":"r"}`, false},
		{"an app", `{"effect":"deny","name":["a"],"app":["live"]}`, false},
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
	rapid.Check(t, func(t *rapid.T) {
		var bytes []byte
		var want []rule
		for range rapid.IntRange(1, 5).Draw(t, "rules") {
			r := rule{
				name: rapid.StringN(1, 300, -1).Draw(t, "name"), stream: "cam",
				priority: rapid.Int32().Draw(t, "priority"), calls: callSet(rapid.Uint16().Draw(t, "calls")),
				effect: Effect(rapid.IntRange(0, 1).Draw(t, "effect")),
			}
			want, bytes = append(want, r), appendBare(bytes, &r)
		}
		list := string(bytes)
		for i := range want {
			var got rule
			if got, list = cutBare(list, "cam"); got != want[i] {
				t.Fatalf("rule %d: got %+v, want %+v", i, got, want[i])
			}
		}
		if list != "" {
			t.Fatalf("%q left", list)
		}
	})
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
