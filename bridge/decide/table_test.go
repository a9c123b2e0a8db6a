package decide

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"bintubridge/subjects"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// mustCompile compiles a document that is expected to be good.
func mustCompile(t rapid.TB, key, text string) *Document {
	t.Helper()
	doc, err := Compile(key, []byte(text))
	if err != nil {
		t.Fatalf("compile %s: %v", key, err)
	}
	return doc
}

// rulesTable builds a table of one document "d" with the rules, comma-separated.
func rulesTable(t testing.TB, rules string) *Table {
	t.Helper()
	return NewTable(7, Defaults{}, []*Document{mustCompile(t, "d", `{"rules":[`+rules+`]}`)})
}

// fields makes custom fields from keys and values in turn.
func fields(pairs ...string) *subjects.Fields {
	var f subjects.Fields
	for pair := range slices.Chunk(pairs, 2) {
		f.Add(pair[0], pair[1])
	}
	return &f
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestDecide(t *testing.T) {
	publish := func(change func(*Input)) Input {
		in := Input{Call: subjects.Publish, Name: "cam-1", App: "live", Addr: "17.31.43.214"}
		if change != nil {
			change(&in)
		}
		return in
	}
	custom := func(pairs ...string) Input {
		return publish(func(in *Input) { in.Custom = fields(pairs...) })
	}
	name := func(name string) Input { return publish(func(in *Input) { in.Name = name }) }
	addr := func(addr string) Input { return publish(func(in *Input) { in.Addr = addr }) }
	call := func(call subjects.Call) Input { return publish(func(in *Input) { in.Call = call }) }
	by := func(effect Effect, id string) Decision { return Decision{Effect: effect, Rule: "d/" + id} }
	none := Decision{Reason: ReasonDefault}
	open := Decision{Effect: Allow, Reason: ReasonDefault}

	tests := []struct {
		name  string
		rules string
		in    Input
		at    time.Time // zero: noon
		want  Decision
	}{
		{name: "no rules deny a publish", in: publish(nil), want: none},
		{name: "no rules deny a play", in: call(subjects.Play), want: none},
		{name: "no rules keep a running publish", in: call(subjects.UpdatePublish), want: open},
		{name: "no rules keep a running play", in: call(subjects.UpdatePlay), want: open},
		{name: "no rules let connect", in: call(subjects.Connect), want: open},
		{name: "a told call is not decided", rules: `{"effect":"allow"}`, in: call(subjects.PublishDone), want: Decision{Reason: ReasonNotAsked}},
		{name: "an unknown call is not decided", rules: `{"effect":"allow"}`, in: call(subjects.UnknownCall), want: Decision{Reason: ReasonNotAsked}},
		{name: "a name longer than senders pass on is denied whatever the rules say", rules: `{"effect":"allow"}`, in: name(strings.Repeat("a", 2048)), want: Decision{Reason: ReasonLongName}},
		{name: "one that they pass on is not", rules: `{"effect":"allow"}`, in: name(strings.Repeat("a", 2047)), want: by(Allow, "#1")},
		{name: "an empty name is denied whatever the rules say", rules: `{"effect":"allow"}`, in: name(""), want: Decision{Reason: ReasonEmptyName}},
		{name: "an empty name may be updated", in: publish(func(in *Input) { in.Call, in.Name = subjects.UpdatePlay, "" }), want: open},

		{name: "a rule without conditions", rules: `{"id":"all","effect":"allow"}`, in: publish(nil), want: by(Allow, "all")},
		{name: "a rule without id is its position", rules: `{"effect":"allow","name":["x"]},{"effect":"allow"}`, in: publish(nil), want: by(Allow, "#2")},
		{name: "a rule's reason", rules: `{"id":"r","effect":"deny","reason":"not paid"}`, in: publish(nil), want: Decision{Deny, "d/r", "not paid"}},
		{name: "shadow false is an ordinary rule", rules: `{"id":"r","effect":"allow","shadow":false}`, in: publish(nil), want: by(Allow, "r")},

		{name: "default calls leave update alone", rules: `{"id":"r","effect":"deny"}`, in: call(subjects.UpdatePublish), want: open},
		{name: "default calls hold play", rules: `{"id":"r","effect":"allow"}`, in: call(subjects.Play), want: by(Allow, "r")},
		{name: "a named call", rules: `{"id":"r","effect":"deny","calls":["update_publish"]}`, in: call(subjects.UpdatePublish), want: by(Deny, "r")},
		{name: "an alias of a call", rules: `{"id":"r","effect":"deny","calls":["publish_update"]}`, in: call(subjects.UpdatePublish), want: by(Deny, "r")},
		{name: "another call than named", rules: `{"id":"r","effect":"allow","calls":["play"]}`, in: publish(nil), want: none},
		{name: "connect by address", rules: `{"id":"r","effect":"deny","calls":["connect"],"addr":["17.0.0.0/8"]}`, in: call(subjects.Connect), want: by(Deny, "r")},

		{name: "exact name", rules: `{"id":"r","effect":"allow","name":["cam-1"]}`, in: publish(nil), want: by(Allow, "r")},
		{name: "exact name is case-sensitive", rules: `{"id":"r","effect":"allow","name":["Cam-1"]}`, in: publish(nil), want: none},
		{name: "exact name is no prefix", rules: `{"id":"r","effect":"allow","name":["cam"]}`, in: publish(nil), want: none},
		{name: "one of several names", rules: `{"id":"r","effect":"allow","name":["x","cam-1"]}`, in: publish(nil), want: by(Allow, "r")},
		{name: "pattern", rules: `{"id":"r","effect":"allow","name":["cam-*"]}`, in: publish(nil), want: by(Allow, "r")},
		{name: "pattern stands for nothing too", rules: `{"id":"r","effect":"allow","name":["cam-*"]}`, in: name("cam-"), want: by(Allow, "r")},
		{name: "stars alone match an empty name too", rules: `{"id":"r","effect":"deny","calls":["update_play"],"name":["**"]}`, in: publish(func(in *Input) { in.Call, in.Name = subjects.UpdatePlay, "" }), want: by(Deny, "r")},
		{name: "pattern misses", rules: `{"id":"r","effect":"allow","name":["cam-*"]}`, in: name("xcam-1"), want: none},
		{name: "pattern may not overlap itself", rules: `{"id":"r","effect":"allow","name":["ab*ba"]}`, in: name("aba"), want: none},
		{name: "pieces of a pattern may not overlap", rules: `{"id":"r","effect":"allow","name":["*a*a*"]}`, in: name("bab"), want: none},
		{name: "exact and pattern in one rule, by name", rules: `{"id":"r","effect":"allow","name":["cam-1","x*"]}`, in: publish(nil), want: by(Allow, "r")},
		{name: "exact and pattern in one rule, by pattern", rules: `{"id":"r","effect":"allow","name":["cam-1","x*"]}`, in: name("xy"), want: by(Allow, "r")},
		{name: "exact and pattern in one rule, by neither", rules: `{"id":"r","effect":"allow","name":["cam-1","x*"]}`, in: name("y"), want: none},

		{name: "app", rules: `{"id":"r","effect":"allow","app":["vod","live"]}`, in: publish(nil), want: by(Allow, "r")},
		{name: "another app", rules: `{"id":"r","effect":"allow","app":["vod"]}`, in: publish(nil), want: none},

		{name: "network", rules: `{"id":"r","effect":"allow","addr":["10.0.0.0/8","17.31.0.0/16"]}`, in: publish(nil), want: by(Allow, "r")},
		{name: "outside the network", rules: `{"id":"r","effect":"allow","addr":["17.31.0.0/16"]}`, in: addr("17.32.0.0"), want: none},
		{name: "one address", rules: `{"id":"r","effect":"allow","addr":["17.31.43.214"]}`, in: publish(nil), want: by(Allow, "r")},
		{name: "one address is no network", rules: `{"id":"r","effect":"allow","addr":["17.31.43.214"]}`, in: addr("17.31.43.215"), want: none},
		{name: "IPv6", rules: `{"id":"r","effect":"allow","addr":["2001:db8::/32"]}`, in: addr("2001:DB8::1"), want: by(Allow, "r")},
		{name: "IPv6 with a zone", rules: `{"id":"r","effect":"allow","addr":["fe80::/10"]}`, in: addr("fe80::1%eth0"), want: by(Allow, "r")},
		{name: "one IPv6 address", rules: `{"id":"r","effect":"allow","addr":["::1"]}`, in: addr("0:0::1"), want: by(Allow, "r")},
		{name: "IPv4 in IPv6 asks", rules: `{"id":"r","effect":"allow","addr":["17.31.0.0/16"]}`, in: addr("::ffff:17.31.1.1"), want: by(Allow, "r")},
		{name: "IPv4 in IPv6 in the rule", rules: `{"id":"r","effect":"allow","addr":["::ffff:17.31.0.0/112"]}`, in: publish(nil), want: by(Allow, "r")},
		{name: "IPv4 in IPv6 as one address in the rule", rules: `{"id":"r","effect":"allow","addr":["::ffff:17.31.43.214"]}`, in: publish(nil), want: by(Allow, "r")},
		{name: "all of IPv6 is not IPv4", rules: `{"id":"r","effect":"allow","addr":["::/0"]}`, in: publish(nil), want: none},
		{name: "all of IPv4", rules: `{"id":"r","effect":"allow","addr":["0.0.0.0/0"]}`, in: publish(nil), want: by(Allow, "r")},
		{name: "a socket is in no network", rules: `{"id":"r","effect":"allow","addr":["0.0.0.0/0","::/0"]}`, in: addr("unix:/run/rtmp.sock"), want: none},
		{name: "an unreadable address is in no network", rules: `{"id":"r","effect":"allow","addr":["0.0.0.0/0","::/0"]}`, in: addr("1.2.3"), want: none},
		{name: "an empty address is in no network", rules: `{"id":"r","effect":"allow","addr":["0.0.0.0/0","::/0"]}`, in: addr(""), want: none},
		{name: "a socket matches a rule without addr", rules: `{"id":"r","effect":"allow"}`, in: addr("unix:"), want: by(Allow, "r")},

		{name: "custom equal", rules: `{"id":"r","effect":"allow","custom":{"team":["red","blue"]}}`, in: custom("team", "blue"), want: by(Allow, "r")},
		{name: "custom differs", rules: `{"id":"r","effect":"allow","custom":{"team":["red"]}}`, in: custom("team", "Red"), want: none},
		{name: "custom missing", rules: `{"id":"r","effect":"allow","custom":{"team":["red"]}}`, in: publish(nil), want: none},
		{name: "custom empty value", rules: `{"id":"r","effect":"allow","custom":{"team":[""]}}`, in: custom("team", ""), want: by(Allow, "r")},
		{name: "custom empty value is not missing", rules: `{"id":"r","effect":"allow","custom":{"team":[""]}}`, in: custom("other", ""), want: none},
		{name: "custom first value counts", rules: `{"id":"r","effect":"allow","custom":{"team":["red"]}}`, in: custom("team", "blue", "team", "red"), want: none},
		{name: "all custom fields must hold", rules: `{"id":"r","effect":"allow","custom":{"team":["red"],"tier":["pro"]}}`, in: custom("team", "red"), want: none},
		{name: "custom sum", rules: `{"id":"r","effect":"allow","custom":{"key":{"sha256":["` + hexSum("a") + `","` + strings.ToUpper(hexSum("s3cret")) + `"]}}}`, in: custom("key", "s3cret"), want: by(Allow, "r")},
		{name: "custom sum, the first of two", rules: `{"id":"r","effect":"allow","custom":{"key":{"sha256":["` + hexSum("a") + `","` + hexSum("b") + `"]}}}`, in: custom("key", "a"), want: by(Allow, "r")},
		{name: "custom sum differs", rules: `{"id":"r","effect":"allow","custom":{"key":{"sha256":["` + hexSum("a") + `"]}}}`, in: custom("key", "s3cret"), want: none},
		{name: "custom sum of a missing field", rules: `{"id":"r","effect":"allow","custom":{"key":{"sha256":["` + hexSum("") + `"]}}}`, in: publish(nil), want: none},
		{name: "custom sums of two fields", rules: `{"id":"r","effect":"allow","custom":{"a":{"sha256":["` + hexSum("1") + `"]},"b":{"sha256":["` + hexSum("2") + `"]}}}`, in: custom("a", "1", "b", "2"), want: by(Allow, "r")},
		{name: "custom sum of one field is not that of another", rules: `{"id":"r","effect":"allow","custom":{"a":{"sha256":["` + hexSum("1") + `"]},"b":{"sha256":["` + hexSum("1") + `"]}}}`, in: custom("a", "1", "b", "2"), want: none},
		{name: "custom present", rules: `{"id":"r","effect":"allow","custom":{"invite":{"present":true}}}`, in: custom("invite", ""), want: by(Allow, "r")},
		{name: "custom not present", rules: `{"id":"r","effect":"allow","custom":{"invite":{"present":true}}}`, in: publish(nil), want: none},
		{name: "custom absent", rules: `{"id":"r","effect":"allow","custom":{"debug":{"present":false}}}`, in: publish(nil), want: by(Allow, "r")},
		{name: "custom not absent", rules: `{"id":"r","effect":"allow","custom":{"debug":{"present":false}}}`, in: custom("debug", "1"), want: none},
		{name: "custom present and sum", rules: `{"id":"r","effect":"allow","custom":{"key":{"present":true,"sha256":["` + hexSum("k") + `"]}}}`, in: custom("key", "k"), want: by(Allow, "r")},

		{name: "before not_before", rules: `{"id":"r","effect":"allow","not_before":"2026-11-23T12:00:00Z"}`, in: publish(nil), at: noon.Add(-1), want: none},
		{name: "at not_before", rules: `{"id":"r","effect":"allow","not_before":"2026-11-23T12:00:00Z"}`, in: publish(nil), want: by(Allow, "r")},
		{name: "before expires_at", rules: `{"id":"r","effect":"allow","expires_at":"2026-11-23T13:00:00+01:00"}`, in: publish(nil), at: noon.Add(-1), want: by(Allow, "r")},
		{name: "at expires_at", rules: `{"id":"r","effect":"allow","expires_at":"2026-11-23T13:00:00+01:00"}`, in: publish(nil), want: none},

		{name: "higher priority wins", rules: `{"id":"a","effect":"deny"},{"id":"b","effect":"allow","priority":1}`, in: publish(nil), want: by(Allow, "b")},
		{name: "negative priority loses", rules: `{"id":"a","effect":"deny","priority":-1},{"id":"b","effect":"allow"}`, in: publish(nil), want: by(Allow, "b")},
		{name: "the ends of priority", rules: `{"id":"a","effect":"deny","priority":-2147483648},{"id":"b","effect":"allow","priority":2147483647}`, in: publish(nil), want: by(Allow, "b")},
		{name: "deny beats allow", rules: `{"id":"a","effect":"allow"},{"id":"b","effect":"deny"}`, in: publish(nil), want: by(Deny, "b")},
		{name: "smallest name of equals", rules: `{"id":"c","effect":"allow"},{"id":"a","effect":"allow"},{"id":"b","effect":"allow"}`, in: publish(nil), want: by(Allow, "a")},
		{name: "pattern deny beats exact allow", rules: `{"id":"a","effect":"allow","name":["cam-1"]},{"id":"b","effect":"deny","name":["*"]}`, in: publish(nil), want: by(Deny, "b")},
		{name: "exact deny beats pattern allow", rules: `{"id":"a","effect":"deny","name":["cam-1"]},{"id":"b","effect":"allow","name":["*"]}`, in: publish(nil), want: by(Deny, "a")},
		{name: "pattern of higher priority beats exact", rules: `{"id":"a","effect":"deny","name":["cam-1"]},{"id":"b","effect":"allow","name":["*"],"priority":1}`, in: publish(nil), want: by(Allow, "b")},
		{name: "a rule that does not hold is passed over", rules: `{"id":"a","effect":"deny","priority":9,"app":["vod"]},{"id":"b","effect":"allow"}`, in: publish(nil), want: by(Allow, "b")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at := tt.at
			if at.IsZero() {
				at = noon
			}
			if got := rulesTable(t, tt.rules).Decide(&tt.in, at); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// An index finds rules by hashes of names. What decides is the name itself: two
// names of one hash are two names.
func TestCandidatesCheckTheName(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, list := range []string{`"cam-1"`, `"cam-1","b"`, `"` + long + `"`, `"cam-1","y*"`} {
		doc := mustCompile(t, "d", `{"rules":[{"effect":"allow","name":[`+list+`]}]}`)
		for _, name := range []string{"", "cam-2", "cam-11", "cam-", long + "x"} {
			c := newCandidate(&doc.rules[0], anyGlob)
			if got := c.fails(&query{in: &Input{Call: subjects.Publish, Name: name}}); got != ConditionName {
				t.Errorf("%s and %q: failed %q", list, name, got)
			}
		}
	}
}

func TestDefaults(t *testing.T) {
	for _, d := range []Defaults{{}, {Publish: Allow}, {Play: Allow}, {Publish: Allow, Play: Allow}} {
		table := NewTable(1, d, nil)
		if got := table.Decide(&Input{Call: subjects.Publish, Name: "x"}, noon); got != (Decision{Effect: d.Publish, Reason: ReasonDefault}) {
			t.Errorf("%+v: publish got %+v", d, got)
		}
		if got := table.Decide(&Input{Call: subjects.Play, Name: "x"}, noon); got != (Decision{Effect: d.Play, Reason: ReasonDefault}) {
			t.Errorf("%+v: play got %+v", d, got)
		}
	}
}

// Every zero value of the package is a denial.
func TestZeroValuesDeny(t *testing.T) {
	if (Decision{}).Effect != Deny || Effect(0) != Deny || Effect(2).String() != "deny" {
		t.Error("a zero value allows")
	}
	var table Table
	if got := table.Decide(&Input{Call: subjects.Publish, Name: "x"}, noon); got != (Decision{Reason: ReasonDefault}) {
		t.Errorf("the zero table says %+v", got)
	}
}

func TestParseEffect(t *testing.T) {
	for _, e := range []Effect{Deny, Allow} {
		if got, err := ParseEffect(e.String()); got != e || err != nil {
			t.Errorf("%v: got %v, %v", e, got, err)
		}
	}
	for _, text := range []string{"", "Allow", "allow ", "yes"} {
		if got, err := ParseEffect(text); got != Deny || err == nil {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}

func TestTableCounts(t *testing.T) {
	a := mustCompile(t, "a", `{"rules":[{"effect":"allow"},{"effect":"deny"}]}`)
	b := mustCompile(t, "b", `{"rules":[]}`)
	table := NewTable(42, Defaults{}, []*Document{a, b})
	if table.Revision() != 42 || table.Rules() != 2 || a.Key() != "a" || a.Rules() != 2 || b.Rules() != 0 {
		t.Errorf("revision %d, rules %d, document %q with %d", table.Revision(), table.Rules(), a.Key(), a.Rules())
	}
}

// Long values of key fields that many rules look at are hashed once each: this
// bounds what a client can make a decision cost.
func TestSumsAreKept(t *testing.T) {
	q := query{in: &Input{}, now: noon}
	fields := []string{"a", "b", "c", "d"}
	for _, field := range fields {
		if got := hex.EncodeToString(q.sum(field, field)[:]); got != hexSum(field) {
			t.Errorf("field %s got the sum %s", field, got)
		}
		q.sum(field, field)[0]++ // a second computation would repair it
	}
	for _, field := range fields {
		if hex.EncodeToString(q.sum(field, field)[:]) == hexSum(field) {
			t.Errorf("field %s was hashed twice", field)
		}
	}
	if got := hex.EncodeToString(q.sum("other", "x")[:]); got != hexSum("x") {
		t.Errorf("one field too many got the sum %s", got)
	}
}
