package admin

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

func queried(t *testing.T, q Query) http.Handler {
	t.Helper()
	s, err := New(Config{Loopback: true, Queries: map[string]Query{"/ask": q}})
	if err != nil {
		t.Fatal(err)
	}
	return s.http.Handler
}

func TestQuery(t *testing.T) {
	h := queried(t, func(ctx context.Context, question url.Values) (any, error) {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("no deadline")
		}
		switch question.Get("q") {
		case "bad":
			return nil, errors.New("that is no question")
		case "broken":
			return make(chan int), nil
		}
		return question["q"], nil
	})
	for _, test := range []struct {
		method, target, body string
		status               int
		reply                string
	}{
		{"GET", "/ask?q=%3Cb%3E", "", 200, "[\n  \"\\u003cb\\u003e\"\n]\n"},
		{"POST", "/ask", "q=1&q=2", 200, "[\n  \"1\",\n  \"2\"\n]\n"},
		{"GET", "/ask?q=bad", "", 400, "that is no question\n"},
		{"GET", "/ask?q=broken", "", 500, "the state cannot be shown, see the log\n"},
		{"POST", "/ask", "q=%zz", 400, ""},
		{"POST", "/ask", "q=" + strings.Repeat("x", maxQuestion), 413, ""},
		{"DELETE", "/ask", "", 405, ""},
	} {
		r := httptest.NewRequest(test.method, "http://localhost"+test.target, strings.NewReader(test.body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != test.status || test.reply != "" && w.Body.String() != test.reply {
			t.Errorf("%s %s %.20q: %d %q", test.method, test.target, test.body, w.Code, w.Body.String())
		}
	}
}

// Questions that take long leave the listener to others: those beyond the limit are sent away.
func TestQueriesAreLimited(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := queried(t, func(context.Context, url.Values) (any, error) {
		entered <- struct{}{}
		<-release
		return 1, nil
	})
	ask := func() int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/ask", nil))
		return w.Code
	}
	var wg sync.WaitGroup
	for range maxQueries {
		wg.Go(func() {
			if code := ask(); code != 200 {
				t.Errorf("within the limit: %d", code)
			}
		})
		<-entered
	}
	if code := ask(); code != 503 {
		t.Errorf("beyond the limit: %d", code)
	}
	close(release)
	wg.Wait()
}

// What the browser is told to hold every reply to.
func TestPolicies(t *testing.T) {
	_, addr := started(t, Config{Loopback: true, Status: func() any { return 1 }})
	for _, path := range []string{"/", "/page/page.js", "/status", "/livez", "/nothing"} {
		header := ask(t, addr, "GET", path, nil).header
		csp := header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(csp, want) || strings.Contains(csp, "unsafe") {
				t.Errorf("%s: policy %q", path, csp)
			}
		}
		if header.Get("Cross-Origin-Resource-Policy") != "same-origin" || header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: header %v", path, header)
		}
	}
}
