package decide

import (
	"errors"
	"strings"
	"testing"
)

// How often one request may ask is bounded by what the programs of its regular
// expressions may do, not by how short they are written.
func TestPatternsCostWhatTheyTake(t *testing.T) {
	for _, tt := range []struct {
		expression string
		text       int // bytes of the name
		most       int // expressions that run for one request
	}{
		{`name.matches('(1?){200}z$')`, 20, 300},
		{`matches(name, '(1?){200}z$')`, 20, 300},
		{`name.matches('(1|11|1+2?)+(1?){20}z$')`, 255, 200},
		{`name.matches('(1|11|1+2?)+(1?){20}z$')`, 2047, 25},
	} {
		in := whenInput()
		in.Name = strings.Repeat("1", tt.text)
		doc := mustCompile(t, "d", `{"rules":[`+whenRule(t, "r", "allow", tt.expression)+`]}`)
		q := query{in: &in, now: noon}
		evals := 0
		for ; evals < 10*tt.most; evals++ {
			_, err := doc.rules[0].more.when.eval(&q)
			if errors.Is(err, errCost) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", tt.expression, err)
			}
		}
		if evals == 0 || evals > tt.most {
			t.Errorf("%s of %d bytes: %d expressions ran, want some, at most %d", tt.expression, tt.text, evals, tt.most)
		}
	}
}

// A text that is too long for an expression is not matched, which is a failure; one that
// senders can send is matched by what people write.
func TestPatternsAndLongTexts(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		text    string
		allowed bool // by a rule that wants it to match
		denied  bool
	}{
		{`^user-[a-z0-9]{8,32}$`, "user-0123abcd", true, true},
		{`^user-[a-z0-9]{8,32}$`, "user-" + strings.Repeat("a", longestText), false, false},
		{`^(https?|rtmps?)://([a-z0-9-]+[.])*example[.](com|net)(:[0-9]+)?/`, "rtmp://a.example.com/" + strings.Repeat("a", longestText), true, true},
		{`a$`, strings.Repeat("a", 60_000), true, true},
		{`^(a?){200}`, strings.Repeat("a", 60_000), false, true},
	} {
		in := whenInput()
		in.TCURL = tt.text
		for _, call := range []string{`tcurl.matches('` + tt.pattern + `')`, `matches(tcurl, '` + tt.pattern + `')`} {
			if got := rulesTable(t, whenRule(t, "r", "allow", call)).Decide(&in, noon); (got.Rule != "") != tt.allowed {
				t.Errorf("allow %s, %d bytes: %+v", call, len(tt.text), got)
			}
			if got := rulesTable(t, whenRule(t, "r", "deny", call)).Decide(&in, noon); (got.Rule != "") != tt.denied {
				t.Errorf("deny %s, %d bytes: %+v", call, len(tt.text), got)
			}
		}
	}
	in := whenInput()
	in.Name = strings.Repeat("a", 60_000)
	doc := mustCompile(t, "d", `{"rules":[`+whenRule(t, "r", "allow", `name.matches('^(a?){200}')`)+`]}`)
	if _, err := doc.rules[0].more.when.eval(&query{in: &in, now: noon}); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("%v: want the text refused before it is matched", err)
	}
}
