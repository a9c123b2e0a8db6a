package pagetest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"bintubridge/subjects"
)

// On every width and in both schemes nothing sticks out, and texts have contrast.
func TestLooks(t *testing.T) {
	p := newTab(t)
	r := newRig(t)
	long := strings.Repeat("a-very-long-name-without-a-break", 8)
	r.live(long, 3)
	r.put(subjects.BucketRules, "refused", `{"rules":[{"id":"`+strings.Repeat("x", 90)+`","effect":"alow"}]}`)
	p.open(r.url())
	r.Post("call=publish&name=" + long + "&addr=" + long + "&app=" + long)
	p.fill("#rules [name=q]", "acme")
	p.click(`#rules button`)
	p.fill("#explain [name=name]", long)
	p.click(`#explain form > button`)
	p.until(rowCount + ` > 0 && document.querySelectorAll('#live tbody tr').length === 1 && document.querySelector('#rules .found details') && document.querySelector('#explain .decision')`)
	grounds := map[string]string{}
	for _, scheme := range []string{"dark", "light"} {
		for _, width := range []int64{320, 390, 768, 1280, 2560} {
			p.show(width, 800, scheme)
			if over := eval[string](p, `document.documentElement.scrollWidth <= innerWidth ? '' :
				[...document.querySelectorAll('body *')].filter((n) => n.getBoundingClientRect().right > innerWidth + 1).map((n) => n.tagName + '.' + n.className).slice(0, 5).join(' ')`); over != "" {
				t.Errorf("%s at %d: sticks out: %s", scheme, width, over)
			}
		}
		grounds[scheme] = eval[string](p, `getComputedStyle(document.body).backgroundColor`)
		if faint := eval[string](p, faintTexts); faint != "" {
			t.Errorf("%s: too little contrast: %s", scheme, faint)
		}
	}
	if grounds["dark"] == grounds["light"] {
		t.Errorf("both schemes have the ground %s", grounds["dark"])
	}
}

// faintTexts lists elements whose text has a contrast under 4.5, by WCAG's formula.
const faintTexts = `(() => {
	const parse = (c) => { const [r, g, b, a] = c.match(/[\d.]+/g).map(Number); return {r, g, b, a: a ?? 1}; };
	const light = ({r, g, b}) => { const f = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
	const ground = (n) => { for (; n; n = n.parentElement) { const c = parse(getComputedStyle(n).backgroundColor); if (c.a > 0) return c; } return {r: 255, g: 255, b: 255}; };
	const faint = new Set();
	for (const n of document.querySelectorAll('body *')) {
		if (![...n.childNodes].some((c) => c.nodeType === 3 && c.data.trim()) || !n.checkVisibility()) continue;
		const [a, b] = [light(parse(getComputedStyle(n).color)), light(ground(n))].sort((x, y) => y - x);
		const contrast = (a + 0.05) / (b + 0.05);
		if (contrast < 4.5) faint.add(n.tagName + '.' + n.className + ' ' + contrast.toFixed(2));
	}
	return [...faint].join(', ');
})()`

// Everything that can be used can be reached by Tab, has a name and shows its focus; and
// works by keys.
func TestKeyboard(t *testing.T) {
	p, r := watched(t)
	r.Post("call=play&name=x&addr=192.0.2.1")
	p.until(rowCount + ` === 1`)
	if unnamed := eval[string](p, `[...document.querySelectorAll('a, button, input, select, textarea, summary')].filter((n) => !(n.labels?.length || n.textContent.trim() || n.getAttribute('aria-label'))).map((n) => n.outerHTML).join('\n')`); unnamed != "" {
		t.Errorf("without a name:\n%s", unnamed)
	}
	p.run(chromedp.KeyEvent(kb.Tab))
	if got := eval[string](p, `document.activeElement.className`); got != "skip" {
		t.Errorf("the first stop is %q", got)
	}
	wanted := eval[int](p, `[...document.querySelectorAll('a, button, input, select, textarea, summary')].filter((n) => n.checkVisibility()).length`)
	const focus = `(() => { const n = document.activeElement; n.dataset.reached = 'yes';
		return n === document.body || getComputedStyle(n).outlineStyle !== 'none' ? '' : n.outerHTML.slice(0, 100); })()`
	for range wanted + 3 {
		if bare := eval[string](p, focus); bare != "" {
			t.Errorf("no focus is seen on %s", bare)
		}
		p.run(chromedp.KeyEvent(kb.Tab))
	}
	if missed := eval[string](p, `[...document.querySelectorAll('a, button, input, select, textarea, summary')].filter((n) => n.checkVisibility() && !n.dataset.reached).map((n) => n.outerHTML).join('\n')`); missed != "" {
		t.Errorf("not reached by Tab:\n%s", missed)
	}

	focusOn := func(selector string) { eval[any](p, fmt.Sprintf(`document.querySelector(%q).focus()`, selector)) }
	focusOn("#feed [name=pause]")
	p.run(chromedp.KeyEvent(" "))
	p.until(`document.querySelector('#feed [name=pause]').getAttribute('aria-pressed') === 'true'`)
	focusOn("#feed summary")
	p.run(chromedp.KeyEvent(kb.Enter))
	p.until(`document.querySelector('#feed details[open] pre')`)
	focusOn("#explain [name=name]")
	p.run(chromedp.KeyEvent("CD6xx-1"), chromedp.KeyEvent(kb.Enter))
	p.until(`document.querySelector('#explain .decision')`)
	focusOn("#rules [name=q]")
	p.run(chromedp.KeyEvent("viewers"), chromedp.KeyEvent(kb.Enter))
	p.until(`document.querySelector('#rules .found details')`)
	if role := eval[string](p, `document.querySelector('#verdict').getAttribute('aria-live')`); role != "polite" {
		t.Errorf("alarms are announced %q", role)
	}
}
