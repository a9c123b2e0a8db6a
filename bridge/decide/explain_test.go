package decide

import (
	"reflect"
	"testing"

	"bintubridge/subjects"
)

func TestExplain(t *testing.T) {
	table := rulesTable(t, `
		{"id":"winner","effect":"deny","priority":5,"name":["cam-1"]},
		{"id":"beaten","effect":"allow","name":["cam-1"]},
		{"id":"play","effect":"allow","calls":["play"],"name":["cam-1"]},
		{"id":"later","effect":"allow","name":["cam-1"],"not_before":"2026-11-23T12:00:01Z"},
		{"id":"over","effect":"allow","name":["cam-1"],"expires_at":"2026-11-23T12:00:00Z"},
		{"id":"app","effect":"allow","name":["cam-1"],"app":["vod"]},
		{"id":"addr","effect":"allow","name":["cam-1"],"addr":["10.0.0.0/8"]},
		{"id":"token","effect":"allow","priority":8,"name":["cam-1"],"token":{"type":"hmac","field":"t","keys":["k"],"bind":["name"]}},
		{"id":"team","effect":"allow","priority":9,"name":["cam-1"],"custom":{"team":["red"]}},
		{"id":"other","effect":"allow","name":["cam-2"]}`)
	in := Input{Call: subjects.Publish, Name: "cam-1", App: "live", Addr: "17.31.43.214"}
	got := table.Explain(&in, noon)
	if got.Decision != table.Decide(&in, noon) {
		t.Errorf("explains %+v, decides %+v", got.Decision, table.Decide(&in, noon))
	}
	want := []Considered{
		{Rule: "d/team", Effect: Allow, Priority: 9, Outcome: OutcomeFailed, Failed: ConditionCustom, Field: "team"},
		{Rule: "d/token", Effect: Allow, Priority: 8, Outcome: OutcomeFailed, Failed: ConditionToken, Field: "t", Why: ErrTokenMissing.Error()},
		{Rule: "d/winner", Effect: Deny, Priority: 5, Outcome: OutcomeDecides},
		{Rule: "d/addr", Effect: Allow, Outcome: OutcomeFailed, Failed: ConditionAddr},
		{Rule: "d/app", Effect: Allow, Outcome: OutcomeFailed, Failed: ConditionApp},
		{Rule: "d/beaten", Effect: Allow, Outcome: OutcomeOutranked},
		{Rule: "d/later", Effect: Allow, Outcome: OutcomeFailed, Failed: ConditionNotBefore},
		{Rule: "d/over", Effect: Allow, Outcome: OutcomeFailed, Failed: ConditionExpiresAt},
		{Rule: "d/play", Effect: Allow, Outcome: OutcomeFailed, Failed: ConditionCalls},
	}
	if len(got.Considered) != len(want) {
		t.Fatalf("considered %d rules, want %d: %+v", len(got.Considered), len(want), got.Considered)
	}
	for i, c := range got.Considered {
		c.rule = nil
		want[i].Index = IndexName
		if !reflect.DeepEqual(c, want[i]) {
			t.Errorf("got %+v, want %+v", c, want[i])
		}
	}
}

func TestExplainWithoutRules(t *testing.T) {
	for _, in := range []Input{
		{Call: subjects.Publish},
		{Call: subjects.PublishDone, Name: "cam-1"},
		{Call: subjects.Play, Name: "cam-1"},
	} {
		table := rulesTable(t, "")
		if got := table.Explain(&in, noon); got.Decision != table.Decide(&in, noon) || len(got.Considered) != 0 {
			t.Errorf("%+v: %+v", in, got)
		}
	}
}

// Each rule is found by its most telling condition.
func TestExplainIndex(t *testing.T) {
	in := Input{Call: subjects.Publish, Name: "cam-1-hd", App: "live", Addr: "10.0.0.1", Custom: fields("team", "red")}
	for rule, want := range map[string]Index{
		`"name":["cam-1-hd"],"addr":["10.0.0.1"]`:           IndexName,
		`"name":["cam-*"],"app":["live"]`:                   IndexPrefix,
		`"name":["*-hd"],"app":["live"]`:                    IndexPattern,
		`"name":["c*m-1-hd"],"app":["live"]`:                IndexPattern,
		`"name":["*"],"addr":["10.0.0.0/8"]`:                IndexAddr,
		`"app":["live"],"custom":{"team":["red"]}`:          IndexValue,
		`"app":["live"],"custom":{"team":{"present":true}}`: IndexField,
		`"custom":{"x":{"present":false}}`:                  IndexAbsent,
		`"app":["live"],"custom":{"x":{"present":false}}`:   IndexApp,
		`"when":"true"`: IndexRest,
		`"when":"true","custom":{"x":{"present":false}}`: IndexRest,
		`"name":["*"]`: IndexRest,
	} {
		got := rulesTable(t, `{"effect":"allow",`+rule+`}`).Explain(&in, noon)
		if len(got.Considered) != 1 || got.Considered[0].Index != want || got.Considered[0].Outcome != OutcomeDecides {
			t.Errorf("%s: %+v, want by %s", rule, got.Considered, want)
		}
	}
}

// A rule whose token the request has not is not looked at, and told all the same: that
// is what was missing.
func TestExplainTellsOfMissingTokens(t *testing.T) {
	table := rulesTable(t, `{"id":"a","effect":"allow","token":{"type":"hmac","field":"t","keys":["k"],"bind":["name"]}},
		{"id":"b","effect":"deny","shadow":true,"token":{"type":"hmac","field":"t","keys":["k"],"bind":["name"]}}`)
	for name, c := range map[string]struct {
		custom *subjects.Fields
		why    error
	}{
		"no field":      {nil, ErrTokenMissing},
		"another field": {fields("x", "y"), ErrTokenMissing},
		"empty field":   {fields("t", ""), ErrTokenMissing},
		"no token":      {fields("t", "y"), ErrTokenMalformed},
	} {
		got := table.Explain(&Input{Call: subjects.Publish, Name: "cam-1", Custom: c.custom}, noon)
		for _, considered := range [][]Considered{got.Considered, got.Shadow} {
			if len(considered) != 1 || considered[0].Index != IndexToken || considered[0].Outcome != OutcomeFailed ||
				considered[0].Failed != ConditionToken || considered[0].Field != "t" || considered[0].Why != c.why.Error() {
				t.Errorf("%s: %+v", name, considered)
			}
		}
	}
}
