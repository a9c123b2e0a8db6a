package decide

import (
	"errors"
	"strings"
	"testing"
)

// The texts are what an operator reads, so they are compared whole.
func TestCompileErrors(t *testing.T) {
	const (
		known   = "a field of this version: id, effect, calls, priority, name, app, addr, custom, token, when, not_before, expires_at, shadow, reason"
		some    = "leave the field out to match anything, or name at least one"
		object  = `one JSON object as {"rules":[…]}`
		network = `a network as "17.31.0.0/16" or "2001:db8::/32", or one address`
		calls   = "one of publish, play, update_publish (or publish_update), update_play, connect"
		name    = "a stream name of 1 to 2048 bytes, in which * stands for any run of bytes"
		reason  = "a text of at most 256 bytes without control characters"
		rfc3339 = `a time of RFC 3339, as "2026-12-01T00:00:00Z"`
		custom  = `a list of values, as ["red"], or an object of "sha256" and "present"`
		number  = "an integer from -2147483648 to 2147483647"
	)
	rule := func(fields string) string { return `{"rules":[{"id":"r","effect":"allow",` + fields + `}]}` }
	in := func(field, text string) string { return `document "acme", rule "r", field "` + field + `": ` + text }

	tests := []struct {
		name string
		data string
		want string // lines
	}{
		{"empty", " \n", `document "acme": got an empty document, want ` + object},
		{"no JSON", "{\n  \"rules\": [}\n", `document "acme": got no JSON at line 2, column 13 (invalid character '}' looking for beginning of value), want ` + object},
		{"cut off", `{"rules":[`, `document "acme": got no JSON at line 1, column 10 (unexpected end of JSON input), want ` + object},
		{"more behind it", `{"rules":[]} {}`, `document "acme": got no JSON at line 1, column 14 (invalid character '{' after top-level value), want ` + object},
		{"not UTF-8", "{\"rules\":[\n\"\xff\"]}", `document "acme": got text that is not UTF-8 at line 2, column 2, want ` + object},
		{"half a pair", `{"rules":[{"name":["\ud83d\ude00 \\ud83d \n \ud83d"]}]}`, `document "acme": got half a surrogate pair (\u escape) at line 1, column 45, want ` + object},
		{"too large", strings.Repeat(" ", MaxDocument+1), `document "acme": got 1048577 bytes, want at most 1048576 bytes; split the document into several keys`},
		{"a list", `[]`, `document "acme": got an empty list, want ` + object},
		{"no rules", `{}`, `document "acme", field "rules": missing, want a list of rules; "rules":[] for none`},
		{"null rules", `{"rules":null}`, `document "acme", field "rules": got null, want a list of rules; "rules":[] for none`},
		{"rules as object", `{"rules":{"a":1}}`, `document "acme", field "rules": got an object, want a list of rules; "rules":[] for none`},
		{"rules twice", `{"rules":[],"rules":[]}`, `document "acme", field "rules": got it more than once, want it once`},
		{"another field", `{"rules":[],"version":1}`, `document "acme", field "version": got an unknown field, want a field of this version: rules`},
		{"wrong case above", `{"Rules":[],"rules":[]}`, `document "acme", field "Rules": got an unknown field, want "rules", in lower case`},
		{"rule is text", `{"rules":["allow"]}`, `document "acme", rule "#1": got "allow", want an object as {"id":"…","effect":"allow",…}`},

		{"no effect", `{"rules":[{"id":"r"}]}`, in("effect", `missing, want "allow" or "deny"`)},
		{"wrong effect", `{"rules":[{},{"effect":"alow"}]}`, "document \"acme\", rule \"#1\", field \"effect\": missing, want \"allow\" or \"deny\"\n" +
			`document "acme", rule "#2", field "effect": got "alow", want "allow" or "deny"`},
		{"effect of another kind", `{"rules":[{"effect":true}]}`, `document "acme", rule "#1", field "effect": got true, want "allow" or "deny"`},
		{"wrong case", `{"rules":[{"Effect":"allow","effect":"deny"}]}`, `document "acme", rule "#1", field "Effect": got an unknown field, want "effect", in lower case`},
		{"a field twice", `{"rules":[{"effect":"deny","effect":"allow"}]}`, `document "acme", rule "#1", field "effect": got it more than once, want it once`},
		{"a field twice, once escaped", `{"rules":[{"effect":"deny","\u0065ffect":"allow"}]}`, `document "acme", rule "#1", field "effect": got it more than once, want it once`},
		{"unknown field", rule(`"names":["x"]`), in("names", "got an unknown field, want "+known)},
		{"bad id", `{"rules":[{"id":"a/b","effect":"deny"}]}`, `document "acme", rule "#1", field "id": got "a/b", want 1 to 64 characters of A-Z a-z 0-9 . _ -`},
		{"id as number", `{"rules":[{"id":1,"effect":"deny"}]}`, `document "acme", rule "#1", field "id": got 1, want 1 to 64 characters of A-Z a-z 0-9 . _ -`},
		{"long id", `{"rules":[{"id":"` + strings.Repeat("a", 65) + `","effect":"deny"}]}`, `document "acme", rule "#1", field "id": got "` + strings.Repeat("a", 64) + `"…, want 1 to 64 characters of A-Z a-z 0-9 . _ -`},
		{"the same id", `{"rules":[{"id":"a","effect":"deny"},{"id":"a","effect":"deny"}]}`, `document "acme", rule "#2", field "id": got "a", want an id of its own: rule #1 has this one`},

		{"null list", rule(`"name":null`), in("name", "got null, want "+some)},
		{"empty list", rule(`"app":[]`), in("app", "got an empty list, want "+some)},
		{"text for a list", rule(`"name":"x"`), in("name", `got "x", want a list of strings`)},
		{"number in a list", rule(`"name":["x",2]`), in("name[1]", "got 2, want a string")},
		{"empty name", rule(`"name":["x",""]`), in("name[1]", `got "", want `+name)},
		{"long name", rule(`"name":["` + strings.Repeat("é*", 700) + `"]`), in("name[0]", `got "`+strings.Repeat("é*", 21)+`"…, want `+name)},
		{"pattern in app", rule(`"app":["live*"]`), in("app[0]", `got "live*", want the exact name of an application: only name has patterns`)},
		{"empty app", rule(`"app":[""]`), in("app[0]", `got "", want the name of an application; leave the field out to match any`)},
		{"unknown call", rule(`"calls":["publish","Play"]`), in("calls[1]", `got "Play", want `+calls)},
		{"told call", rule(`"calls":["publish_done"]`), in("calls[0]", `got "publish_done", want `+calls+`: publish_done only tells what has happened and is never decided`)},
		{"host bits", rule(`"addr":["17.31.0.1/16"]`), in("addr[0]", `got "17.31.0.1/16", want "17.31.0.0/16", the network itself: host bits are set`)},
		{"host bits, IPv6", rule(`"addr":["2001:db8::1/32"]`), in("addr[0]", `got "2001:db8::1/32", want "2001:db8::/32", the network itself: host bits are set`)},
		{"no network", rule(`"addr":["17.31.0.0/33","17.31","fe80::1%eth0","unix:"]`), in("addr[0]", `got "17.31.0.0/33", want `+network) + "\n" +
			in("addr[1]", `got "17.31", want `+network) + "\n" + in("addr[2]", `got "fe80::1%eth0", want `+network) + "\n" + in("addr[3]", `got "unix:", want `+network)},
		{"fraction", rule(`"priority":1.5`), in("priority", "got 1.5, want "+number)},
		{"exponent", rule(`"priority":1e3`), in("priority", "got 1e3, want "+number)},
		{"large", rule(`"priority":2147483648`), in("priority", "got 2147483648, want "+number)},
		{"very large", rule(`"priority":1` + strings.Repeat("0", 99)), in("priority", "got 1"+strings.Repeat("0", 63)+"…, want "+number)},
		{"number as text", rule(`"priority":"1"`), in("priority", `got "1", want `+number)},
		{"null number", rule(`"priority":null`), in("priority", `got null, want `+number)},
		{"no time", rule(`"not_before":"tomorrow"`), in("not_before", `got "tomorrow", want `+rfc3339)},
		{"loose time", rule(`"expires_at":"2026-12-01T0:00:00Z"`), in("expires_at", `got "2026-12-01T0:00:00Z", want `+rfc3339)},
		{"comma in a time", rule(`"expires_at":"2026-12-01T00:00:00,5Z"`), in("expires_at", `got "2026-12-01T00:00:00,5Z", want `+rfc3339)},
		{"unix time", rule(`"expires_at":1764547200`), in("expires_at", `got 1764547200, want `+rfc3339)},
		{"times crossed", rule(`"not_before":"2026-12-01T00:00:00Z","expires_at":"2026-12-01T01:00:00+01:00"`), in("expires_at", "got a time not after not_before, want a later time than not_before, else the rule never applies")},
		{"long reason", rule(`"reason":"` + strings.Repeat("x", 257) + `"`), in("reason", `got "`+strings.Repeat("x", 64)+`"…, want `+reason)},
		{"control in reason", rule(`"reason":"a\nb"`), in("reason", `got "a\nb", want `+reason)},
		{"reason of another kind", rule(`"reason":{}`), in("reason", "got an empty object, want "+reason)},
		{"custom list", rule(`"custom":["x"]`), in("custom", `got a list, want an object of custom fields, as {"team":["red"]}`)},
		{"custom null", rule(`"custom":null`), in("custom", "got null, want "+some)},
		{"custom empty", rule(`"custom":{}`), in("custom", "got an empty object, want "+some)},
		{"custom text", rule(`"custom":{"team":"red"}`), in("custom.team", `got "red", want `+custom)},
		{"custom empty list", rule(`"custom":{"team":[]}`), in("custom.team", "got an empty list, want "+some)},
		{"custom empty object", rule(`"custom":{"team":{ }}`), in("custom.team", "got an empty object, want "+custom)},
		{"custom number", rule(`"custom":{"team":["red",7]}`), in("custom.team[1]", "got 7, want a string")},
		{"custom twice", rule(`"custom":{"team":["a"],"team":["b"]}`), in("custom.team", "got it more than once, want it once")},
		{"custom no name", rule(`"custom":{"":["a"]}`), in(`custom[\"\"]`, "got no field name, want the name of a custom field")},
		{"custom unknown", rule(`"custom":{"a b\u202e":{"equal":["a"]}}`), in(`custom[\"a b\\u202e\"].equal`, "got an unknown field, want a field of this version: sha256, present")},
		{"sum too short", rule(`"custom":{"key":{"sha256":["9f86"]}}`), in("custom.key.sha256[0]", `got a text of 4 bytes, want the SHA-256 of the value, 64 hexadecimal digits`)},
		{"sum not hex", rule(`"custom":{"key":{"sha256":["` + strings.Repeat("g", 64) + `"]}}`), in("custom.key.sha256[0]", `got a text of 64 bytes, want the SHA-256 of the value, 64 hexadecimal digits`)},
		{"present text", rule(`"custom":{"key":{"present":"yes"}}`), in("custom.key.present", `got "yes", want true or false`)},
		{"absent sum", rule(`"custom":{"key":{"present":false,"sha256":["` + hexSum("x") + `"]}}`), in("custom.key", "got sha256 with present false, want one of the two: an absent field has no sum, so the rule never applies")},
		{"shadow", rule(`"shadow":"yes"`), in("shadow", `got "yes", want true or false`)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc, err := Compile("acme", []byte(tt.data))
			if err == nil || doc != nil {
				t.Fatalf("compiled to %v", doc)
			}
			if got := err.Error(); got != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tt.want)
			}
			var one *RuleError
			if !errors.As(err, &one) || one.Document != "acme" {
				t.Errorf("the error holds no RuleError of the document: %#v", err)
			}
		})
	}
}

func TestCompileTellsAllMistakes(t *testing.T) {
	_, err := Compile("acme", []byte(`{"rules":[{"id":"a","effect":"x","priority":1.5,"app":[]},{"id":"b","calls":["done"]}],"v":1}`))
	for _, part := range []string{
		`rule "a", field "effect"`, `rule "a", field "priority"`, `rule "a", field "app"`,
		`rule "b", field "calls[0]"`, `rule "b", field "effect": missing`, `"acme", field "v"`,
	} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("not told: %s\nin: %v", part, err)
		}
	}
}

func TestCompileBoundsMistakes(t *testing.T) {
	rules := strings.Repeat(`{"effect":"x"},`, 100)
	_, err := Compile("acme", []byte(`{"rules":[`+strings.TrimSuffix(rules, ",")+`]}`))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxMistakes+1 || lines[maxMistakes] != `document "acme": and 80 more mistakes` {
		t.Errorf("got %d lines, the last: %s", len(lines), lines[len(lines)-1])
	}
}

func TestCompileKeepsNoData(t *testing.T) {
	data := []byte(`{"rules":[{"id":"r","effect":"allow","name":["cam-1"]}]}`)
	doc, err := Compile("d", data)
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	in := Input{Call: 2, Name: "cam-1"}
	if got := NewTable(1, Defaults{}, []*Document{doc}).Decide(&in, noon); got.Rule != "d/r" {
		t.Errorf("got %+v", got)
	}
}
