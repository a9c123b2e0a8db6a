package decide

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bintubridge/subjects"

	"pgregory.net/rapid"
)

const lintToken = `"token":{"type":"hmac","field":"t","keys":["k"],"bind":["name"]}`

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules string
		want  []string // "rule kind"
	}{
		{"nothing", `{"id":"a","effect":"allow","name":["x"]},{"id":"b","effect":"deny","priority":1,"name":["x"],"app":["live"]}`, nil},
		{"expired", `{"id":"a","effect":"allow","expires_at":"2026-11-23T12:00:00Z"}`, []string{"d/a expired"}},
		{"not expired", `{"id":"a","effect":"allow","expires_at":"2026-11-23T12:00:01Z"}`, nil},
		{"name that nobody sends", `{"id":"a","effect":"allow","name":["` + strings.Repeat("n", 2048) + `"]}`, []string{"d/a never"}},
		{"one that somebody sends", `{"id":"a","effect":"allow","name":["` + strings.Repeat("n", 2048) + `","n"]}`, nil},
		{"false expression", whenRule(t, "a", "deny", "false"), []string{"d/a never"}},
		{"expression of constants", whenRule(t, "a", "deny", "1 == 2 && 'x' in ['x']"), []string{"d/a never"}},
		{"expression with a false side", whenRule(t, "a", "allow", "custom.x == 'y' && 1 > 2"), []string{"d/a never"}},
		{"expression that is true", whenRule(t, "a", "allow", "1 == 1"), nil},
		{"expression of a field", whenRule(t, "a", "allow", "has(custom.x) || name == 'y' || size(custom) > 3 || now < timestamp('2020-01-01T00:00:00Z')"), nil},
		{"expression of all fields", whenRule(t, "a", "allow", "custom.exists(k, k == 'x')"), nil},
		{"expression that may fail", whenRule(t, "a", "deny", "int(custom.n) > 3"), nil},
		{"token in a field that is not there", `{"id":"a","effect":"deny","custom":{"t":{"present":false}},` + lintToken + `}`, []string{"d/a never"}},
		{"token beside a field that is not there", `{"id":"a","effect":"deny","custom":{"u":{"present":false}},` + lintToken + `}`, nil},
		{"token in a field that is there", `{"id":"a","effect":"deny","custom":{"t":{"present":true}},` + lintToken + `}`, nil},
		{"name of a connect", `{"id":"a","effect":"deny","calls":["connect"],"name":["x","x*"]}`, []string{"d/a never"}},
		{"any name of a connect", `{"id":"a","effect":"deny","calls":["connect"],"name":["x","*"]}`, nil},
		{"connect by address", `{"id":"a","effect":"deny","calls":["connect"],"addr":["10.0.0.1"]}`, nil},
		{"name of a connect or an update", `{"id":"a","effect":"deny","calls":["connect","update_play"],"name":["x"]}`, nil},
		{"deny beats allow", `{"id":"a","effect":"allow","name":["x"]},{"id":"b","effect":"deny"}`, []string{"d/a shadowed"}},
		{"priority", `{"id":"a","effect":"deny","name":["x"]},{"id":"b","effect":"allow","priority":1,"name":["x*"]}`, []string{"d/a shadowed"}},
		{"pattern in pattern", `{"id":"a","effect":"allow","name":["x-*-1","x-2"]},{"id":"b","effect":"deny","name":["x-*"]}`, []string{"d/a shadowed"}},
		{"pattern that only begins alike", `{"id":"a","effect":"allow","name":["x*"]},{"id":"b","effect":"deny","name":["x*1"]}`, nil},
		{"names share one", `{"id":"a","effect":"allow","name":["x","y"]},{"id":"b","effect":"deny","name":["x"]}`, nil},
		{"narrower calls", `{"id":"a","effect":"allow","calls":["publish","play"]},{"id":"b","effect":"deny","calls":["play"]}`, nil},
		{"networks", `{"id":"a","effect":"allow","addr":["10.1.0.0/16"]},{"id":"b","effect":"deny","addr":["10.0.0.0/8"]}`, []string{"d/a shadowed"}},
		{"wider network", `{"id":"a","effect":"allow","addr":["10.0.0.0/8"]},{"id":"b","effect":"deny","addr":["10.1.0.0/16"]}`, nil},
		{"wider network that begins alike", `{"id":"a","effect":"allow","addr":["10.0.0.0/8"]},{"id":"b","effect":"deny","addr":["10.0.0.0/16"]}`, nil},
		{"custom", `{"id":"a","effect":"allow","custom":{"k":["x"]}},{"id":"b","effect":"deny","custom":{"k":{"present":true}}}`, []string{"d/a shadowed"}},
		{"another field", `{"id":"a","effect":"allow","custom":{"k":["x"]}},{"id":"b","effect":"deny","custom":{"l":["x"]}}`, nil},
		{"token", `{"id":"a","effect":"allow"},{"id":"b","effect":"deny","token":{"type":"hmac","field":"t","keys":["k"],"bind":["name"]}}`, nil},
		{"expression", `{"id":"a","effect":"allow"},{"id":"b","effect":"deny","when":"name == 'x'"}`, nil},
		{"covers a token", `{"id":"b","effect":"allow","token":{"type":"hmac","field":"t","keys":["k"],"bind":["name"]}},{"id":"a","effect":"deny"}`, []string{"d/b shadowed"}},
		{"shadow rules", `{"id":"a","effect":"allow","shadow":true},{"id":"b","effect":"deny","shadow":true},{"id":"c","effect":"allow"}`, nil},
		{"ends before", `{"id":"a","effect":"allow"},{"id":"b","effect":"deny","expires_at":"2026-12-01T00:00:00Z"}`, nil},
		{"ends later", `{"id":"a","effect":"allow","expires_at":"2026-11-30T00:00:00Z"},{"id":"b","effect":"deny","expires_at":"2026-12-01T00:00:00Z"}`, []string{"d/a shadowed"}},
		{"begins later", `{"id":"a","effect":"allow"},{"id":"b","effect":"deny","not_before":"2026-12-01T00:00:00Z"}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, w := range Check(rulesDocs(t, c.rules), nil, noon, nil) {
				got = append(got, fmt.Sprintf("%s %s", w.Rule, w.Kind))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestCheckSlow(t *testing.T) {
	for _, n := range []int{fewSlow, fewSlow + 1} {
		var rules []string
		for i := range n {
			rules = append(rules, fmt.Sprintf(`{"id":"r%d","effect":"deny","priority":%d,"custom":{"k%d":{"present":false}}}`, i, i, i))
		}
		want := 0
		if n > fewSlow {
			want = n
		}
		if got := Check(rulesDocs(t, strings.Join(rules, ",")), nil, noon, nil); len(got) != want || want > 0 && got[0].Kind != LintSlow {
			t.Errorf("%d rules: %d warnings, want %d", n, len(got), want)
		}
	}
}

// A rule that lint calls dead must not decide any request.
func TestCheckIsNeverWrong(t *testing.T) {
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		docs := drawDocs(t, "documents")
		dead := map[string]Lint{}
		checked := 0
		warnings := Check(docs, nil, noon, func() { checked++ })
		if checked != len(docs) {
			t.Fatalf("%d of %d documents were counted", checked, len(docs))
		}
		for _, w := range warnings {
			if w.Kind != LintSlow {
				dead[w.Rule] = w.Kind
			}
		}
		if len(dead) == 0 {
			return
		}
		found += len(dead)
		table := NewTable(0, Defaults{}, docs)
		for range 50 {
			in, later := drawInput(t), time.Duration(rapid.IntRange(0, 3).Draw(t, "later"))*time.Second
			if in.Call == subjects.Connect {
				in.Name = "" // as senders have it
			}
			if got := table.Decide(in, noon.Add(later)); dead[got.Rule] != "" {
				t.Fatalf("%s is %s, and decides %+v", got.Rule, dead[got.Rule], in)
			}
		}
	})
	if found == 0 {
		t.Error("no rule was found dead: nothing was tested")
	}
}

// A rule whose keys are all missing lets in nobody, and keeps out nobody.
func TestCheckKeys(t *testing.T) {
	const token = `{"id":"%s","effect":"allow","name":["%s"],"token":{"type":"hmac","field":"token","keys":[%s],"bind":["name"]}}`
	docs := rulesDocs(t, strings.Join([]string{
		fmt.Sprintf(token, "there", "a", `"old","k1"`), fmt.Sprintf(token, "gone", "b", `"old","older"`), `{"id":"free","effect":"allow","name":["c"]}`,
	}, ","))
	secret, err := NewSecret([]byte("sixteen bytes of"))
	if err != nil {
		t.Fatal(err)
	}
	if got := Check(docs, nil, noon, nil); len(got) > 0 {
		t.Errorf("without keys: %v", got)
	}
	got := Check(docs, NewKeys(map[string]*Key{"k1": secret}), noon, nil)
	if len(got) != 1 || !strings.HasSuffix(got[0].Rule, "/gone") || got[0].Kind != LintKeyless || got[0].Text != `wants a token, and the keys file has no "old" or "older"` {
		t.Errorf("got %+v", got)
	}
}
