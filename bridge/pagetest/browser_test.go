// Package pagetest_test looks at the operator's page as an operator does: a real
// bridge, a real NATS server, a real browser.
package pagetest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"
)

// patience bounds what a test waits for; only failing tests reach it.
const patience = time.Minute

func TestMain(m *testing.M) {
	if code, ran := inOwnNetwork(); ran {
		os.Exit(code)
	}
	goleak.VerifyTestMain(withBrowser{m})
}

// withBrowser runs the tests with one browser, each in a context of its own.
type withBrowser struct{ tests *testing.M }

var browser context.Context // nil: there is none

// rebound is a name that this browser resolves to this machine, as an attacker's would be.
const rebound = "rebound.example"

func (w withBrowser) Run() int {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return w.tests.Run()
	}
	dir, err := os.MkdirTemp("", "pagetest")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	alloc, end := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.NoFirstRun, chromedp.NoSandbox, chromedp.Headless, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("host-resolver-rules", "MAP "+rebound+" 127.0.0.1"), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-renderer-backgrounding", true), chromedp.Flag("disable-backgrounding-occluded-windows", true))
	defer end()
	ctx, cancel := chromedp.NewContext(alloc)
	defer cancel()
	if err := chromedp.Do(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "chromium does not start:", err)
		return 1
	}
	browser = ctx
	code := w.tests.Run()
	if err := chromedp.Cancel(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "chromium does not end:", err)
		return 1
	}
	return code
}

// tab is a page in a browser that knows no other: its cookies are its own. What it
// complains of fails the test.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// newTab opens one, beside the tests that run already: they mostly wait.
func newTab(t *testing.T) *tab {
	t.Helper()
	t.Parallel()
	if browser == nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is missing: apt-get install chromium")
		}
		t.Skip("chromium is missing")
	}
	p := &tab{t: t}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.listen))
	t.Cleanup(cancel)
	if _, err := chromedp.Call(ctx, cdplog.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	// Each tab takes itself for the one in front.
	if _, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(ctx, 5*patience)
	t.Cleanup(stop)
	p.ctx = ctx
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.complaints) > 0 {
			t.Errorf("the browser complains:\n%s", strings.Join(p.complaints, "\n"))
		}
	})
	return p
}

// listen notes what a good page never does: throw, break its content policy, or open a
// dialog, which is what hostile markup would do.
func (p *tab) listen(event any) {
	var complaint string
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		complaint = fmt.Sprintf("exception: %+v", e.ExceptionDetails)
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError && e.Entry.Source != cdplog.EntrySourceNetwork {
			complaint = fmt.Sprint(e.Entry.Source, ": ", e.Entry.Text)
		}
	case *page.EventJavascriptDialogOpening:
		complaint = "a dialog: " + e.Message
	}
	if complaint == "" {
		return
	}
	p.mu.Lock()
	p.complaints = append(p.complaints, complaint)
	p.mu.Unlock()
}

// forgive drops complaints that a test has provoked.
func (p *tab) forgive(about string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.complaints = slices.DeleteFunc(p.complaints, func(c string) bool { return strings.Contains(c, about) })
}

func (p *tab) run(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// open goes to an address and waits until the page has heard of the bridge.
func (p *tab) open(url string) {
	p.t.Helper()
	p.run(chromedp.Navigate(url))
	p.until(`document.body.dataset.reached === 'true'`)
}

// eval returns the value of an expression of the page, or what it promises.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// until waits until an expression is true.
func (p *tab) until(expression string) {
	p.t.Helper()
	ctx, stop := context.WithTimeout(p.ctx, patience)
	defer stop()
	for {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`Boolean(`+expression+`)`))
		if ok {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			p.t.Fatalf("not in time: %s (%v)", expression, err)
		}
	}
}

// click clicks on an element as soon as nothing covers its middle. A mouse would need two steps for
// that, and the page moves between them when figures come.
func (p *tab) click(selector string) {
	p.t.Helper()
	p.until(fmt.Sprintf(`((n) => {
		n.scrollIntoView({block: 'center', behavior: 'instant'});
		const r = n.getBoundingClientRect();
		if (!n.contains(document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2))) return false;
		n.click();
		return true;
	})(document.querySelector(%q))`, selector))
}

// text returns what an element shows.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return eval[string](p, fmt.Sprintf(`document.querySelector(%q).innerText`, selector))
}
