package decide

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bintubridge/subjects"
)

// Most rules want tokens of their own or run an expression that costs, more of them
// than one request may ask for: what the decision does not look at must not use up
// what it may.
func TestExplainDecidesAsDecide(t *testing.T) {
	there := map[string]*Key{}
	for i := range 120 {
		there[fmt.Sprintf("k%d", i)] = secret(t, fmt.Sprintf("%s %d", testSecret, i%20))
	}
	keys := NewKeys(there)
	beyond := 0
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.IntRange(60, 120).Draw(t, "rules")
		var docs []*Document
		for i := range rules {
			rule := drawDearRule(t, fmt.Sprint(i))
			text, err := json.Marshal(map[string]any{"rules": []any{rule}})
			if err != nil {
				t.Fatal(err)
			}
			doc, err := Compile(fmt.Sprintf("doc%d", i), text)
			if err != nil {
				t.Fatal(err)
			}
			docs = append(docs, doc)
		}
		in := &Input{Call: subjects.Publish, Name: rapid.SampledFrom([]string{"cam-1", "cam-2", "a"}).Draw(t, "stream"), Addr: drawAddr.Draw(t, "addr"), Keys: keys, Custom: &subjects.Fields{}}
		in.Custom.Add("t", signHMAC(fmt.Sprintf("%s %d", testSecret, rapid.IntRange(0, 20).Draw(t, "key")), noon.Add(time.Hour), in.Name))
		in.Custom.Add("k", "x")
		table := NewTable(0, Defaults{Play: Allow}, docs)
		got, decided := table.Explain(in, noon), table.Decide(in, noon)
		checkExplanation(t, got, decided)
		var recorded []string
		for _, c := range got.Shadow {
			if c.Outcome == OutcomeRecorded {
				recorded = append(recorded, c.Rule+" "+c.Effect.String())
			}
		}
		if want := shadowOf(table, in); !slices.Equal(recorded, want) {
			t.Fatalf("recorded %q, explained %q", want, recorded)
		}
		review := NewReview(Defaults{Play: Allow}, docs).Explain(in, noon)
		if review.Undecidable || review.Decision != decided || !slices.Equal(outcomes(review.Considered), outcomes(got.Considered)) {
			t.Fatalf("a review explains %+v, %q\nthe table %+v, %q", review.Decision, outcomes(review.Considered), got.Decision, outcomes(got.Considered))
		}
		if slices.ContainsFunc(got.Considered, func(c Considered) bool { return strings.Contains(c.Why, ErrTokenCost.Error()) }) {
			beyond++
		}
	})
	if beyond == 0 {
		t.Error("no request asked for too many tokens")
	}
}

// checkExplanation compares an explanation with the decision that it explains.
func checkExplanation(t *rapid.T, got Explanation, decided Decision) {
	if got.Decision != decided {
		t.Fatalf("explains %+v, decides %+v", got.Decision, decided)
	}
	var decides []string
	for i, c := range got.Considered {
		switch {
		case c.Outcome == OutcomeDecides:
			decides = append(decides, c.Rule)
		case c.Failed == NoCondition && len(decides) == 0:
			t.Fatalf("%+v holds and goes before what decides, %+v", c, decided)
		}
		if i > 0 && got.Considered[i-1].Rule == c.Rule {
			t.Fatalf("%s is told twice", c.Rule)
		}
	}
	if want := slices.DeleteFunc([]string{decided.Rule}, func(rule string) bool { return rule == "" }); !slices.Equal(decides, want) {
		t.Fatalf("%q decides, want %q", decides, want)
	}
}

// drawDearRule draws a rule that most requests look at, and that few conditions but a
// token or an expression stand in the way of.
func drawDearRule(t *rapid.T, id string) map[string]any {
	rule := map[string]any{
		"id":       id,
		"effect":   rapid.SampledFrom([]string{"allow", "deny"}).Draw(t, "effect"),
		"priority": rapid.IntRange(-2, 2).Draw(t, "priority"),
		"shadow":   rapid.IntRange(0, 3).Draw(t, "shadow") == 3,
	}
	if names := rapid.SampledFrom([][]string{nil, {"cam-1"}, {"cam-*", "*-1"}, {"cam-2", "*m-1*"}}).Draw(t, "name"); names != nil {
		rule["name"] = names
	}
	switch rapid.SampledFrom([]string{"token", "token", "token", "token", "token", "token", "addr", "when"}).Draw(t, "dear") {
	case "addr":
		rule["addr"] = []string{"10.0.0.0/8"}
	case "when":
		rule["when"] = rapid.SampledFrom([]string{`custom.gone == ''`, `name.matches('^(a|b|c).*')`, `custom.k == 'y'`, `!inCIDR(addr, '10.0.0.0/8')`}).Draw(t, "when")
	default:
		rule["token"] = map[string]any{"type": "hmac", "field": "t", "bind": []string{"name"}, "keys": []string{"k" + id}}
	}
	return rule
}

// The rules that an explanation looks at and the decision does not are asked each for
// itself: they use up nothing of what the decision may cost.
func TestExplainBeyondTheTokensOfARequest(t *testing.T) {
	const token = `"token":{"type":"hmac","field":"t","keys":["%s"],"bind":["name"]}`
	rules := []string{`{"id":"base","effect":"deny","priority":5,"name":["cam-1"]}`,
		`{"id":"signed","effect":"allow","priority":9,` + fmt.Sprintf(token, "right") + `}`}
	for i := range maxInspected {
		rules = append(rules, fmt.Sprintf(`{"id":"other%d","effect":"allow","name":["cam-1"],`+token+`}`, i, fmt.Sprint("k", i)))
	}
	in := Input{Call: subjects.Publish, Name: "cam-1", Keys: NewKeys(map[string]*Key{"right": secret(t, testSecret)}),
		Custom: fields("t", signHMAC(testSecret, noon.Add(time.Hour), "cam-1"))}
	table := rulesTable(t, strings.Join(rules, ","))
	got, decided := table.Explain(&in, noon), table.Decide(&in, noon)
	if decided.Rule != "d/signed" || got.Decision != decided {
		t.Errorf("explains %+v, decides %+v", got.Decision, decided)
	}
	if len(got.Considered) != len(rules) || got.Considered[0].Outcome != OutcomeDecides || got.Considered[1].Outcome != OutcomeOutranked ||
		got.Considered[2].Why != ErrTokenKey.Error() || got.Considered[len(rules)-1].Why != ErrTokenKey.Error() {
		t.Errorf("considered %+v", got.Considered)
	}
}

// A deny rule that matches because its expression failed, or its token could not be
// looked at any more, says so.
func TestExplainTellsWhyAFailureMatches(t *testing.T) {
	in := Input{Call: subjects.Publish, Name: "cam-1", Custom: fields("k", "x")}
	got := rulesTable(t, `{"id":"r","effect":"deny","when":"custom.gone == 'x'"}`).Explain(&in, noon)
	if len(got.Considered) != 1 || got.Considered[0].Outcome != OutcomeDecides || !strings.Contains(got.Considered[0].Why, "no such key: gone") {
		t.Errorf("%+v", got.Considered)
	}
}
