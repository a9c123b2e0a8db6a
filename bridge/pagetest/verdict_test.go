package pagetest_test

import (
	"strings"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
)

// The first line says whether all is well, and else what is wrong and what to do.
func TestVerdict(t *testing.T) {
	p := newTab(t)
	r := newRig(t)
	p.open(r.url())
	p.until(`document.querySelector('#verdict').dataset.level === 'good'`)
	if got := p.text("#verdict .says"); !strings.HasPrefix(got, "All is well. ") || !strings.Contains(got, "revision 1") {
		t.Errorf("all is well: %q", got)
	}
	if got := p.text("header"); !strings.Contains(got, "edge-1") || !strings.Contains(got, "version") {
		t.Errorf("header %q", got)
	}

	r.put(subjects.BucketRules, "acme", `{"rules":[{"id":"oops","effect":"alow"}]}`)
	p.until(`document.querySelector('#verdict').dataset.level === 'warn'`)
	if got := p.text("#verdict"); !strings.Contains(got, "One rule document is refused") || !strings.Contains(got, "bridgectl rules put") {
		t.Errorf("with a refused document: %q", got)
	}
	if got := p.text("#checks .invalid"); !strings.Contains(got, "acme, revision 2") || !strings.Contains(got, `got "alow"`) {
		t.Errorf("refused documents: %q", got)
	}
	r.put(subjects.BucketRules, "acme", rules)
	p.until(`document.querySelector('#verdict').dataset.level === 'good' && document.querySelector('#checks .invalid').hidden`)

	bridgetest.Eventually(t, "nothing waits", func() bool {
		_, text := r.Admin("/metrics")
		return strings.Contains(text, "\nbridge_spool_events 0\n")
	})
	r.server.Stop()
	for range 3 {
		r.Post("call=play&name=x&addr=192.0.2.1")
	}
	p.until(`/NATS cannot be reached: 3 events wait/.test(document.querySelector('#verdict').innerText)`)
	if got := p.text("#verdict .todo"); !strings.Contains(got, "NATS_URL") || !strings.Contains(got, "1 GiB more") {
		t.Errorf("what to do: %q", got)
	}
	p.until(`document.querySelector('#tiles [data-sign=warn]')`)
	for _, width := range []int64{360, 768, 1000, 1200, 1600} {
		p.show(width, 800, "light")
		if cut := eval[string](p, `[...document.querySelectorAll('#tiles dd')].filter((n) => n.scrollWidth > n.clientWidth).map((n) => n.innerText).join(', ')`); cut != "" {
			t.Errorf("%d wide: cut off: %s", width, cut)
		}
	}
	r.server.Start()
	p.until(`document.querySelector('#verdict').dataset.level === 'good'`)
}

// What the first line says of states that are hard to come by: the worst goes first.
func TestVerdictOfRareStates(t *testing.T) {
	p := newTab(t)
	r := newRig(t)
	p.open(r.url())
	for _, test := range []struct {
		change string // of a good status; c is its checks by name
		level  string
		says   string
		todo   string
	}{
		{"", "good", "All is well.", ""},
		{"c.spool.ok = false", "bad", "Events are lost: the spool takes none.", "BRIDGE_DATA_DIR"},
		{"s.recent.lost = 12; c.nats.degraded = true", "bad", "Events are lost: 12 a second. And 1 more, see Checks.", "BRIDGE_SPOOL_MAX_BYTES"},
		{"c.rules.ok = false; c.nats.degraded = true", "bad", "No rules were ever seen. And 1 more, see Checks.", "bridgectl rules put"},
		{"c.keys.degraded = c.nats.degraded = c.spool.degraded = true", "warn", "NATS cannot be reached. And 2 more, see Checks.", "NATS_URL"},
		{"c.forward.degraded = true; s.spool.events = 3; s.spool.oldest_age_ns = 125e9", "warn", "Events do not get to NATS: 3 events wait, the oldest for 2 min.", "EVENTS"},
		{"c.rules.degraded = true; s.rules.invalid_count = 1200", "warn", "1,200 rule documents are refused.", "bridgectl rules put"},
		{"c.rules.degraded = true", "warn", "The rules need attention.", "permission"},
		{"c.streams.degraded = true", "warn", "Streams or buckets are not as they should be.", "bridgectl setup"},
		{"c.keys.degraded = true", "warn", "The keys need attention.", "BRIDGE_KEYS_FILE"},
		{"c.spool.degraded = true", "warn", "The spool needs attention.", "bridgectl spool verify"},
		{"s.checks.push({name: 'new', ok: false, degraded: false, detail: 'a part of a later version'})", "bad", "new has failed.", "a part of a later version"},
	} {
		got := eval[struct{ Level, Says, Todo string }](p, `import('/page/verdict.js').then(async ({judge}) => {
			const s = await (await fetch('/status')).json();
			const c = Object.fromEntries(s.checks.map((check) => [check.name, check]));
			`+test.change+`;
			return judge(s);
		})`)
		if got.Level != test.level || !strings.HasPrefix(got.Says, test.says) || !strings.Contains(got.Todo, test.todo) {
			t.Errorf("%s: %+v, want %s %q %q", test.change, got, test.level, test.says, test.todo)
		}
	}
}

// A bridge that is gone is told of, with what was shown last.
func TestBridgeIsGone(t *testing.T) {
	p := newTab(t)
	var url string
	t.Run("while it runs", func(t *testing.T) {
		r := newRig(t)
		url = r.url()
		p.open(url)
	})
	p.until(`/does not answer since \d\d:\d\d:\d\d/.test(document.querySelector('#verdict').innerText)`)
	if level, name := eval[string](p, `document.querySelector('#verdict').dataset.level`), p.text("#name"); level != "bad" || name != "edge-1" {
		t.Errorf("level %s, name %q", level, name)
	}
}

// Figures, plots, checks and the counts by rule show what the bridge did.
func TestFigures(t *testing.T) {
	p := newTab(t)
	r := newRig(t)
	p.open(r.url())
	for range 4 {
		r.Post("team=red&call=publish&name=CD6xx-1&addr=17.31.0.1")
		r.Post("call=play&name=x&addr=198.51.100.1")
		r.Post("team=red&call=publish&name=other&addr=17.31.0.1")
	}
	const byRule = "acme/banned 0 4 4 acme/ingest 4 0 4 (no rule matched: the default) 0 4 4 acme/viewers"
	p.until(`document.querySelector('#byrule tbody').innerText.replace(/\s+/g, ' ').startsWith('` + byRule + `')`)
	p.until(`document.querySelectorAll('.plot canvas').length === 2 && /now: allowed/.test(document.querySelector('#rates').getAttribute('aria-label'))`)
	bridgetest.Eventually(t, "something was drawn", func() bool {
		return eval[bool](p, `[...document.querySelectorAll('.plot canvas')].every((c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v > 0))`)
	})
	for _, name := range []string{"rules", "keys", "spool", "forward", "nats", "streams"} {
		if !strings.Contains(p.text("#checks .checks"), name) {
			t.Errorf("no check %s", name)
		}
	}
	tiles := p.text("#tiles")
	for _, want := range []string{"Allowed", "Denied", "Answer, p99", "Decision, p99", "Waiting in the spool", "Lost", "rev 1", "connected"} {
		if !strings.Contains(tiles, want) {
			t.Errorf("no %q in the figures %q", want, tiles)
		}
	}
}
