package decide

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"bintubridge/subjects"

	"pgregory.net/rapid"
)

// What a review is sure of has to be so for the request as it was.
func TestReviewClaimsNothingWrong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Defaults{Publish: Effect(rapid.IntRange(0, 1).Draw(t, "publish"))}
		before, after := drawDocs(t, "before"), drawDocs(t, "after")
		if rapid.Bool().Draw(t, "shared") {
			after = append(after[:len(after)-1:len(after)-1], before[len(before)-1])
		}
		in := drawInput(t)
		hidden := rapid.SampledFrom([]string{"", "k", "team"}).Draw(t, "hidden")
		if hidden != "" {
			in.Custom = &subjects.Fields{}
			in.Custom.Add(hidden, rapid.SampledFrom([]string{"x", "y"}).Draw(t, "secret"))
		}
		was, is := NewTable(0, d, before).Decide(in, noon), NewTable(0, d, after).Decide(in, noon)
		recorded := redact(in, hidden)
		gotWas, gotIs, v := Compare(NewReview(d, before), NewReview(d, after), recorded, noon)
		same := was.Effect == is.Effect
		if v == Same && !same || v == Flips && (same || gotWas.Effect != was.Effect) {
			t.Fatalf("verdict %d with %+v, %+v; really %+v, %+v", v, gotWas, gotIs, was, is)
		}
		if recorded == in && (v == Undecidable || gotWas != was || gotIs != is) {
			t.Fatalf("nothing is redacted: verdict %d with %+v, %+v; really %+v, %+v", v, gotWas, gotIs, was, is)
		}
	})
}

func drawDocs(t *rapid.T, label string) []*Document {
	var docs []*Document
	for i := range rapid.IntRange(1, 3).Draw(t, label) {
		doc, err := Compile(fmt.Sprintf("doc%d", i), drawDocument(t))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, doc)
	}
	return docs
}

// redact returns the request as an event has it.
func redact(in *Input, field string) *Input {
	value := in.custom(field)
	if value == "" {
		return in
	}
	out := *in
	out.Custom = &subjects.Fields{}
	for _, f := range in.Custom.List() {
		if f.Key == field {
			f.Value = recorded(sha256.Sum256([]byte(value)))
		}
		out.Custom.Add(f.Key, f.Value)
	}
	return &out
}

func TestReviewVerdict(t *testing.T) {
	const token = `"token":{"type":"hmac","field":"k","keys":["k1"],"bind":["name"]}`
	for _, c := range []struct {
		name          string
		before, after string
		want          Verdict
	}{
		{"no rule looks", `{"effect":"allow"}`, `{"effect":"deny"}`, Flips},
		{"another value", `{"effect":"allow","custom":{"k":["other"]}}`, ``, Same},
		{"another sum", `{"effect":"allow","custom":{"k":{"sha256":["` + hexSum("other") + `"]}}}`, ``, Same},
		{"it is there", `{"effect":"allow","custom":{"k":{"present":true}}}`, ``, Flips},
		{"it is not absent", `{"effect":"allow","custom":{"k":{"present":false}}}`, ``, Same},
		{"the value it may be", `{"effect":"allow","custom":{"k":["x"]}}`, ``, Undecidable},
		{"the sum it may be", `{"effect":"allow","custom":{"k":{"sha256":["` + hexSum("x") + `"]}}}`, ``, Undecidable},
		{"the same question on both sides", `{"effect":"allow","custom":{"k":["x"]}}`, `{"effect":"allow","priority":3,"custom":{"k":{"sha256":["` + hexSum("x") + `"]}}}`, Same},
		{"it does not matter", `{"effect":"deny","custom":{"k":["x"]}}`, `{"effect":"deny"}`, Same},
		{"outranked", `{"effect":"allow","custom":{"k":["x"]}},{"effect":"deny"}`, ``, Same},
		{"token", `{"effect":"allow",` + token + `}`, ``, Undecidable},
		{"the same token on both sides", `{"effect":"allow",` + token + `}`, `{"effect":"allow","priority":1,` + token + `}`, Same},
		{"token and another condition that fails", `{"effect":"allow","app":["vod"],` + token + `}`, ``, Same},
		{"expression", `{"effect":"allow","when":"custom.k == 'x'"}`, ``, Undecidable},
		{"expression that does not matter", `{"effect":"deny","when":"custom.k == 'x'"}`, ``, Same},
		{"a rule that is there for the name", `{"effect":"allow","name":["cam-1"]},{"effect":"deny","priority":1,"custom":{"k":{"present":true}}}`, `{"effect":"allow","name":["cam-1"]}`, Flips},
		{"shadow", `{"effect":"allow","shadow":true,"custom":{"k":["x"]}}`, ``, Same},
		{"recorded text that a rule wants as it stands", `{"effect":"allow","custom":{"k":["` + recorded(sha256.Sum256([]byte("x"))) + `"]}}`, ``, Undecidable},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Input{Call: subjects.Publish, Name: "cam-1", App: "live", Custom: &subjects.Fields{}}
			in.Custom.Add("k", recorded(sha256.Sum256([]byte("x"))))
			_, _, got := Compare(NewReview(Defaults{}, rulesDocs(t, c.before)), NewReview(Defaults{}, rulesDocs(t, c.after)), &in, noon)
			if got != c.want {
				t.Errorf("verdict %d, want %d", got, c.want)
			}
		})
	}
}

// An explanation guesses at no redacted value.
func TestReviewExplains(t *testing.T) {
	const token = `"token":{"type":"hmac","field":"k","keys":["k1"],"bind":["name"]}`
	rules := `
		{"id":"refuse","effect":"deny","priority":9,"name":["cam-1"],"app":["vod"],` + token + `},
		{"id":"token","effect":"allow","priority":5,"name":["cam-1"],` + token + `},
		{"id":"value","effect":"allow","priority":4,"custom":{"k":["x"]}},
		{"id":"another","effect":"allow","priority":3,"custom":{"k":["y"]}},
		{"id":"sure","effect":"deny","priority":2,"app":["live"]},
		{"id":"behind","effect":"allow","priority":1,"app":["live"]},
		{"id":"trial","effect":"allow","shadow":true,"custom":{"k":["x"]}}`
	in := Input{Call: subjects.Publish, Name: "cam-1", App: "live", Custom: fields("k", recorded(sha256.Sum256([]byte("x"))))}
	got := NewReview(Defaults{}, rulesDocs(t, rules)).Explain(&in, noon)
	if !got.Undecidable || got.Decision != (Decision{}) {
		t.Errorf("decides %+v, undecidable %v", got.Decision, got.Undecidable)
	}
	want := []string{"d/refuse failed", "d/token undecidable", "d/value undecidable", "d/sure undecidable", "d/behind outranked"}
	if have := outcomes(got.Considered); !slices.Equal(have, want) {
		t.Errorf("considered %q, want %q", have, want)
	}
	if have := outcomes(got.Shadow); !slices.Equal(have, []string{"d/trial undecidable"}) {
		t.Errorf("shadow %q", have)
	}

	sure := `{"id":"first","effect":"deny","priority":10,"app":["live"]},` + rules
	got = NewReview(Defaults{}, rulesDocs(t, sure)).Explain(&in, noon)
	if got.Undecidable || got.Decision.Rule != "d/first" {
		t.Errorf("decides %+v, undecidable %v", got.Decision, got.Undecidable)
	}
	want = []string{"d/first decides", "d/refuse failed", "d/token undecidable", "d/value undecidable", "d/sure outranked", "d/behind outranked"}
	if have := outcomes(got.Considered); !slices.Equal(have, want) {
		t.Errorf("considered %q, want %q", have, want)
	}
}

func outcomes(considered []Considered) []string {
	var list []string
	for _, c := range considered {
		list = append(list, c.Rule+" "+string(c.Outcome))
	}
	return list
}

// What is recorded whole is explained as the table does.
func TestReviewExplainsAsTheTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		docs, in := drawDocs(t, "docs"), drawInput(t)
		want, got := NewTable(0, Defaults{}, docs).Explain(in, noon), NewReview(Defaults{}, docs).Explain(in, noon)
		if got.Undecidable || got.Decision != want.Decision || !slices.Equal(outcomes(got.Considered), outcomes(want.Considered)) {
			t.Fatalf("got %+v\nwant %+v", got, want)
		}
	})
}

// Many rules that want tokens of their own are too many possibilities to look at:
// here all come to the same, which is not found out.
func TestReviewGivesUp(t *testing.T) {
	in := Input{Call: subjects.Publish, Name: "cam-1", Custom: &subjects.Fields{}}
	in.Custom.Add("k", recorded(sha256.Sum256([]byte("x"))))
	review := func(key string, rules int) *Review {
		text := `{"effect":"deny"}`
		for i := range rules {
			text += fmt.Sprintf(`,{"effect":"deny","priority":%d,"token":{"type":"hmac","field":"k","keys":["%s%d"],"bind":["name"]}}`, i+1, key, i)
		}
		return NewReview(Defaults{}, rulesDocs(t, text))
	}
	if _, _, got := Compare(review("a", 3), review("b", 3), &in, noon); got != Same {
		t.Errorf("a few: verdict %d", got)
	}
	if _, _, got := Compare(review("a", 30), review("b", 30), &in, noon); got != Undecidable {
		t.Errorf("many: verdict %d", got)
	}
}

func rulesDocs(t *testing.T, rules string) []*Document {
	t.Helper()
	doc, err := Compile("d", []byte(`{"rules":[`+rules+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	return []*Document{doc}
}

// A condition that a review and a lint do not know makes them wrong: whoever adds one
// has to say there what it depends on.
func TestEveryConditionIsKnown(t *testing.T) {
	known := []string{"streams", "globs", "apps", "networks", "custom", "token", "when", "notBefore", "expiresAt", "reason"}
	var have []string
	for field := range reflect.TypeFor[conditions]().Fields() {
		have = append(have, field.Name)
	}
	if !reflect.DeepEqual(have, known) {
		got, _ := json.Marshal(have)
		t.Errorf("rules have the conditions %s: see review.go and lint.go", got)
	}
}

// What a request that asked for too many tokens gets is decided by the order in which
// the table looked at its rules, which a review that leaves values open does not have.
func TestReviewOfTooManyTokens(t *testing.T) {
	rules := func(tokens int) []*Document {
		text := `{"effect":"allow","custom":{"k":["x"]}}`
		for i := range tokens {
			text += fmt.Sprintf(`,{"effect":"deny","priority":1,"token":{"type":"hmac","field":"t","keys":["k%d"],"bind":["name"]}}`, i)
		}
		return rulesDocs(t, text)
	}
	in := Input{Call: subjects.Publish, Name: "cam-1", Keys: NewKeys(nil), Custom: &subjects.Fields{}}
	in.Custom.Add("k", recorded(sha256.Sum256([]byte("other"))))
	in.Custom.Add("t", "1796000000.bmi5p1OWk1VqGNJh9foMwA")
	for tokens, undecidable := range map[int]bool{maxInspected: false, maxInspected + 1: true} {
		review := NewReview(Defaults{}, rules(tokens))
		if got := review.Explain(&in, noon); got.Undecidable != undecidable {
			t.Errorf("%d tokens: undecidable %v: %q", tokens, got.Undecidable, outcomes(got.Considered))
		}
		if _, _, v := Compare(review, review, &in, noon); (v == Undecidable) != undecidable {
			t.Errorf("%d tokens: verdict %d", tokens, v)
		}
	}
}
