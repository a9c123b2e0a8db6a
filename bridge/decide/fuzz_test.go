package decide

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"bintubridge/subjects"
)

// Whatever bytes come: no panic; an error is printable lines of bounded length;
// what compiles keeps its text and compiles again from it to the same decisions;
// and it never decides on a request of a call that does not ask.
func FuzzCompile(f *testing.F) {
	files, err := filepath.Glob("../../testdata/rules/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no rule documents to start from", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add("acme", data, "cam-1", "10.0.0.1", "team", "red")
	}
	f.Add("acme", []byte(`{"rules":[{"effect":"deny","shadow":true,"token":{"type":"hmac","field":"t","keys":["k"],"bind":["call","name"]}},
		{"effect":"allow","token":{"type":"jwt","field":"t","keys":["k"],"alg":["EdDSA"],"claims":{"x":{"equals":"name","in":["a"],"cidr_contains":"addr"}}}}]}`), "cam-1", "10.0.0.1", "t", "1.x")
	f.Add("acme", []byte(`{"rules":[{"effect":"allow","when":"custom.exists(k, k.matches('^a+$')) || inCIDR(addr, '10.0.0.0/8') && now > timestamp(custom.t)"}]}`), "cam-1", "10.0.0.1", "t", "x")
	f.Add("a\x1b]", []byte(`{"rules":[{"\u202e\u0000":"\u0007","name":["\ud800"]}]}`), "", "unix:", "", "")
	f.Add("", []byte("{\"rules\":[{\"custom\":{\"\xff\":[]}}]}"), "", "::1%a", "", "")
	f.Fuzz(func(t *testing.T, key string, data []byte, name, addr, field, value string) {
		doc, err := Compile(key, data)
		if err != nil {
			checkErrorText(t, err.Error())
			return
		}
		if doc.Source() != string(data) {
			t.Errorf("source %q", doc.Source())
		}
		again, err := Compile(key, []byte(doc.Source()))
		if err != nil {
			t.Fatalf("compiles once, and then not: %v", err)
		}
		table := NewTable(1, Defaults{}, []*Document{doc})
		tableAgain := NewTable(1, Defaults{}, []*Document{again})
		for call := subjects.UnknownCall; call <= subjects.RecordDone; call++ {
			in := Input{Call: call, Name: name, App: value, Addr: addr, Custom: fields(field, value)}
			got := table.Decide(&in, time.Unix(1_800_000_000, 0))
			if want := tableAgain.Decide(&in, time.Unix(1_800_000_000, 0)); got != want {
				t.Errorf("%v: got %+v, then %+v", call, got, want)
			}
			if got.Rule != "" && !strings.HasPrefix(got.Rule, key+"/") {
				t.Errorf("rule %q is not of document %q", got.Rule, key)
			}
			if !call.Asks() && got != (Decision{Reason: ReasonNotAsked}) {
				t.Errorf("%v decided: %+v", call, got)
			}
		}
	})
}

func checkErrorText(t *testing.T, text string) {
	t.Helper()
	lines := strings.Split(text, "\n")
	if len(lines) > maxMistakes+1 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		// Three quoted texts of the document, four bytes of text at most \U0010ffff, and ours.
		if len(line) > 2500 || !utf8.ValidString(line) {
			t.Errorf("a line of %d bytes: %q", len(line), line)
		}
		for _, r := range line {
			if r < ' ' || r == 0x7f || r == '\u202e' {
				t.Errorf("unprintable %U in %q", r, line)
			}
		}
	}
}

// Whatever text comes as a token: no panic, and good is only what says the same
// as the one that was signed.
func FuzzToken(f *testing.F) {
	i := newIssuer(f)
	keys := i.keys(f)
	mac := signHMAC(testSecret, noon.Add(time.Hour), "publish", "cam-1")
	ed := sign(f, jwt.SigningMethodEdDSA, i.ed, map[string]any{"exp": noon.Unix() + 60, "sub": "cam-1", "x": []any{1, nil, "a"}})
	hs := sign(f, jwt.SigningMethodHS256, []byte(testSecret), map[string]any{"exp": noon.Unix() + 60, "net": "10.0.0.0/8"})
	for _, text := range []string{mac, ed, hs, mac[:20], ed[:40], "", "1.", ".", "..", forge(`{"alg":"none"}`, `{"exp":1e99}`, nil)} {
		f.Add(text, "cam-1", "10.0.0.1")
	}
	conditions := []*Token{
		mustToken(f, `{"type":"hmac","field":"t","keys":["ed","hs"],"bind":["call","name"]}`),
		mustToken(f, `{"type":"jwt","field":"t","keys":["ed","hs","gone"],"alg":["EdDSA","HS256"]}`),
		mustToken(f, `{"type":"jwt","field":"t","keys":["ed","hs"],"alg":["EdDSA","HS256"],"claims":{"net":{"cidr_contains":"addr"},"x":{"contains":"name"}}}`),
	}
	f.Fuzz(func(t *testing.T, text, name, addr string) {
		in := Input{Call: subjects.Publish, Name: name, Addr: addr, Custom: fields("t", text), Keys: keys}
		for n, condition := range conditions {
			err := condition.Check(&in, noon)
			genuine := n == 0 && text == mac && name == "cam-1" || n > 0 && (text == ed || text == hs)
			if err == nil && !genuine {
				t.Errorf("condition %d takes %q for %q", n, text, name)
			}
		}
	})
}

func FuzzGlob(f *testing.F) {
	f.Add("cam-*", "cam-1")
	f.Add("*a*b*", "xxaxxbxx")
	f.Add("ab*ba", "aba")
	f.Add("*a*a*", "bab")
	f.Add("**", "")
	f.Add("\xff*", "\xff\x00")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if !strings.Contains(pattern, "*") || len(pattern) > maxName {
			return
		}
		g := parseGlob(pattern)
		// The obvious matcher of one star at a time, with memory of dead ends.
		if got, want := g.match(name), slowGlob(pattern, name, map[[2]int]bool{}); got != want {
			t.Errorf("%q matches %q: got %v, want %v", pattern, name, got, want)
		}
	})
}

func slowGlob(pattern, name string, dead map[[2]int]bool) bool {
	at := [2]int{len(pattern), len(name)}
	if dead[at] {
		return false
	}
	dead[at] = true // looked at once: a match ends the search
	switch {
	case pattern == "":
		return name == ""
	case pattern[0] == '*':
		return slowGlob(pattern[1:], name, dead) || name != "" && slowGlob(pattern, name[1:], dead)
	}
	return name != "" && pattern[0] == name[0] && slowGlob(pattern[1:], name[1:], dead)
}

// A pattern found through the indexes, among others that crowd them, is the one
// that matches.
func FuzzPatternIndex(f *testing.F) {
	f.Add("cam-*", "cam-*-hd", "*preview*", "cam-1-hd")
	f.Add("*a*a*a*a*a*", "*aaaaaaaaaa*", "a*", strings.Repeat("a", 2000))
	f.Add("*é*", "\xff*", "**", "\xff\x00é")
	f.Fuzz(func(t *testing.T, a, b, c, name string) {
		crowd := fmt.Sprintf(`{"effect":"deny","name":["cam-%s","*-hd-%s","%s*"]}`, "*x", "*y", strings.Repeat("z", 9))
		rules := `{"rules":[` + strings.Repeat(crowd+",", 20) + crowd
		want := false
		for _, pattern := range []string{a, b, c} {
			text, err := json.Marshal(pattern)
			if err != nil || !utf8.ValidString(pattern) || pattern == "" || len(pattern) > maxName {
				return
			}
			rules += fmt.Sprintf(`,{"effect":"allow","priority":1,"name":[%s]}`, text)
			want = want || slowGlob(pattern, name, map[[2]int]bool{})
		}
		table := NewTable(1, Defaults{}, []*Document{mustCompile(t, "d", rules+"]}")})
		in := Input{Call: subjects.Publish, Name: name}
		if got := table.Decide(&in, noon).Effect == Allow; got != (want && name != "") {
			t.Errorf("%q, %q, %q match %q: got %v, want %v", a, b, c, name, got, want)
		}
	})
}
