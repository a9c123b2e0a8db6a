package decide

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"cel.dev/cel-go/common/types"
	celref "cel.dev/cel-go/common/types/ref"

	"bintubridge/subjects"
)

// whenRule is a rule of one expression.
func whenRule(t testing.TB, id, effect, expression string) string {
	t.Helper()
	text, err := json.Marshal(expression)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"id":%q,"effect":%q,"when":%s}`, id, effect, text)
}

func whenInput() Input {
	return Input{
		Call: subjects.Publish, Name: "cam-1", App: "live", Addr: "10.1.2.3", ClientID: "7", Type: "record",
		FlashVer: "FMLE", SWFURL: "swf", TCURL: "rtmp://a/live", PageURL: "https://example.org/", Custom: fields("tier", "pro", "n", "12", "bad", "\xff"),
	}
}

func TestWhen(t *testing.T) {
	const yes, no, fails = 1, 0, -1
	for expression, want := range map[string]int{
		`true`:  yes,
		`false`: no,
		`call == 'publish' && name == 'cam-1' && app == 'live' && addr == '10.1.2.3' && clientid == '7'`: yes,
		`type == 'record' && flashver == 'FMLE' && swfurl == 'swf' && tcurl.endsWith('/live')`:           yes,
		`pageurl.startsWith('https://example.org/')`:                                                     yes,
		`name != 'cam-1'`:                                                  no,
		`custom.tier == 'pro'`:                                             yes,
		`custom['tier'] == 'free'`:                                         no,
		`custom.team == 'red'`:                                             fails,
		`has(custom.team) && custom.team == 'red'`:                         no,
		`'team' in custom && custom.team == 'red'`:                         no,
		`!has(custom.team)`:                                                yes,
		`size(custom) == 3`:                                                yes,
		`int(custom.n) > 10`:                                               yes,
		`int(custom.tier) > 10`:                                            fails,
		`int(custom.tier) > 10 || name == 'cam-1'`:                         yes, // CEL's or takes the side that is known
		`1 / (size(custom) - 3) == 0`:                                      fails,
		`now < timestamp('2026-11-23T12:00:01Z')`:                          yes,
		`now < timestamp('2026-11-23T12:00:00Z')`:                          no,
		`now.getHours('Europe/Berlin') == 13`:                              yes,
		`now.getHours('-02:30') == 9`:                                      yes,
		`now.getMinutes('Asia/Kathmandu') == 45`:                           yes,
		`now.getDayOfWeek('Asia/Tokyo') == 1`:                              yes,
		`now.getDate('Pacific/Kiritimati') == 24`:                          yes,
		`now.getHours('') == 12`:                                           yes,
		`timestamp('2026-07-01T00:30:00Z').getHours('Europe/Berlin') == 2`: yes,
		`dyn(name).getHours('Europe/Berlin') == 2`:                         fails,
		`(now + duration('5160h')).getHours('Europe/Berlin') == 14`:        yes, // summer
		`duration(custom.n + 's').getSeconds() == 12`:                      yes,
		`[now, now + duration('1h')].map(t, t.getHours('Europe/Berlin')) == [13, 14] && 24 / 2 + int('1') == 12 + size('a')`: yes,
		`now.getHours() == 12`:                    yes,
		`inCIDR(addr, '10.0.0.0/8')`:              yes,
		`inCIDR(addr, '10.1.2.3')`:                yes,
		`inCIDR(addr, '11.0.0.0/8')`:              no,
		`inCIDR('unix:', '10.0.0.0/8')`:           no,
		`inCIDR('::ffff:10.0.0.1', '10.0.0.0/8')`: yes,
		`name.matches('^cam-[0-9]+$')`:            yes,
		`matches(name, '^dam')`:                   no,
		`custom.exists(k, k == 'tier')`:           yes,
		`custom.bad == 'x'`:                       no,
		`name in ['cam-1', 'cam-2']`:              yes,
		`{'cam-1': true}[name]`:                   yes,
		`{'cam-2': true}[name]`:                   fails,
		`custom.all(k, custom[k].size() < 5)`:     yes,
		`timestamp(custom.tier) < now`:            fails,
	} {
		t.Run(expression, func(t *testing.T) {
			in := whenInput()
			allow := rulesTable(t, whenRule(t, "r", "allow", expression)).Decide(&in, noon).Rule == "d/r"
			deny := rulesTable(t, whenRule(t, "r", "deny", expression)).Decide(&in, noon).Rule == "d/r"
			if wantAllow, wantDeny := want == yes, want != no; allow != wantAllow || deny != wantDeny {
				t.Errorf("an allow rule matches: %v, want %v; a deny rule: %v, want %v", allow, wantAllow, deny, wantDeny)
			}
		})
	}
}

func TestWhenWithoutCustomFields(t *testing.T) {
	in := whenInput()
	in.Custom = nil
	table := rulesTable(t, whenRule(t, "r", "allow", `size(custom) == 0 && !has(custom.tier)`))
	if got := table.Decide(&in, noon); got.Rule != "d/r" {
		t.Errorf("%+v", got)
	}
}

func TestWhenMistakes(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("(", n) + "true" + strings.Repeat(")", n) }
	for _, tt := range []struct{ name, expression, want string }{
		{"empty", ``, `got "", want a CEL expression of type bool over call, name, app, addr, clientid, type, flashver, swfurl, tcurl, pageurl (texts), custom (a map of texts) and now (a timestamp)`},
		{"syntax", "name ==\n  ", `at line 2, column 3, want a CEL`},
		{"unknown variable", `name == nam`, `got "undeclared reference to 'nam' (did you mean 'name'?)" at line 1, column 9, want a CEL`},
		{"two mistakes", `nam == 1 || addr == 1`, `no matching overload for '_==_' applied to '(string, int)'" at line 1, column 18`},
		{"wrong type", `name == 1`, `got "found no matching overload for '_==_' applied to '(string, int)'" at line 1, column 6`},
		{"not bool", `name`, `got an expression of type "string", want`},
		{"maybe bool", `dyn(name)`, `got an expression of type "dyn", want`},
		{"a field of custom that is no text", `custom.n > 10`, `applied to '(string, int)'`},
		{"a custom pattern", `name.matches(custom.p)`, `got "matches wants a text that stands in the rule" at line 1, column 20`},
		{"a put-together pattern", `matches(name, 'a' + 'b')`, `matches wants a text that stands in the rule`},
		{"a bad pattern", `name.matches('(')`, "no regular expression: error parsing regexp: missing closing ): `(`\" at line 1, column 14"},
		{"a large pattern", `name.matches('(a{500}|b{500}){2}')`, `a regular expression that is too large: repeat less`},
		{"a custom network", `inCIDR(addr, custom.net)`, `inCIDR wants a text that stands in the rule`},
		{"a bad network", `inCIDR(addr, '10.0.0.1/8')`, `no network: want \"10.0.0.0/8\", the network itself: host bits are set" at line 1, column 14`},
		{"a custom zone", `now.getHours(custom.tz) == 1`, `got "getHours wants a text that stands in the rule" at line 1, column 20`},
		{"a custom zone of a day", `dyn(now).getDayOfWeek(name) == 1`, `getDayOfWeek wants a text that stands in the rule`},
		{"an unknown zone", `now.getHours('Europe/Nowhere') == 1`, `no time zone: want one as Europe/Berlin, UTC or +02:00" at line 1, column 14`},
		{"a zone outside the zones", `now.getHours('../../etc/passwd') == 1`, `no time zone`},
		{"a bad offset", `now.getHours('+25:00') == 1`, `no time zone`},
		{"a division by zero", `1/0 == 1`, `got "always fails: division by zero" at line 1, column 2, want a CEL`},
		{"a division by zero that is found in a part", "name == 'a' &&\n  (2 - 2 == 0 || size(custom) > 7 / (3 - 3))", `always fails: division by zero" at line 2, column 35`},
		{"a conversion of no number", `int('abc') == clientid.size()`, `always fails: type conversion error from 'string' to 'int'" at line 1, column 4`},
		{"a moment that there is not", `now < timestamp('2026-13-01T00:00:00Z')`, `always fails: invalid RFC 3339 timestamp \"2026-13-01T00:00:00Z\"" at line 1, column 16`},
		{"a sum beyond its type", `9223372036854775807 + 1 > clientid.size()`, `always fails: integer overflow" at line 1, column 21`},
		{"a loop over a division by zero", `custom.all(k, k != 'a' || 1 % 0 == 0)`, `always fails: modulus by zero" at line 1, column 29`},
		{"a field of a text", `custom.tier.level == 'x'`, `type 'string' does not support field selection" at line 1, column 12`},
		{"an unknown function", `name.lower() == 'x'`, `undeclared reference to 'lower'`},
		{"long", strings.Repeat(" ", maxWhen) + "true", `got an expression of 4100 bytes, want at most 4096 bytes`},
		{"deep", nested(300), `" at line 1, column 1, want a CEL expression`},
		{"loop in a loop", `custom.all(a, custom.all(b, custom[a] != custom[b] || a == b))`, `over the limit of 100000, want a cheaper expression`},
		{"loops over a list", `[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c, [1,2,3,4,5,6,7,8,9].all(d, [1,2,3,4,5,6,7,8,9].all(e, a + b + c + d + e > 0)))))`, `over the limit of 100000`},
		{"growing texts", `['a','b','c','d','e','f','g','h'].map(x, name+name+name+name+name+name+name+name).map(x, x+x+x+x+x+x+x+x).map(x, x+x+x+x+x+x+x+x).map(x, x+x+x+x+x+x+x+x).size() == 8`, `over the limit of 100000`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Compile("d", []byte(`{"rules":[`+whenRule(t, "r", "deny", tt.expression)+`]}`))
			if err == nil {
				t.Fatal("compiled")
			}
			if text := strings.ReplaceAll(err.Error(), `\\"`, `\"`); !strings.Contains(text, `document "d", rule "r", field "when": `) || !strings.Contains(text, tt.want) {
				t.Errorf("got  %s\nwant %s", text, tt.want)
			}
			checkErrorText(t, err.Error())
		})
	}
	if _, err := Compile("d", []byte(`{"rules":[{"id":"r","effect":"deny","when":true}]}`)); err == nil || !strings.Contains(err.Error(), "got true, want a CEL") {
		t.Error(err)
	}
}

// Expressions of a document are bounded together: compiling takes time.
func TestWhensAreBounded(t *testing.T) {
	rules := func(n int) []byte {
		var b []string
		for i := range n {
			b = append(b, whenRule(t, fmt.Sprint(i), "deny", "name == '"+strings.Repeat("x", 4000)+"'"))
		}
		return []byte(`{"rules":[` + strings.Join(b, ",") + `]}`)
	}
	if _, err := Compile("d", rules(16)); err != nil {
		t.Error(err)
	}
	if _, err := Compile("d", rules(17)); err == nil || !strings.Contains(err.Error(), `rule "16", field "when": got too many expressions, want at most 65536 bytes`) {
		t.Error(err)
	}
}

// A request larger than the estimate thought costs what it may and no more, and
// then counts as a failure.
func TestWhenCostsAreBounded(t *testing.T) {
	var custom subjects.Fields
	for i := range 8000 {
		custom.Add(fmt.Sprint(i), strings.Repeat("x", 2000))
	}
	in := whenInput()
	in.Custom = &custom
	const expression = `custom.exists(k, custom[k].contains('y'))`
	if got := rulesTable(t, whenRule(t, "r", "deny", expression)).Decide(&in, noon); got.Rule != "d/r" {
		t.Errorf("a deny rule: %+v", got)
	}
	if got := rulesTable(t, whenRule(t, "r", "allow", `!`+expression)).Decide(&in, noon); got.Rule != "" {
		t.Errorf("an allow rule: %+v", got)
	}
	// Many rules share what one request may cost.
	doc := mustCompile(t, "d", `{"rules":[`+whenRule(t, "r", "allow", expression)+`]}`)
	q := query{in: &in, now: noon}
	evals := 0
	for evals < 100 {
		if _, err := doc.rules[0].more.when.eval(&q); errors.Is(err, errCost) {
			break
		}
		evals++
	}
	if evals < 10 || evals > 11 {
		t.Errorf("%d expressions ran", evals)
	}
}

// An expression is looked at last, and only of rules whose other conditions hold.
func TestWhenIsLast(t *testing.T) {
	in := whenInput()
	table := rulesTable(t, `{"id":"app","effect":"deny","app":["vod"],"when":"custom.gone == ''"},
		{"id":"token","effect":"deny","token":{"type":"hmac","field":"t","keys":["k"],"bind":["name"]},"when":"custom.gone == ''"},
		{"id":"hit","effect":"allow","when":"custom.gone == ''"}`)
	got := table.Explain(&in, noon)
	failed := map[string]Considered{}
	for _, c := range got.Considered {
		failed[c.Rule] = c
	}
	if failed["d/token"].Failed != ConditionToken || failed["d/hit"].Failed != ConditionWhen || !strings.Contains(failed["d/hit"].Why, "no such key: gone") {
		t.Errorf("%+v", got)
	}
}

func TestWhenConcurrently(t *testing.T) {
	table := rulesTable(t, whenRule(t, "r", "allow", `custom.n == clientid && name.matches('^cam-[0-9]+$')`))
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 200 {
				in := whenInput()
				in.ClientID = fmt.Sprint(g)
				in.Custom = fields("n", fmt.Sprint(i%8))
				if got := table.Decide(&in, noon).Effect == Allow; got != (g == i%8) {
					t.Errorf("%d of %d: %v", i, g, got)
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkWhen(b *testing.B) {
	for name, expression := range map[string]string{
		"compare": `custom.tier == 'pro' && now < timestamp('2026-12-01T00:00:00Z')`,
		"cidr":    `inCIDR(addr, '10.0.0.0/8')`,
		"pattern": `name.matches('^cam-[0-9]+$')`,
		"zone":    `now.getHours('Europe/Berlin') == 13`,
	} {
		table := rulesTable(b, whenRule(b, "r", "allow", expression))
		in := whenInput()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if table.Decide(&in, noon).Effect != Allow {
					b.Fatal("denied")
				}
			}
		})
	}
}

func BenchmarkWhenCompile(b *testing.B) {
	data := []byte(`{"rules":[` + whenRule(b, "r", "allow", `custom.tier == 'pro' && now < timestamp('2026-12-01T00:00:00Z')`) + `]}`)
	for b.Loop() {
		if _, err := Compile("d", data); err != nil {
			b.Fatal(err)
		}
	}
}

// An expression that is false whatever the request is does not hold because others have
// cost too much, either: lint has called it dead.
func TestWhenNever(t *testing.T) {
	doc := mustCompile(t, "d", `{"rules":[`+whenRule(t, "r", "deny", "custom.gone == 'x' && 1 == 2")+`]}`)
	in := whenInput()
	q := query{in: &in, now: noon, variables: &variables{in: in, spent: maxRequestCost + 1}}
	if doc.rules[0].more.when.holds(&q, Deny) {
		t.Error("it holds")
	}
}

// The expression that decides first runs first, whatever else its rule wants: it is not
// refused because of what those behind it cost.
func TestWhenCostsGoByWhoDecides(t *testing.T) {
	rules := []string{`{"id":"first","effect":"allow","priority":9,"expires_at":"2099-01-01T00:00:00Z","custom":{"gone":{"present":false}},"when":"name.startsWith('x')"}`}
	for i := range 100 {
		rules = append(rules, whenRule(t, fmt.Sprint(i), "deny", `name.matches('(y|z){20}')`))
	}
	in := whenInput()
	in.Name = strings.Repeat("x", 2000)
	if got := rulesTable(t, strings.Join(rules, ",")).Decide(&in, noon).Rule; got != "d/first" {
		t.Errorf("%q decides", got)
	}
}

// Of many expressions each costs only CEL's own bookkeeping: what they look at is made
// as CEL has it, once for a request.
func TestWhenSharesValues(t *testing.T) {
	v := &variables{in: whenInput(), now: types.Timestamp{Time: noon}}
	for _, name := range append([]string{"now", "custom"}, requestFields[fieldCall:]...) {
		var value any
		if n := testing.AllocsPerRun(100, func() { value, _ = v.ResolveName(name) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		if _, ok := value.(celref.Val); !ok {
			t.Errorf("%s: %T is none of CEL's values", name, value)
		}
	}
}
