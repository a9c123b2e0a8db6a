package decide

import (
	"encoding/json"
	"testing"

	"bintubridge/subjects"
)

// The page and the tools show a condition that failed as its author wrote it.
func TestWants(t *testing.T) {
	doc, err := Compile("team/red", []byte(`{"rules":[
		{"id":"addr","effect":"allow","name":["x"],"addr":[ "192.0.2.0/24" ]},
		{"effect":"allow","name":["x"],"custom":{"team":["red"],"no":{"present": false}}},
		{"id":"holds","effect":"deny","name":["x"],"reason":"closed"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	custom := &subjects.Fields{}
	custom.Add("team", "blue")
	x := NewTable(1, Defaults{}, []*Document{doc}).Explain(&Input{Call: subjects.Play, Name: "x", Custom: custom}, noon)
	got := map[string]string{}
	for _, c := range x.Considered {
		got[c.Rule] = string(doc.Wants(c))
	}
	for rule, want := range map[string]string{"team/red/addr": `["192.0.2.0/24"]`, "team/red/#2": `["red"]`, "team/red/holds": ""} {
		if got[rule] != want {
			t.Errorf("%s wants %q, not %q", rule, want, got[rule])
		}
	}
	if other := doc.Wants(Considered{Rule: "team/addr", Failed: ConditionAddr}); other != nil {
		t.Errorf("a rule of another document wants %s", other)
	}
	data, err := json.Marshal(x.Considered[0])
	const want = `{"rule":"team/red/holds","effect":"deny","priority":0,"index":"name","outcome":"decides"}`
	if err != nil || string(data) != want {
		t.Errorf("%v: %s, want %s", err, data, want)
	}
}
