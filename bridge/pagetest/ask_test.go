package pagetest_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"bintubridge/subjects"
)

func TestSearchRules(t *testing.T) {
	p := newTab(t)
	r := newRig(t)
	p.open(r.url())
	for _, search := range []struct {
		text, found, note string
	}{
		{"cd6XX", "acme/ingest", "1 found."},
		{"198.51.100", "acme/banned", "1 found."},
		{"acme/tri", "acme/trial", "1 found."},
		{"ACME", "acme/banned acme/ingest acme/trial acme/viewers", "4 found."},
		{"nothing like it", "", "No rule contains that."},
	} {
		p.fill("#rules [name=q]", search.text)
		p.click(`#rules button`)
		p.until(`document.querySelector('#rules .note').innerText === '` + search.note + `'`)
		if got := eval[string](p, `[...document.querySelectorAll('#rules .found strong')].map((n) => n.innerText).join(' ')`); got != search.found {
			t.Errorf("%q finds %q, want %q", search.text, got, search.found)
		}
	}
	p.fill("#rules [name=q]", "trial")
	p.click(`#rules button`)
	p.until(`document.querySelector('#rules pre')`)
	if got := p.text("#rules .found"); !strings.Contains(got, "deny, shadow · revision 1") || !strings.Contains(got, `"shadow": true`) {
		t.Errorf("a rule is shown as %q", got)
	}
}

// The box answers as the bridge does, and says why.
func TestExplain(t *testing.T) {
	p := newTab(t)
	r := newRig(t)
	p.open(r.url())
	explain := func(fields map[string]string) string {
		t.Helper()
		for _, name := range []string{"name", "app", "addr", "custom", "body", "at"} {
			p.fill("#explain [name="+name+"]", fields[name])
		}
		p.fill("#explain [name=call]", fields["call"])
		eval[any](p, `document.querySelector('#explain .answer').replaceChildren()`)
		p.click(`#explain form > button`)
		p.until(`document.querySelector('#explain .answer').children.length > 0`)
		return p.text("#explain .answer")
	}
	for _, test := range []struct {
		name   string
		fields map[string]string
		want   []string
	}{
		{"allowed", map[string]string{"call": "publish", "name": "CD6xx-1", "addr": "17.31.0.1", "custom": "x=1\nteam=red"}, []string{"Allowed by acme/ingest", "acme/ingest allow, priority 0: decides", "acme/trial deny, priority 0: would match"}},
		{"a condition fails", map[string]string{"call": "publish", "name": "CD6xx-1", "addr": "17.31.0.1", "custom": "team=green"}, []string{"Denied because no rule matches", "does not hold: custom team", `wants ["red","blue"]`}},
		{"outranked", map[string]string{"call": "play", "name": "x", "addr": "198.51.100.9"}, []string{"Denied by acme/banned: banned", "acme/viewers allow, priority 0: holds, another goes before it"}},
		{"without a name", map[string]string{"call": "publish"}, []string{"Denied empty_name"}},
		{"a body", map[string]string{"body": "team=blue&call=publish&name=CD6xx-9&addr=17.31.0.1"}, []string{"Allowed by acme/ingest", "publish CD6xx-9"}},
		{"a wrong time", map[string]string{"call": "play", "name": "x", "at": "now"}, []string{`time "now": want RFC 3339`}},
		{"a wrong field", map[string]string{"call": "play", "name": "x", "custom": "team"}, []string{`custom field "team": want field=value`}},
		{"a call that tells", map[string]string{"body": "call=publish_done&name=x"}, []string{"this call is not decided"}},
	} {
		got := explain(test.fields)
		for _, want := range test.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q, want %q", test.name, got, want)
			}
		}
	}
	// Nothing was counted as an answer.
	if got := p.text("#byrule tbody"); strings.Contains(got, "acme/ingest") {
		t.Errorf("explaining counts: %q", got)
	}
}

// Live streams and the fleet come by NATS; with NATS down the page says so and stays.
func TestLiveAndFleet(t *testing.T) {
	p := newTab(t)
	r := newRig(t)
	r.live("alpha", 5)
	r.live("beta", 1200)
	p.open(r.url())
	p.until(`document.querySelectorAll('#live tbody tr').length === 2 && document.querySelectorAll('#fleet tbody tr').length === 1`)
	if got := p.text("#live"); !strings.Contains(got, "2 with 1,205 viewers") || strings.Index(got, "beta") > strings.Index(got, "alpha") || !strings.Contains(got, "1 h 30 min") {
		t.Errorf("live: %q", got)
	}
	if got := p.text("#fleet tbody"); !strings.Contains(got, "edge-1 (this one)") || !strings.Contains(got, "well") {
		t.Errorf("fleet: %q", got)
	}
	other, err := json.Marshal(subjects.BridgeStatus{Bridge: "edge-9", Time: time.Now(), Rules: subjects.BridgeRules{Bucket: "other", Revision: 99, InvalidCount: 2}})
	if err != nil {
		t.Fatal(err)
	}
	r.put(subjects.BucketBridges, "edge-9", string(other))
	p.until(`document.querySelectorAll('#fleet tbody tr').length === 2`)
	if got := strings.Join(strings.Fields(p.text("#fleet tbody")), " "); !strings.Contains(got, "edge-1 (this one) well 1 ") || !strings.Contains(got, "edge-9 2 refused documents 99 ") {
		t.Errorf("with a bridge of another bucket: %q", got)
	}
	p.fill("#live [name=q]", "alph")
	p.until(`document.querySelectorAll('#live tbody tr').length === 1 && /1 of 2/.test(document.querySelector('#live .note').innerText)`)
	p.fill("#live [name=q]", "")
	r.live("gamma", 7)
	p.until(`document.querySelectorAll('#live tbody tr').length === 3`)
	kv, err := r.js.KeyValue(t.Context(), subjects.BucketLive)
	if err == nil {
		err = kv.Delete(t.Context(), "gamma.17=2E31=2E43=2E214.7")
	}
	if err != nil {
		t.Fatal(err)
	}
	p.until(`document.querySelectorAll('#live tbody tr').length === 2`)
	r.server.Stop()
	p.until(`/May be old: NATS is RECONNECTING/.test(document.querySelector('#live .note').innerText) && /May be old/.test(document.querySelector('#fleet .note').innerText)`)
	if n := eval[int](p, `document.querySelectorAll('#live tbody tr').length`); n != 2 {
		t.Errorf("%d streams are shown with NATS down", n)
	}
	r.server.Start()
	r.live("delta", 1)
	p.until(`document.querySelectorAll('#live tbody tr').length === 3`)
}
