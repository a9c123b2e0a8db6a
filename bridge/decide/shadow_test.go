package decide

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"bintubridge/subjects"
)

// shadowOf returns the recorded rules as "rule effect".
func shadowOf(table *Table, in *Input) []string {
	var got []string
	for _, s := range table.Shadow(new(Shadows), in, noon) {
		got = append(got, s.Rule+" "+s.Effect)
	}
	return got
}

func TestShadow(t *testing.T) {
	table := rulesTable(t, `
		{"id":"in-force","effect":"allow"},
		{"id":"wild","effect":"deny","shadow":true,"name":["cam-1","cam-*"]},
		{"id":"exact","effect":"allow","shadow":true,"name":["cam-1"]},
		{"id":"first","effect":"allow","shadow":true,"priority":7},
		{"id":"other","effect":"deny","shadow":true,"name":["dam"]},
		{"id":"plain","effect":"deny","shadow":false,"name":["dam"]}`)
	in := Input{Call: subjects.Publish, Name: "cam-1"}
	if got := table.Decide(&in, noon); got != (Decision{Effect: Allow, Rule: "d/in-force"}) {
		t.Errorf("a shadow rule was enforced: %+v", got)
	}
	if got, want := shadowOf(table, &in), []string{"d/first allow", "d/wild deny", "d/exact allow"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, in := range []Input{{Call: subjects.Publish}, {Call: subjects.PublishDone, Name: "cam-1"}, {Call: subjects.UpdatePlay, Name: "cam-1"}} {
		if got := shadowOf(table, &in); len(got) > 0 {
			t.Errorf("%v of %q: %q", in.Call, in.Name, got)
		}
	}
	if table.Rules() != 6 {
		t.Errorf("%d rules", table.Rules())
	}
	explained := table.Explain(&in, noon)
	if len(explained.Considered) != 1 || len(explained.Shadow) < 3 || explained.Shadow[0].Rule != "d/first" || explained.Shadow[0].Outcome != OutcomeRecorded {
		t.Errorf("%+v", explained)
	}
}

// Of many, those that would decide first are recorded, whatever order they come in.
func TestShadowIsBounded(t *testing.T) {
	var rules []string
	for i := range 2 * MaxShadow {
		rules = append(rules, fmt.Sprintf(`{"id":"r%02d","effect":"deny","shadow":true,"priority":%d,"name":["%s"]}`, i, i*7%16, []string{"cam-1", "cam-*"}[i%2]))
	}
	table := rulesTable(t, strings.Join(rules, ","))
	in := Input{Call: subjects.Publish, Name: "cam-1"}
	var want []string
	for priority := 15; priority > 15-MaxShadow; priority-- {
		want = append(want, fmt.Sprintf("d/r%02d deny", priority*7%16)) // 7 is its own inverse
	}
	if got := shadowOf(table, &in); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestShadowDoesNotAllocate(t *testing.T) {
	var rules []string
	for i := range 2 * MaxShadow {
		rules = append(rules, fmt.Sprintf(`{"effect":"deny","shadow":true,"priority":%d}`, i))
	}
	table := rulesTable(t, strings.Join(rules, ","))
	in := Input{Call: subjects.Publish, Name: "cam-1"}
	var memory Shadows
	var found []subjects.ShadowDecision
	if n := testing.AllocsPerRun(100, func() { found = table.Shadow(&memory, &in, noon) }); n != 0 || len(found) != MaxShadow {
		t.Errorf("%v allocations for %d rules", n, len(found))
	}
}

// Shadow rules come and go with their documents, and become real ones.
func TestShadowOfEdits(t *testing.T) {
	const rule = `{"rules":[{"id":"r","effect":"allow"%s}]}`
	compile := func(key, more string) *Document { return mustCompile(t, key, fmt.Sprintf(rule, more)) }
	a, b, real := compile("a", `,"shadow":true`), compile("b", `,"shadow":true`), compile("a", "")
	in := Input{Call: subjects.Publish, Name: "cam-1"}
	table := &Table{}
	expect := func(what string, effect Effect, rules int, shadow ...string) {
		t.Helper()
		if got := table.Decide(&in, noon).Effect; got != effect {
			t.Errorf("%s: %v", what, got)
		}
		if got := shadowOf(table, &in); !slices.Equal(got, shadow) || table.Rules() != rules {
			t.Errorf("%s: %q of %d rules", what, got, table.Rules())
		}
	}
	replace := func(old, doc *Document) {
		before := shadowOf(table, &in)
		edit := table.Edit()
		edit.Replace(old, doc)
		changed := edit.Table(2)
		if got := shadowOf(table, &in); !slices.Equal(got, before) {
			t.Errorf("the table before was changed: %q", got)
		}
		table = changed
	}
	replace(nil, a)
	expect("one", Deny, 1, "a/r allow")
	replace(nil, b)
	expect("two", Deny, 2, "a/r allow", "b/r allow")
	replace(a, real)
	expect("one is enforced now", Allow, 2, "b/r allow")
	replace(b, nil)
	expect("the other removed", Allow, 1)
	if table.shadow != nil {
		t.Error("a table without shadow rules pays for them")
	}
	replace(real, a)
	expect("back in the shadow", Deny, 1, "a/r allow")
}
