package pagetest_test

import (
	"fmt"
	"strings"
	"testing"
)

// rowCount is how many events are shown.
const rowCount = `document.querySelectorAll('#feed .events details').length`

// watched opens the page and waits until its feed is open.
func watched(t *testing.T) (*tab, *rig) {
	t.Helper()
	p := newTab(t)
	r := newRig(t)
	p.open(r.url())
	p.until(`/No event yet|Every event/.test(document.querySelector('#feed .note').innerText)`)
	return p, r
}

func TestFeed(t *testing.T) {
	p, r := watched(t)
	r.Post("team=red&call=publish&name=CD6xx-1&addr=17.31.0.1&clientid=1")
	r.Post("team=green&call=publish&name=CD6xx-2&addr=17.31.0.2&clientid=2")
	r.Post("call=play&name=CD6xx-1&addr=198.51.100.7&clientid=3")
	r.Post("call=publish_done&name=CD6xx-1&addr=17.31.0.1&clientid=1")
	r.Post("call=mystery&name=CD6xx-1&addr=17.31.0.1")
	r.Post("nonsense")
	p.until(rowCount + ` === 6`)
	var got []string
	for row := range strings.SplitSeq(eval[string](p, `[...document.querySelectorAll('#feed summary')].map((s) => [...s.children].slice(1).map((c) => c.innerText).join(' ')).join('\n')`), "\n") {
		got = append(got, row)
	}
	want := []string{
		"invalid – –  ", "unknown mystery CD6xx-1 17.31.0.1 ", "told publish_done CD6xx-1 17.31.0.1 ",
		"denied play CD6xx-1 198.51.100.7 acme/banned", "denied publish CD6xx-2 17.31.0.2 default", "allowed publish CD6xx-1 17.31.0.1 acme/ingest",
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("rows\n%q, want\n%q", got, want)
	}

	// Filters look at what is there and at what comes.
	for _, filter := range []struct {
		selector, value string
		rows            int
	}{
		{"select[name=outcome]", "denied", 2}, {"select[name=call]", "play", 1}, {"select[name=outcome]", "", 1}, {"select[name=call]", "", 6},
		{"input[name=text]", "GREEN", 1}, {"input[name=text]", "198.51.100", 1}, {"input[name=text]", "acme/ingest", 1}, {"input[name=text]", "", 6},
		{"select[name=outcome]", "told", 1},
	} {
		p.fill("#feed "+filter.selector, filter.value)
		if n := eval[int](p, rowCount); n != filter.rows {
			t.Errorf("%s = %q: %d rows, want %d", filter.selector, filter.value, n, filter.rows)
		}
	}
	r.Post("call=play&name=x&addr=192.0.2.1")
	r.Post("call=play_done&name=x&addr=192.0.2.1")
	p.until(rowCount + ` === 2`)
	p.fill("#feed select[name=outcome]", "")
	p.until(rowCount + ` === 8`)
}

// fill sets a field as typing does.
func (p *tab) fill(selector, value string) {
	p.t.Helper()
	eval[any](p, fmt.Sprintf(`{ const f = document.querySelector(%q); f.value = %q; f.dispatchEvent(new Event('input', {bubbles: true})); }`, selector, value))
}

// An event that is kept, and waits for the frame that shows it, is shown once though the filter changes
// meanwhile.
func TestFeedBetweenFrames(t *testing.T) {
	p, r := watched(t)
	eval[any](p, `{ window.held = []; window.requestAnimationFrame = (f) => held.push(f); window.cancelAnimationFrame = (id) => { delete held[id - 1]; }; }`)
	r.Post("call=play&name=x&addr=192.0.2.1")
	p.until(`(document.querySelector('#feed [name=text]').dispatchEvent(new Event('input', {bubbles: true})), ` + rowCount + ` > 0)`)
	if n := eval[int](p, `(held.forEach((frame) => frame()), `+rowCount+`)`); n != 1 {
		t.Errorf("%d rows of one event", n)
	}
}

// Pause holds what is shown, by button or by opening an event; what comes meanwhile waits.
func TestFeedPauses(t *testing.T) {
	p, r := watched(t)
	r.Post("foo=bar&call=play&name=one&addr=192.0.2.1")
	p.until(rowCount + ` === 1`)
	p.click(`#feed [name=pause]`)
	r.Post("call=play&name=two&addr=192.0.2.1")
	p.until(`/Paused; 1 events came since/.test(document.querySelector('#feed .note').innerText)`)
	if n := eval[int](p, rowCount); n != 1 {
		t.Errorf("%d rows while paused", n)
	}
	p.click(`#feed [name=pause]`)
	p.until(rowCount + ` === 2`)

	p.click(`#feed details:last-child summary`)
	p.until(`document.querySelector('#feed pre')`)
	if got := p.text("#feed pre"); !strings.Contains(got, `"foo": "bar"`) || !strings.Contains(got, `"rule": "acme/viewers"`) {
		t.Errorf("an opened event: %q", got)
	}
	if pressed := eval[string](p, `document.querySelector('#feed [name=pause]').getAttribute('aria-pressed')`); pressed != "true" {
		t.Error("an opened event does not hold the feed")
	}
}
