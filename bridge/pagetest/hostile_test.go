package pagetest_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"bintubridge/subjects"
)

// markup is what a page that renders texts would run, or at least show as an element.
func markup(field string) string {
	return fmt.Sprintf(`<img src=x onerror="document.title='owned'; alert('%[1]s')"><script>alert('%[1]s')</script>"'><svg onload=alert(1)><b class=hostile>%[1]s</b>`, field)
}

// unharmed fails when markup became an element anywhere. Dialogs, exceptions and breaches
// of the content policy fail the test by themselves.
func (p *tab) unharmed() {
	p.t.Helper()
	if n := eval[int](p, `document.querySelectorAll('img, svg, .hostile, body script, iframe').length`); n != 0 {
		p.t.Errorf("%d elements of hostile markup", n)
	}
	if title := eval[string](p, `document.title`); strings.Contains(title, "owned") {
		p.t.Errorf("title %q", title)
	}
}

// Nothing of a user's is rendered as markup, whatever field it is in.
func TestHostileEvents(t *testing.T) {
	p, r := watched(t)
	sent := []string{"name", "app", "addr", "clientid", "type", "flashver", "swfurl", "tcurl", "pageurl"}
	body := url.QueryEscape(markup("key")) + "=" + url.QueryEscape(markup("value")) + "&call=publish"
	for _, field := range sent {
		body += "&" + field + "=" + url.QueryEscape(markup(field))
	}
	r.Post(body + "&extra=" + url.QueryEscape(markup("extra")))
	r.Post(body + "&name=twice") // lossy: raw is kept
	r.Post(markup("raw"))        // no call at all
	p.until(rowCount + ` === 3`)
	if got := p.text("#feed .events"); !strings.Contains(got, markup("name")) || !strings.Contains(got, markup("addr")) {
		t.Errorf("the rows do not show the text: %.300q", got)
	}
	for i := range 3 { // not by the mouse: an opened one moves the others away under it
		eval[bool](p, `(document.querySelector('#feed details:not([open]) summary').click(), true)`)
		p.until(fmt.Sprintf(`document.querySelectorAll('#feed details[open] pre').length === %d`, i+1))
	}
	got := p.text("#feed .events")
	for _, field := range append(sent, "key", "value", "extra") {
		quoted, err := json.Marshal(markup(field))
		if err != nil {
			t.Fatal(err)
		}
		// JSON.stringify leaves < and > as they are.
		text := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(quoted))
		if !strings.Contains(got, text) {
			t.Errorf("%s is not shown as text", field)
		}
	}
	if !strings.Contains(got, `"raw": "`+strings.ReplaceAll(markup("raw"), `"`, `\"`)[:40]) {
		t.Error("raw is not shown as text")
	}
	p.unharmed()
}

// The same for what comes by NATS: live streams, other bridges, rules and what they say.
func TestHostileBuckets(t *testing.T) {
	p := newTab(t)
	r := newRig(t)
	for key, stream := range map[string]map[string]any{
		"evil": {"name": markup("live"), "app": markup("app"), "addr": markup("addr"), "clientid": markup("client"), "rule": markup("by"), "since": time.Now(), "last_seen": time.Now(), "viewers": 3},
		"odd": { // which is no stream, and is left out
			"name": markup("odd"), "since": markup("since"), "last_seen": markup("seen"), "viewers": markup("viewers"), "reconnects": markup("again"),
		},
	} {
		data, err := json.Marshal(stream)
		if err != nil {
			t.Fatal(err)
		}
		r.put(subjects.BucketLive, key, string(data))
	}
	status, err := json.Marshal(subjects.BridgeStatus{
		Bridge: markup("bridge"), Version: markup("version"), Time: time.Now(), Rules: subjects.BridgeRules{Trouble: markup("trouble")},
	})
	if err != nil {
		t.Fatal(err)
	}
	quote := func(text string) string {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		return string(quoted)
	}
	r.put(subjects.BucketRules, "evil", `{"rules":[{"id":"x","effect":"deny","priority":9,"name":[`+quote(markup("rule"))+`],"custom":{`+quote(markup("field"))+`:["a"]}},
		{"id":"y","effect":"deny","priority":8,"name":[`+quote(markup("rule"))+`],"reason":`+quote("<b class=hostile>reason</b>")+`}]}`)
	r.put(subjects.BucketRules, "refused", `{"rules":[{"id":`+quote(markup("id"))+`,"effect":`+quote(markup("effect"))+`}]}`)
	const key = "<svg/onload=alert(1)>" // that no client would write, but a server takes
	if _, err := r.js.Publish(t.Context(), "$KV.rules."+key, []byte(`{"rules":[]}`)); err != nil {
		t.Fatal(err)
	}
	p.open(r.url())
	r.put(subjects.BucketBridges, "evil", string(status)) // not before: it ends after half a minute
	p.until(`document.querySelectorAll('#live tbody tr').length === 1 && document.querySelector('#checks .invalid').innerText.includes('svg/onload') && document.querySelectorAll('#fleet tbody tr').length === 2 && !document.querySelector('#checks .invalid').hidden`)
	live := p.text("#live tbody")
	for _, part := range []string{"live", "app", "addr", "by"} {
		if !strings.Contains(live, markup(part)) {
			t.Errorf("live: no %s in %q", part, live)
		}
	}
	fleet := p.text("#fleet tbody")
	for _, part := range []string{"bridge", "version", "trouble"} {
		if !strings.Contains(fleet, markup(part)) {
			t.Errorf("fleet: no %s in %q", part, fleet)
		}
	}
	p.fill("#rules [name=q]", "onerror")
	p.click(`#rules button`)
	p.until(`document.querySelectorAll('#rules .found details').length === 2`)
	p.fill("#explain [name=name]", markup("rule"))
	p.fill("#explain [name=custom]", "a="+markup("typed"))
	p.click(`#explain form > button`)
	p.until(`document.querySelector('#explain .decision')`)
	if got := p.text("#explain .answer"); !strings.Contains(got, "Denied by evil/y: <b class=hostile>reason</b>") || !strings.Contains(got, markup("rule")) {
		t.Errorf("explained: %q", got)
	}
	p.unharmed()
}
