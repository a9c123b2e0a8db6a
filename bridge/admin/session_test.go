package admin

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// enter sends the login form and returns what came.
func enter(g http.Handler, token string, header map[string]string) (status int, location string, cookies []*http.Cookie) {
	r := httptest.NewRequest(http.MethodPost, "http://bridge.example/login", strings.NewReader(url.Values{"token": {token}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for key, value := range header {
		r.Header.Set(key, value)
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	set := http.Response{Header: w.Header()}
	return w.Code, w.Header().Get("Location"), set.Cookies()
}

// come asks for the status with a cookie.
func come(g http.Handler, cookie *http.Cookie) int {
	r := httptest.NewRequest(http.MethodGet, "http://bridge.example/status", nil)
	if cookie != nil {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w.Code
}

func handler(t *testing.T, token string) http.Handler {
	t.Helper()
	s, err := New(Config{Token: token, Status: func() any { return 1 }})
	if err != nil {
		t.Fatal(err)
	}
	return s.http.Handler
}

func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := handler(t, "t0ken")
		for _, wrong := range []string{"", "t0ke", "t0kenn", strings.Repeat("x", 2*maxLogin)} {
			if status, _, cookies := enter(g, wrong, nil); status != 401 || len(cookies) != 0 {
				t.Errorf("token %.10q: %d %v", wrong, status, cookies)
			}
		}
		status, location, cookies := enter(g, " t0ken\n", nil)
		if status != http.StatusSeeOther || location != "/" || len(cookies) != 1 {
			t.Fatalf("%d %q %v", status, location, cookies)
		}
		cookie := cookies[0]
		if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Secure || strings.Contains(cookie.Value, "t0ken") {
			t.Errorf("cookie %v", cookie)
		}
		if _, _, cookies := enter(g, "t0ken", map[string]string{"X-Forwarded-Proto": "https"}); !cookies[0].Secure {
			t.Errorf("behind TLS: %v", cookies)
		}
		end, macs, _ := strings.Cut(cookie.Value, ".")
		mac, own, _ := strings.Cut(macs, ".")
		for name, test := range map[string]struct {
			value string
			code  int
		}{
			"as given":           {cookie.Value, 200},
			"before the restart": {end + "." + mac, 200},
			"a mac of another":   {end + ".x." + own, 200},
			"a later end":        {end + "0." + macs, 401},
			"another mac":        {end + "." + strings.ToLower(mac) + "." + strings.ToLower(own), 401},
			"no mac":             {end + ".", 401},
			"macs exchanged":     {end + "." + own + "." + mac, 401},
			"no end":             {"." + macs, 401},
			"nothing":            {"", 401},
			"an empty end":       {"." + sessionMAC([32]byte{}, ""), 401},
			"no number":          {"x." + sessionMAC(newGate(Config{Token: "t0ken", Log: slog.New(slog.DiscardHandler)}).digest, "x"), 401},
		} {
			time.Sleep(wrongPeriod) // guesses are counted elsewhere
			if code := come(g, &http.Cookie{Name: sessionCookie, Value: test.value}); code != test.code {
				t.Errorf("%s: %d, want %d", name, code, test.code)
			}
		}
		if code := come(handler(t, "t0ken"), cookie); code != 200 {
			t.Errorf("after a restart: %d", code)
		}
		if code := come(handler(t, "another"), cookie); code != 401 {
			t.Errorf("after the token has changed: %d", code)
		}
		if code := come(handler(t, ""), &http.Cookie{Name: sessionCookie, Value: end + "." + sessionMAC(newGate(Config{}).digest, end)}); code != 403 {
			t.Errorf("without a token there is no session: %d", code)
		}
		time.Sleep(sessionAge)
		if code := come(g, cookie); code != 401 {
			t.Errorf("after its end: %d", code)
		}
	})
}

// A browser says for which page it asks: another one gets nothing, a link that leads here
// is good.
func TestForeignPages(t *testing.T) {
	_, addr := started(t, Config{Loopback: true, Ready: allGood, Status: func() any { return "secret" }})
	for _, test := range []struct {
		site, mode, method, path string
		status                   int
	}{
		{"", "", "GET", "/status", 200},
		{"none", "navigate", "GET", "/", 200},
		{"same-origin", "cors", "GET", "/status", 200},
		{"cross-site", "navigate", "GET", "/", 200},
		{"cross-site", "cors", "GET", "/status", 403},
		{"cross-site", "no-cors", "GET", "/status", 403},
		{"cross-site", "navigate", "POST", "/login", 403},
		{"same-site", "cors", "GET", "/status", 403},
		{"cross-site", "no-cors", "GET", "/livez", 200},
	} {
		got := ask(t, addr, test.method, test.path, map[string]string{"Sec-Fetch-Site": test.site, "Sec-Fetch-Mode": test.mode})
		if got.status != test.status || test.status != 200 && strings.Contains(got.body, "secret") {
			t.Errorf("%+v: %d %q", test, got.status, got.body)
		}
	}
}

// Bridges on other ports of one host have cookies of their own: browsers do not ask by the
// port which one to send.
func TestSessionsOfOneHost(t *testing.T) {
	names := map[string]bool{}
	for _, test := range []struct{ host, name string }{
		{"bridge.example", sessionCookie},
		{"bridge.example:8081", sessionCookie + "_8081"},
		{"bridge.example:8082", sessionCookie + "_8082"},
		{"[::1]:9", sessionCookie + "_9"},
		{"bridge.example:", sessionCookie},
		{"bridge.example:a; Path=/", sessionCookie},
		{"bridge.example:99999", sessionCookie},
	} {
		r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader("token=t0ken"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Host = test.host
		w := httptest.NewRecorder()
		handler(t, "t0ken").ServeHTTP(w, r)
		set := http.Response{Header: w.Header()}
		cookies := set.Cookies()
		if len(cookies) != 1 || cookies[0].Name != test.name || cookies[0].SameSite != http.SameSiteStrictMode || !cookies[0].HttpOnly {
			t.Fatalf("host %q: %v", test.host, cookies)
		}
		names[test.name] = true
		r = httptest.NewRequest(http.MethodGet, "/status", nil)
		r.Host = test.host
		for name := range names { // the browser sends those of all ports; only the others' are not good here
			value := "1.x"
			if name == test.name {
				value = cookies[0].Value
			}
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		w = httptest.NewRecorder()
		handler(t, "t0ken").ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Errorf("host %q, beside %d cookies of others: %d", test.host, len(names)-1, w.Code)
		}
	}
}
