package decide

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"bintubridge/subjects"
)

// What a wrong push may hold. Each is refused with document, rule, field, value
// and hint, whatever its size.
func TestCompileRefusesHostileDocuments(t *testing.T) {
	const (
		object  = `one JSON object as {"rules":[…]}`
		integer = "an integer from -2147483648 to 2147483647"
		name    = "a stream name of 1 to 2048 bytes, in which * stands for any run of bytes"
		fields  = "a field of this version: " + ruleFields
	)
	in := func(field string) string { return `{"rules":[{"id":"r","effect":"deny",` + field + `}]}` }
	nested := func(depth int) string {
		return in(`"x":` + strings.Repeat(`[`, depth) + strings.Repeat(`]`, depth))
	}
	deepest := maxDepth - 3 // inside the document, the list and the rule

	tests := []struct {
		name string
		data string
		want RuleError
	}{
		{"garbage, 64 KiB", garbage(64 << 10), RuleError{Value: "text that is not UTF-8 at line ", Want: object}},
		{"garbage, 1 MiB", garbage(1 << 20), RuleError{Value: "text that is not UTF-8 at line ", Want: object}},
		{"zeros, 1 MiB", strings.Repeat("\x00", 1<<20), RuleError{Value: `no JSON at line 1, column 1 (invalid character '\x00' looking for beginning of value)`, Want: object}},
		{"commas, 1 MiB", strings.Repeat(",", 1<<20), RuleError{Value: `no JSON at line 1, column 1 (invalid character ',' looking for beginning of value)`, Want: object}},
		{"one byte too many", spaces(1<<20+1, `{"rules":[]}`), RuleError{Value: "1048577 bytes", Want: "at most 1048576 bytes; split the document into several keys"}},
		{"the last rule of 64 KiB", large(64<<10, `{"id":"last","effect":"deny","priority":1e400}`), RuleError{Rule: "last", Field: "priority", Value: "1e400", Want: integer}},
		{"the last rule of 1 MiB", large(1<<20, `{"id":"last","effect":"deny","app":["a","b*"]}`), RuleError{Rule: "last", Field: "app[1]", Value: `"b*"`, Want: "the exact name of an application: only name has patterns"}},
		{"the same id after 1 MiB", large(1<<20, `{"id":"id-0","effect":"deny"}`), RuleError{Rule: "#", Field: "id", Value: `"id-0"`, Want: "an id of its own: rule #1 has this one"}},
		{"an id twice among many", `{"rules":[` + sequence(30, `{"id":"id-%d","effect":"deny"}`) + `,{"id":"id-29","effect":"deny"}]}`, RuleError{Rule: "#31", Field: "id", Value: `"id-29"`, Want: "an id of its own: rule #30 has this one"}},
		{"a name twice among many", in(`"custom":{` + sequence(30, `"f%d":["x"]`) + `,"f29":["x"]}`), RuleError{Rule: "r", Field: "custom.f29", Value: "it more than once", Want: "it once"}},
		{"a text of 1 MiB", spaces(1<<20, in(`"reason":"`+strings.Repeat("\u2028", 300_000)+`"`)), RuleError{Rule: "r", Field: "reason", Value: `"` + strings.Repeat(`\u2028`, 21) + `"…`, Want: "a text of at most 256 bytes without control characters"}},
		{"a text for the document", `"` + strings.Repeat("a", 1000) + `"`, RuleError{Value: `"` + strings.Repeat("a", 64) + `"…`, Want: object}},

		{"nested as deep as JSON may", nested(deepest), RuleError{Rule: "r", Field: "x", Value: "an unknown field", Want: fields}},
		{"nested deeper", nested(deepest + 1), RuleError{Value: fmt.Sprintf("no JSON at line 1, column %d (invalid character '[' exceeded max depth)", len(in(`"x":`))-3+deepest+1), Want: object}},
		{"nested and never closed", strings.Repeat(`{"rules":[`, 100_000), RuleError{Value: "no JSON at line 1, column 50001 (invalid character '{' exceeded max depth)", Want: object}},
		{"60,000 unknown fields", spaces(1<<20, in(sequence(60_000, `"f%d":1`))), RuleError{Rule: "r", Field: "f0", Value: "an unknown field", Want: fields}},
		{"an unknown field of 1 MiB", in(`"` + strings.Repeat("f", 1_000_000) + `":1`), RuleError{Rule: "r", Field: strings.Repeat("f", 1_000_000), Value: "an unknown field", Want: fields}},

		{"priority of 2^63", in(`"priority":9223372036854775808`), RuleError{Rule: "r", Field: "priority", Value: "9223372036854775808", Want: integer}},
		{"priority of -2^63-1", in(`"priority":-9223372036854775809`), RuleError{Rule: "r", Field: "priority", Value: "-9223372036854775809", Want: integer}},
		{"priority of 1e400", in(`"priority":-1e400`), RuleError{Rule: "r", Field: "priority", Value: "-1e400", Want: integer}},
		{"priority of a million digits", in(`"priority":` + strings.Repeat("9", 1_000_000)), RuleError{Rule: "r", Field: "priority", Value: strings.Repeat("9", 64) + "…", Want: integer}},
		{"priority as a list", in(`"priority":[1]`), RuleError{Rule: "r", Field: "priority", Value: "a list", Want: integer}},

		{"a glob of a million stars", in(`"name":["` + strings.Repeat("*a", 400_000) + `"]`), RuleError{Rule: "r", Field: "name[0]", Value: `"` + strings.Repeat("*a", 32) + `"…`, Want: name}},
		{"a glob a byte too long", in(`"name":["x","` + strings.Repeat("*a", 1024) + `*"]`), RuleError{Rule: "r", Field: "name[1]", Value: `"` + strings.Repeat("*a", 32) + `"…`, Want: name}},
		{"a CIDR of IPv6 with IPv4's bits", in(`"addr":["::ffff:10.0.0.0/8"]`), RuleError{Rule: "r", Field: "addr[0]", Value: `"::ffff:10.0.0.0/8"`, Want: `"::/8", the network itself: host bits are set`}},
		{"a CIDR with a leading zero", in(`"addr":["10.0.0.0/08"]`), RuleError{Rule: "r", Field: "addr[0]", Value: `"10.0.0.0/08"`, Want: `a network as "17.31.0.0/16" or "2001:db8::/32", or one address`}},
		{"a CIDR of a million bytes", in(`"addr":["` + strings.Repeat("1", 1_000_000) + `"]`), RuleError{Rule: "r", Field: "addr[0]", Value: `"` + strings.Repeat("1", 64) + `"…`, Want: `a network as "17.31.0.0/16" or "2001:db8::/32", or one address`}},
		{"wrong kind, deep inside", in(`"custom":{"a b":{"sha256":[{}]}}`), RuleError{Rule: "r", Field: `custom["a b"].sha256[0]`, Value: "an empty object", Want: "a string"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Compile("acme", []byte(tt.data))
			var got *RuleError
			if !errors.As(err, &got) {
				t.Fatalf("got %v", err)
			}
			if got.Document != "acme" || !strings.HasPrefix(got.Rule, tt.want.Rule) || got.Field != tt.want.Field ||
				!strings.HasPrefix(got.Value, tt.want.Value) || got.Want != tt.want.Want {
				t.Errorf("got  %s\nwant %s", got, &tt.want)
			}
			checkErrorText(t, err.Error())
		})
	}
}

// garbage is noise, the same each time.
func garbage(size int) string {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	return string(data)
}

// spaces makes a document longer without changing it.
func spaces(size int, data string) string { return data + strings.Repeat(" ", size-len(data)) }

// large is a document of that size with good rules and a last one.
func large(size int, last string) string {
	var b strings.Builder
	b.WriteString(`{"rules":[`)
	for i := 0; b.Len() < size-200; i++ {
		fmt.Fprintf(&b, `{"id":"id-%d","effect":"allow","name":["cam-%d"]},`, i, i)
	}
	b.WriteString(last + `]}`)
	return spaces(size, b.String())
}

// sequence is a format filled in with the numbers from 0 on.
func sequence(n int, format string) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(list, ",")
}

// A large document that is good is taken like any other.
func TestCompileTakesLargeDocuments(t *testing.T) {
	for _, size := range []int{64 << 10, MaxDocument} {
		data := large(size, `{"id":"last","effect":"allow","name":["last"]}`)
		doc := mustCompile(t, "acme", data)
		got := NewTable(1, Defaults{}, []*Document{doc}).Decide(&Input{Call: subjects.Play, Name: "last"}, noon)
		if len(data) != size || doc.Source() != data || doc.Rules() < size/60 || got.Rule != "acme/last" {
			t.Errorf("%d bytes: %d rules, %+v", size, doc.Rules(), got)
		}
	}
}

// A pattern that sends a backtracking matcher into years of work, on the names
// that do so. It is allowed, for here it costs one pass over the name.
func TestCompileTakesCatastrophicGlobs(t *testing.T) {
	stars := strings.Repeat("*a", maxName/2)
	table := rulesTable(t, `{"id":"r","effect":"allow","name":["`+stars+`"]}`)
	for name, want := range map[string]Effect{
		strings.Repeat("a", maxName/2):               Allow,
		strings.Repeat("a", maxName/2-1):             Deny,
		strings.Repeat("ab", senderName/2) + "a":     Allow,
		strings.Repeat("b", senderName):              Deny,
		strings.Repeat("ab", 30_000) + "a":           Deny, // longer than any sender's
		strings.Repeat("a", maxName/2-1) + "b" + "a": Allow,
	} {
		in := Input{Call: subjects.Publish, Name: name}
		if got := table.Decide(&in, noon); got.Effect != want {
			t.Errorf("a name of %d bytes: got %v, want %v", len(name), got.Effect, want)
		}
	}
}

// A rule that is over is no mistake: time made it so, not who pushed it.
func TestCompileTakesExpiredRules(t *testing.T) {
	table := rulesTable(t, `{"effect":"allow","expires_at":"1971-01-01T00:00:00Z"}`)
	in := Input{Call: subjects.Publish, Name: "cam"}
	if got := table.Decide(&in, noon); got.Effect != Deny || got.Rule != "" {
		t.Errorf("after it: %+v", got)
	}
	if got := table.Decide(&in, time.Unix(0, 0)); got.Effect != Allow {
		t.Errorf("before it: %+v", got)
	}
}

// A key is not ours to choose either: it stands in errors quoted and cut, and in
// the names of rules as it is.
func TestCompileKeysWithOddCharacters(t *testing.T) {
	for _, key := range []string{"", "a b", "a/b", "..", "*", ">", "$KV", "a\nb\x1b[31m", "\xff\xfe", "ключ", "\u202e", strings.Repeat("k", 5000)} {
		_, err := Compile(key, []byte(`{"rules":[{"id":"r","effect":"alow"}]}`))
		var one *RuleError
		if !errors.As(err, &one) || one.Document != key || one.Rule != "r" || one.Field != "effect" {
			t.Errorf("key %q: %v", key, err)
			continue
		}
		checkErrorText(t, err.Error())
		if want := "document " + quote(key) + ", rule"; !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %s, want %s", err, want)
		}
		doc := mustCompile(t, key, `{"rules":[{"effect":"allow"},{"id":"r","effect":"deny","priority":-1}]}`)
		got := NewTable(1, Defaults{}, []*Document{doc}).Decide(&Input{Call: subjects.Play, Name: "x"}, noon)
		if doc.Key() != key || got.Rule != key+"/#1" {
			t.Errorf("key %q: %+v", key, got)
		}
	}
}

// Compile keeps few things: the source, the document, its rules, and for each
// rule its name and lists.
func TestCompileAllocates(t *testing.T) {
	for _, tt := range []struct {
		name string
		data string
		most float64
	}{
		{"no rules", `{"rules":[]}`, 2},
		{"one that denies all", `{"rules":[{"effect":"deny"}]}`, 4},
		{"one stream name", `{"rules":[{"id":"cam-1","effect":"allow","calls":["publish"],"name":["cam-1"]}]}`, 5},
		{"one of everything", `{"rules":[{"id":"r","effect":"allow","calls":["play"],"priority":-3,"name":["cam-1"],"app":["live"],"addr":["10.0.0.0/8"],` +
			`"custom":{"team":["red"]},"not_before":"2026-01-01T00:00:00Z","expires_at":"2027-01-01T00:00:00Z","shadow":false,"reason":"x"}]}`, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data := []byte(tt.data)
			var err error
			n := testing.AllocsPerRun(100, func() { _, err = Compile("acme", data) })
			if n > tt.most || err != nil {
				t.Errorf("%v allocations, at most %v wanted; %v", n, tt.most, err)
			}
		})
	}
}
