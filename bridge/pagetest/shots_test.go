package pagetest_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
)

// maxShot is the largest picture that belongs into the repository, in bytes.
const maxShot = 200 << 10

// TestScreenshots takes the pictures of README. They go into BRIDGE_TEST_SCREENSHOTS, or
// nowhere that stays.
func TestScreenshots(t *testing.T) {
	p := newTab(t)
	r := newRig(t)
	r.busy()
	dir, history := os.Getenv("BRIDGE_TEST_SCREENSHOTS"), 2*time.Minute // for something to see in the plots
	if dir == "" {
		dir, history = t.TempDir(), 0
	}
	p.show(1280, 860, "dark")
	p.open(r.url())
	p.until(`document.querySelectorAll('#live tbody tr').length >= 5 && document.querySelectorAll('#fleet tbody tr').length >= 3 && document.querySelectorAll('#byrule tbody tr').length >= 3`)
	select {
	case <-time.After(history):
	case <-t.Context().Done():
	}
	p.shoot(dir, "dark.png", "header")
	p.run(chromedp.SetValue(`#explain [name=name]`, "CD6xx-123456"), chromedp.SetValue(`#explain [name=addr]`, "10.0.0.1"),
		chromedp.SetValue(`#explain [name=custom]`, "team=red"), chromedp.SetValue(`#rules [name=q]`, "17.31"))
	p.click(`#explain form > button`)
	p.click(`#rules button`)
	p.until(`document.querySelector('#explain .decision') && document.querySelector('#rules pre')`)
	p.show(1280, 1000, "light")
	r.put(subjects.BucketRules, "bad", `{"rules":[{"id":"oops","effect":"alow"}]}`)
	p.until(`document.querySelector('#verdict').dataset.level === 'warn'`)
	p.shoot(dir, "light.png", "#live")
	p.show(360, 1000, "dark")
	p.shoot(dir, "phone.png", "header")
}

// show makes the window so large and asks for a colour scheme.
func (p *tab) show(width, height int64, scheme string) {
	p.t.Helper()
	p.run(chromedp.EmulateViewport(width, height))
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, media); err != nil {
		p.t.Fatal(err)
	}
	p.frame()
}

// frame waits until the page is drawn as it is now: what follows its size has done so.
func (p *tab) frame() {
	p.t.Helper()
	eval[any](p, `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))`)
}

// shoot takes a picture from an element on.
func (p *tab) shoot(dir, name, from string) {
	p.t.Helper()
	eval[any](p, fmt.Sprintf(`document.querySelector(%q).scrollIntoView({behavior: 'instant'})`, from))
	p.frame()
	picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	if len(picture) > maxShot {
		p.t.Errorf("%s has %d bytes", name, len(picture))
	}
	if err := os.WriteFile(filepath.Join(dir, name), picture, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// busy makes the bridge look like one at work, until the test ends.
func (r *rig) busy() {
	for i, viewers := range []int{1843, 412, 97, 41, 8, 3} {
		r.live(fmt.Sprintf("CD6xx-%d", 123456+i*77), viewers)
	}
	for _, name := range []string{"edge-2", "edge-3"} {
		bridgetest.StartBridge(r.t, r.server, "BRIDGE_NAME="+name)
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	r.t.Cleanup(func() { close(stop); <-ended })
	go func() {
		defer close(ended)
		tick := time.NewTicker(4 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				r.Post(someBody())
			}
		}
	}()
}

func someBody() string {
	name, client := fmt.Sprintf("CD6xx-%d", 123456+rand.N(9)*77), rand.N(90000)+10000
	from := fmt.Sprintf("&type=live&app=live&addr=17.31.%d.%d&clientid=%d", rand.N(255), rand.N(255), client)
	switch n := rand.N(100); {
	case n < 45:
		return "foo=bar&call=play&name=" + name + from
	case n < 55:
		return "team=red&call=publish&name=" + name + from
	case n < 63:
		return "team=green&call=publish&name=" + name + from
	case n < 70:
		return fmt.Sprintf("call=play&name=%s&app=live&addr=198.51.100.%d&clientid=%d", name, rand.N(255), client)
	case n < 90:
		return "call=update_play&name=" + name + from
	}
	return "call=play_done&bytes_in=575&bytes_out=8516372&name=" + name + from
}
