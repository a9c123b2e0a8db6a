package outbound

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGuard(t *testing.T) {
	allow := Guard{[]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
	for addr, public := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true, "10.1.2.3": true, "::ffff:10.1.2.3": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "::1": false, "10.0.0.1": false, "192.168.1.1": false, "172.16.0.1": false, "169.254.169.254": false, "fe80::1%eth0": false,
		"fd00::1": false, "0.0.0.0": false, "::": false, "100.64.0.1": false, "224.0.0.1": false, "255.255.255.255": false, "::ffff:127.0.0.1": false,
		"::ffff:169.254.169.254": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "::127.0.0.1": false, "ff02::1": false, "198.18.0.1": false,
	} {
		if err := allow.Check(netip.MustParseAddr(addr)); (err == nil) != public || err != nil && !errors.Is(err, ErrPrivate) {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// The address is looked at when it is dialed: a name that is private now is refused, whatever it was.
func TestNamesAreCheckedWhenDialed(t *testing.T) {
	hits := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits++ }))
	defer server.Close()
	named := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	t.Setenv("HTTP_PROXY", server.URL)
	c := NewClient(Guard{})
	defer c.Close()
	for _, target := range []string{server.URL, named} {
		if err := c.Post(t.Context(), target+"/s3cret", http.Header{}, nil); !errors.Is(err, ErrPrivate) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", target, err)
		}
	}
	courier := NewCourier(Guard{})
	defer courier.CloseIdleConnections()
	resp, err := (&http.Client{Transport: courier}).Get(named)
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, ErrPrivate) || hits > 0 {
		t.Errorf("%v, %d hits", err, hits)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	hits := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits++
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	c := NewClient(Anywhere())
	defer c.Close()
	var status StatusError
	if err := c.Post(t.Context(), server.URL, http.Header{}, []byte("x")); !errors.As(err, &status) || status.Code != 307 {
		t.Error(err)
	}
	courier := NewCourier(Anywhere())
	defer courier.CloseIdleConnections()
	resp, err := (&http.Client{Transport: courier}).Get(server.URL)
	if err == nil {
		resp.Body.Close()
		t.Error("a redirect was followed")
	}
	if hits != 2 {
		t.Errorf("%d requests", hits)
	}
}

// limited answers 429 to the first request, and counts.
type limited struct{ hits int }

func (l *limited) RoundTrip(*http.Request) (*http.Response, error) {
	l.hits++
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(""))}
	if l.hits == 1 {
		resp.StatusCode = 429
		resp.Header.Set("Retry-After", "60")
	}
	return resp, nil
}

// Who asked to be left alone is, and only that one.
func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &limited{}
		client := &http.Client{Transport: newCourier(base, Guard{})}
		get := func(target string) int {
			resp, err := client.Get(target)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			return resp.StatusCode
		}
		steps := []struct {
			sleep      time.Duration
			path       string
			code, hits int
		}{
			{0, "a", 429, 1}, {0, "b", 200, 2}, {59 * time.Second, "a?x=1", 429, 2}, {time.Second, "a", 200, 3},
		}
		for _, s := range steps {
			time.Sleep(s.sleep)
			if code := get("http://host/" + s.path); code != s.code || base.hits != s.hits {
				t.Errorf("%+v: got %d, %d hits", s, code, base.hits)
			}
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "5": 5 * time.Second, "0.5": 500 * time.Millisecond, "-1": 0, "x": 0, "1e300": 24 * time.Hour, "NaN": 0,
		"Mon, 23 Nov 2026 09:01:00 GMT": time.Minute, "Mon, 23 Nov 2026 08:00:00 GMT": 0, "Wed, 23 Nov 2033 08:00:00 GMT": 24 * time.Hour,
	} {
		if got := RetryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// Errors of services that cannot be reached, or refuse, say nothing of the URL's secrets.
func TestErrorsAreRedacted(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, r.URL.String()) // an echo
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "https://")
	courier := newCourier(server.Client().Transport, Guard{})
	for _, target := range []string{
		"generic+http://" + host + "/s3cretpath?token=s3cretquery", "mattermost://user@" + host + "/s3crets3crets3crets3crets3/channel",
		"rocketchat://" + host + "/s3cretone/s3crettwo/@user", "gotify://" + host + "/As3cretsecret12", "ntfy://user:s3cretpass@" + host + "/topic",
		"matrix://user:s3cretpass@" + host + "/?rooms=!s3cret", "discord://s3crettoken@123456789", "slack://hook:T00000000-B00000000-s3crets3crets3crets3cret@webhook",
		"telegram://123456789:AAs3cretsecretsecretsecretsecret-abc@telegram?chats=1", "smtp://user:s3cretpass@" + host + "/?from=a@b.c&to=d@e.f",
	} {
		previous := http.DefaultTransport
		http.DefaultTransport = courier
		s, err := NewShout(target, courier)
		if err == nil {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			err = s.Send(ctx, "hello")
			cancel()
		}
		http.DefaultTransport = previous
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", target, err)
		}
	}
}

// What a publisher wrote mentions nobody and is no markup.
func TestText(t *testing.T) {
	const hostile = "@everyone <!here> <b>*x*_y_ [a](https://evil.example)\n#ops\u202e `z` & www.a"
	for target, want := range map[string]string{
		"generic://x":                     "@\u200beveryone <\u200b!here> <\u200bb>*x*_y_ [a](https:\u200b//evil.\u200bexample) #\u200bops `z` & www.\u200ba",
		"slack://x":                       "@\u200beveryone &lt;!here&gt; &lt;b&gt;\u200b*x\u200b*\u200b_y\u200b_ [a](https:\u200b//evil.\u200bexample) #\u200bops \u200b`z\u200b` &amp; www.\u200ba",
		"discord://x":                     "@\u200beveryone ‹\\!here› ‹b›\\*x\\*\\_y\\_ \\[a\\]\\(https:\u200b//evil\\.\u200bexample\\) \\#\u200bops \\`z\\` & www\\.\u200ba",
		"telegram://x?parseMode=HTML":     "@\u200beveryone &lt;!here&gt; &lt;b&gt;*x*_y_ [a](https:\u200b//evil.\u200bexample) #\u200bops `z` &amp; www.\u200ba",
		"telegram://x?parsemode=Markdown": "@\u200beveryone <!here> <b>\\*x\\*\\_y\\_ \\[a](https:\u200b//evil.\u200bexample) #\u200bops \\`z\\` & www.\u200ba",
		"googlechat://x":                  "@\u200beveryone ‹!here› ‹b›\u200b*x\u200b*\u200b_y\u200b_ [a](https:\u200b//evil.\u200bexample) #\u200bops \u200b`z\u200b` & www.\u200ba",
	} {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		if got := markupOf(u).escape(hostile); got != want {
			t.Errorf("%s\ngot  %q\nwant %q", target, got, want)
		}
	}
	if got := plain.escape(strings.Repeat("ü", 500)); got != strings.Repeat("ü", maxText)+"…" {
		t.Errorf("%d bytes", len(got))
	}
}
