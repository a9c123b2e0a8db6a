package admin

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// guessed is a server beyond loopback, with its log.
type guessed struct {
	http.Handler
	log *bytes.Buffer
}

func newGuessed(t *testing.T) guessed {
	t.Helper()
	var log bytes.Buffer
	s, err := New(Config{Token: "t0ken", Ready: allGood, Status: func() any { return 1 }, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return guessed{s.http.Handler, &log}
}

// ask asks for path as an address with one header.
func (g guessed) ask(from, path, key, value string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://bridge.example"+path, nil)
	r.RemoteAddr = from
	if key != "" {
		r.Header.Set(key, value)
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

func (g guessed) bearer(from, token string) int {
	return g.ask(from, "/status", "Authorization", "Bearer "+token).Code
}

// form enters a token in the form.
func (g guessed) form(from, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "http://bridge.example/login", strings.NewReader("token="+token))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

const attacker, operator = "192.0.2.1:1000", "192.0.2.2:1000"

// guess presents n wrong tokens and wants a code for each.
func (g guessed) guess(t *testing.T, from string, n, code int) {
	t.Helper()
	for i := range n {
		if got := g.bearer(from, fmt.Sprintf("guess-%d-%d", code, i)); got != code {
			t.Fatalf("guess %d: %d, want %d", i, got, code)
		}
	}
}

// However a token is presented, an address has a few tries, and then has to wait; the
// right one is not found in that time either. It is good at once after the period, which
// tries do not make longer, and always from elsewhere.
func TestGuesses(t *testing.T) {
	end := func() string { return fmt.Sprint(time.Now().Add(time.Hour).Unix()) }
	for name, try := range map[string]func(g guessed, i int) int{
		"bearer": func(g guessed, i int) int { return g.bearer(attacker, fmt.Sprint(i)) },
		"form":   func(g guessed, i int) int { return g.form(attacker, fmt.Sprint(i)).Code },
		"session": func(g guessed, i int) int {
			return g.ask(attacker, "/status", "Cookie", fmt.Sprintf("%s=%s.%d", sessionCookie, end(), i)).Code
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGuessed(t)
				for i := range 3 * maxWrong {
					want := http.StatusUnauthorized
					if i >= maxWrong {
						want = http.StatusTooManyRequests
					}
					if got := try(g, i); got != want {
						t.Errorf("try %d: %d, want %d", i, got, want)
					}
				}
				time.Sleep(wrongPeriod - time.Nanosecond)
				waits := g.ask(attacker, "/status", "Authorization", "Bearer t0ken")
				if waits.Code != http.StatusTooManyRequests || waits.Header().Get("Retry-After") != "1" {
					t.Errorf("the token, too early: %d %v", waits.Code, waits.Header())
				}
				if got := g.form(attacker, "t0ken"); got.Code != http.StatusTooManyRequests || len(got.Result().Cookies()) != 0 { //nolint:bodyclose // a recorder's
					t.Errorf("the token in the form, too early: %d %v", got.Code, got.Header())
				}
				if got := g.bearer(operator, "t0ken"); got != http.StatusOK {
					t.Errorf("the token from elsewhere: %d", got)
				}
				for _, path := range []string{"/livez", "/readyz", "/metrics", "/login"} {
					if got := g.ask(attacker, path, "Authorization", "Bearer x").Code; got != http.StatusOK {
						t.Errorf("%s: %d", path, got)
					}
				}
				if got := g.ask(attacker, "/status", "", "").Code; got != http.StatusUnauthorized {
					t.Errorf("without a token: %d", got)
				}
				time.Sleep(time.Nanosecond)
				if got := g.bearer(attacker, "t0ken"); got != http.StatusOK {
					t.Errorf("the token after the pause: %d", got)
				}
			})
		})
	}
}

// One who is logged in goes on while somebody behind the same address guesses without end.
func TestGuessesLeaveSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuessed(t)
		cookie := g.form(attacker, "t0ken").Header().Get("Set-Cookie")
		for range 3 {
			g.guess(t, attacker, maxWrong, http.StatusUnauthorized)
			g.guess(t, attacker, 1, http.StatusTooManyRequests)
			if got := g.ask(attacker, "/status", "Cookie", cookie).Code; got != http.StatusOK {
				t.Errorf("a session: %d", got)
			}
			time.Sleep(wrongPeriod)
		}
	})
}

// What asks with an old token again and again shuts nobody out.
func TestOldTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuessed(t)
		for range 100 {
			if got := g.bearer(attacker, "old"); got != http.StatusUnauthorized {
				t.Fatalf("an old token: %d", got)
			}
			if got := g.bearer(attacker, "t0ken"); got != http.StatusOK {
				t.Fatalf("the token beside it: %d", got)
			}
			time.Sleep(wrongPeriod / 10)
		}
	})
}

// Addresses are counted as a client has them, and so many are remembered.
func TestGuessers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			a, b string
			code int // for b, after a has guessed
		}{
			{"192.0.2.1:1", "192.0.2.1:2", 429},
			{"192.0.2.1:1", "[::ffff:192.0.2.1]:1", 429},
			{"192.0.2.1:1", "192.0.2.2:1", 401},
			{"[2001:db8::1]:1", "[2001:db8::ffff:0:0:2]:1", 429},
			{"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", 401},
			{"[fe80::1%eth0]:1", "[fe80::2%eth1]:1", 429},
			{"@", "@", 429},
		} {
			g := newGuessed(t)
			g.guess(t, test.a, maxWrong, http.StatusUnauthorized)
			if got := g.bearer(test.b, "x"); got != test.code {
				t.Errorf("%s after %s: %d, want %d", test.b, test.a, got, test.code)
			}
		}
		g := newGuesses(slog.New(slog.DiscardHandler))
		wrong := func(string) bool { return false }
		for i := range 4 * maxGuessers {
			g.try(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), "x", wrong)
		}
		if len(g.of) > maxGuessers {
			t.Errorf("%d addresses are remembered", len(g.of))
		}
	})
}

// A wrong token is told, at most once a second, and it is not shown.
func TestGuessesAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuessed(t)
		g.guess(t, attacker, maxWrong, http.StatusUnauthorized)
		g.guess(t, attacker, 10, http.StatusTooManyRequests)
		g.bearer(operator, "t0ken")
		g.bearer(operator, "")
		time.Sleep(logEvery)
		g.form(operator, "guess-form")
		lines := strings.Split(strings.TrimSpace(g.log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "peer=192.0.2.1 suppressed=0") ||
			!strings.Contains(lines[1], fmt.Sprintf("peer=192.0.2.2 suppressed=%d", maxWrong)) {
			t.Errorf("the log:\n%s", g.log)
		}
		if strings.Contains(g.log.String(), "guess") || strings.Contains(g.log.String(), "t0ken") {
			t.Errorf("the log shows tokens:\n%s", g.log)
		}
	})
}
