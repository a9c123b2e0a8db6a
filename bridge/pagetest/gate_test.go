package pagetest_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Beyond loopback the page asks for the token, once, and shows nothing before.
func TestToken(t *testing.T) {
	p := newTab(t)
	r := newRig(t, "BRIDGE_ADMIN_LISTEN=0.0.0.0:0", "BRIDGE_ADMIN_TOKEN=correct horse")
	_, port, err := net.SplitHostPort(r.AdminAddr())
	if err != nil {
		t.Fatal(err)
	}
	url := "http://127.0.0.1:" + port + "/"
	for _, path := range []string{"page/page.js", "status", "events", "live", "fleet", "rules?q=acme", "explain", "history"} {
		if code, text := r.AdminBy("", "/"+path); code != http.StatusUnauthorized || strings.Contains(text, "acme") {
			t.Errorf("/%s without a token: %d %.100q", path, code, text)
		}
	}
	p.run(chromedp.Navigate(url))
	p.until(`location.pathname === '/login' && document.querySelector('#token')`)
	p.until(`document.activeElement.id === 'token'`) // it can be typed at once
	if sticks := eval[bool](p, `document.documentElement.scrollWidth > innerWidth`); sticks {
		t.Error("the form sticks out")
	}
	p.run(chromedp.SendKeys("#token", "wrong"), chromedp.KeyEvent(kb.Enter))
	p.until(`document.querySelector('[role=alert]') && !document.querySelector('[role=alert]').hidden`)
	p.run(chromedp.SendKeys("#token", "correct horse"), chromedp.KeyEvent(kb.Enter))
	p.until(`document.body.dataset.reached === 'true'`)
	p.until(`/No event yet|Every event/.test(document.querySelector('#feed .note').innerText)`)
	if cookie := eval[string](p, `document.cookie`); cookie != "" {
		t.Errorf("scripts see the cookie %q", cookie)
	}
	p.fill("#rules [name=q]", "banned")
	p.click(`#rules button`)
	p.until(`document.querySelector('#rules .found details')`)
}

// On loopback the operator needs no token. A page of somebody else in the operator's
// browser gets nothing: not by this address, and not by a name that leads here.
func TestOtherPages(t *testing.T) {
	p := newTab(t)
	t.Cleanup(func() { p.forgive("blocked by CORS policy") }) // that is the point
	r := newRig(t)
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, "<title>evil</title>")
	}))
	defer evil.Close()
	_, port, err := net.SplitHostPort(r.AdminAddr())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{r.AdminAddr(), rebound + ":" + port} {
		p.run(chromedp.Navigate(strings.Replace(evil.URL, "127.0.0.1", rebound, 1)))
		p.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`{
			window.got = [];
			const note = (what) => (value) => window.got.push(what + ': ' + value);
			fetch('http://%[1]s/status').then((a) => a.text()).then(note('status'), () => note('status')('nothing'));
			fetch('http://%[1]s/explain', {method: 'POST', mode: 'no-cors', body: new URLSearchParams({call: 'play'})}).then((a) => note('explain')(a.type), () => note('explain')('nothing'));
			const events = new EventSource('http://%[1]s/events');
			events.onopen = () => note('events')('open');
			events.onerror = () => { events.close(); note('events')('nothing'); };
		}`, host)))
		p.until(`window.got.length === 3`)
		got := eval[string](p, `window.got.sort().join(', ')`)
		if got != "events: nothing, explain: nothing, status: nothing" && got != "events: nothing, explain: opaque, status: nothing" {
			t.Errorf("by %s another page gets %s", host, got)
		}
		p.run(chromedp.Navigate("http://" + rebound + ":" + port + "/"))
		if text := eval[string](p, `document.body.innerText`); !strings.Contains(text, "only for callers on the bridge's own host") {
			t.Errorf("by a name that leads here: %.100q", text)
		}
	}
}
