package outbound

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// internet is a server that stands for all hosts, and keeps what it is sent.
type internet struct {
	*httptest.Server
	mu     sync.Mutex
	got    []string
	answer func(http.ResponseWriter, *http.Request)
}

// connect makes shoutrrr's services send to the server, whatever host they mean.
func connect(t *testing.T, answer func(http.ResponseWriter, *http.Request)) (*internet, *Courier) {
	n := &internet{answer: answer}
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.got = append(n.got, strings.TrimSpace(fmt.Sprintf("%s https://%s%s %s\n%s", r.Method, r.Host, r.URL, r.Header.Get("Content-Type"), body)))
		n.answer(w, r)
	}))
	t.Cleanup(n.Close)
	local, err := url.Parse(n.URL)
	if err != nil {
		t.Fatal(err)
	}
	wire := &http.Transport{}
	t.Cleanup(wire.CloseIdleConnections)
	courier := newCourier(roundTrip(func(req *http.Request) (*http.Response, error) {
		if req.URL.Scheme != "https" {
			return nil, fmt.Errorf("%s is not encrypted", req.URL.Scheme)
		}
		there := req.Clone(req.Context())
		there.Host, there.URL.Scheme, there.URL.Host = req.URL.Host, local.Scheme, local.Host
		return wire.RoundTrip(there)
	}), Guard{})
	previous := http.DefaultTransport
	http.DefaultTransport = courier
	t.Cleanup(func() { http.DefaultTransport = previous })
	return n, courier
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func (n *internet) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	got := n.got
	n.got = nil
	return got
}

// welcome is what the services answer when all is well.
func welcome(w http.ResponseWriter, r *http.Request) {
	if r.Host == "hooks.slack.com" {
		_, _ = io.WriteString(w, "ok")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"ok":true,"access_token":"session","flows":[{"type":"m.login.password"}],"room_id":"!r:x","result":"success"}`)
}

const (
	slackHook = "slack://hook:T00000000-B00000000-s3crets3crets3crets3cret@webhook"
	slackBot  = "slack://xoxb:123456789012-123456789012-s3crets3crets3crets3cret@C01234567"
	telegram1 = "telegram://123456789:AAs3cretsecretsecretsecretsecret-abc@telegram?chats=1"
	teams     = "teams://11111111-4444-4444-8444-cccccccccccc@22222222-4444-4444-8444-cccccccccccc/33333333012222222222333333333344/" +
		"44444444-4444-4444-8444-cccccccccccc/V2ESyij_gAljSoUQHvZoZYzlpAoAXExyOl26dlf1xHEx05?host=org.webhook.office.com"
	mattermost1 = "mattermost://user@mm.example/s3crets3crets3crets3crets3/channel"
)

// What each service is sent of a stream whose name means to do harm, byte for byte.
func TestPayloads(t *testing.T) {
	n, courier := connect(t, welcome)
	const zw = "\u200b"
	const backslashes = "@" + zw + `everyone ‹\\!here› ‹b›\\*x\\*\\_y\\_ \\[a\\]\\(https:` + zw + `//evil\\.` + zw + `example\\) \\` + "`z\\\\`" + ` \u0026 www\\.` + zw + `a is live`
	const untouched = "@" + zw + `everyone \u003c!here\u003e \u003cb\u003e*x*_y_ [a](https:` + zw + "//evil." + zw + "example) `z` " + `\u0026 www.` + zw + `a is live`
	const entities = "@" + zw + `everyone \u0026lt;!here\u0026gt; \u0026lt;b\u0026gt;` + zw + "*x" + zw + "*" + zw + "_y" + zw + "_ [a](https:" + zw + "//evil." + zw + "example) " +
		zw + "`z" + zw + "` " + `\u0026amp; www.` + zw + `a is live`
	for _, tt := range []struct {
		name, target string
		want         []string
	}{
		{"generic", "generic+https://host.example/path?token=a", []string{
			"POST https://host.example/path?token=a text/plain\n@" + zw + "everyone <" + zw + "!here> <" + zw + "b>*x*_y_ [a](https:" + zw + "//evil." + zw + "example) `z` & www." + zw + "a is live"}},
		{"generic JSON", "generic://host.example/path?template=JSON", []string{`POST https://host.example/path application/json` + "\n" + `{"message":"` + strings.ReplaceAll(untouched, `\u003c`, `\u003c`+zw) + `"}`}},
		{"Slack, webhook", slackHook, []string{`POST https://hooks.slack.com/services/T00000000/B00000000/s3crets3crets3crets3cret application/json` + "\n" +
			`{"text":"","attachments":[{"text":"` + entities + `"}]}`}},
		{"Slack, bot", slackBot, []string{`POST https://slack.com/api/chat.postMessage application/json` + "\n" +
			"{\n\"text\": \"\",\n\"attachments\": [\n{\n\"text\": \"" + entities + "\"\n}\n],\n\"channel\": \"C01234567\"\n}"}},
		{"Discord", "discord://token@123456789", []string{`POST https://discord.com/api/webhooks/123456789/token application/json` + "\n" + `{"content":"` + backslashes + `"}`}},
		{"Matrix", "matrix://user:pass@matrix.example/?rooms=!r:x", []string{
			`GET https://matrix.example/_matrix/client/r0/login`,
			`POST https://matrix.example/_matrix/client/r0/login application/json` + "\n" + `{"type":"m.login.password","identifier":{"type":"m.id.user","user":"user"},"password":"pass"}`,
			`POST https://matrix.example/_matrix/client/r0/join/%21r:x?access_token=session application/json` + "\n" + `null`,
			`POST https://matrix.example/_matrix/client/r0/rooms/%21r:x/send/m.room.message?access_token=session application/json` + "\n" + `{"msgtype":"m.text","body":"` + untouched + `"}`}},
		{"Mattermost", mattermost1, []string{`POST https://mm.example/hooks/s3crets3crets3crets3crets3 application/json` + "\n" +
			`{"text":"` + backslashes + `","username":"user","channel":"channel"}`}},
		{"Rocket.Chat", "rocketchat://rc.example/tokenA/tokenB/channel", []string{`POST https://rc.example/hooks/tokenA/tokenB application/json` + "\n" +
			`{"text":"` + backslashes + `","channel":"#channel"}`}},
		{"Telegram", telegram1, []string{`POST https://api.telegram.org/bot123456789:AAs3cretsecretsecretsecretsecret-abc/sendMessage application/json` + "\n" +
			"{\n\"text\": \"" + untouched + "\",\n\"chat_id\": \"1\",\n\"disable_web_page_preview\": false,\n\"disable_notification\": false,\n\"reply_to_message_id\": 0\n}"}},
		{"Teams", teams, []string{`POST https://org.webhook.office.com/webhookb2/11111111-4444-4444-8444-cccccccccccc@22222222-4444-4444-8444-cccccccccccc/IncomingWebhook/` +
			`33333333012222222222333333333344/44444444-4444-4444-8444-cccccccccccc/V2ESyij_gAljSoUQHvZoZYzlpAoAXExyOl26dlf1xHEx05 application/json` + "\n" +
			`{"@type":"MessageCard","@context":"http://schema.org/extensions","summary":"@` + zw + `everyone ‹\\!her","markdown":true,"sections":[{"text":"` + backslashes + `"}]}`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := NewShout(tt.target, courier)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Send(t.Context(), s.Text("@everyone <!here> <b>*x*_y_ [a](https://evil.example)\n`z` & www.a")+" is live"); err != nil {
				t.Error(err)
			}
			if got := n.take(); !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// No service takes a refusal for success, and while it asks to be left alone no request goes out.
func TestRefusals(t *testing.T) {
	n, courier := connect(t, nil)
	targets := map[string]string{
		"generic": "generic+https://host.example/path?token=s3cret", "Slack, webhook": slackHook, "Slack, bot": slackBot, "Discord": "discord://s3crettoken@123456789",
		"Matrix": "matrix://user:s3cretpass@matrix.example/?rooms=!r:x", "Mattermost": mattermost1, "Rocket.Chat": "rocketchat://rc.example/s3cretA/s3cretB/channel",
		"Telegram": telegram1, "Teams": teams,
	}
	answers := []struct {
		name       string
		code       int
		header     http.Header
		body       string
		leaveAlone bool
	}{
		{"unavailable", 503, nil, "<html>down</html>", false},
		{"forbidden", 403, http.Header{"Content-Type": {"application/json"}}, `{"ok":false,"error_code":403,"description":"bot was blocked","error":"invalid_auth"}`, false},
		{"moved", 302, http.Header{"Location": {"https://elsewhere.example/"}}, "", false},
		{"too many", 429, http.Header{"Retry-After": {"60"}, "Content-Type": {"application/json"}}, `{"ok":false,"error_code":429,"description":"later","retry_after":60}`, true},
	}
	for name, target := range targets {
		for _, a := range answers {
			t.Run(name+", "+a.name, func(t *testing.T) {
				n.answer = func(w http.ResponseWriter, _ *http.Request) {
					for k, v := range a.header {
						w.Header()[k] = v
					}
					w.WriteHeader(a.code)
					_, _ = io.WriteString(w, a.body)
				}
				s, err := NewShout(target, courier)
				if err != nil {
					t.Fatal(err)
				}
				for try, want := range []int{1, 1} {
					if a.leaveAlone && try == 1 {
						want = 0
					}
					if err := s.Send(t.Context(), "hello"); err == nil || strings.Contains(err.Error(), "s3cret") {
						t.Errorf("try %d: %v", try, err)
					}
					if got := n.take(); len(got) != want {
						t.Errorf("try %d: %d requests, want %d: %q", try, len(got), want, got)
					}
				}
			})
		}
	}
}

// Matrix logs in when there is something to send, and again when its session has ended.
func TestMatrixLogsIn(t *testing.T) {
	over := false
	n, courier := connect(t, func(w http.ResponseWriter, r *http.Request) {
		if over && strings.Contains(r.URL.Path, "/join/") {
			http.Error(w, `{"errcode":"M_UNKNOWN_TOKEN","error":"it is over"}`, http.StatusUnauthorized)
			return
		}
		welcome(w, r)
	})
	s, err := NewShout("matrix://user:s3cretpass@matrix.example/?rooms=!r:x", courier)
	if got := n.take(); err != nil || len(got) != 0 {
		t.Fatalf("%v, %q", err, got)
	}
	for _, step := range []struct {
		over     bool
		requests int
	}{{false, 4}, {false, 2}, {true, 1}, {false, 4}} {
		n.mu.Lock()
		over = step.over
		n.mu.Unlock()
		if err := s.Send(t.Context(), "hello"); (err != nil) != step.over {
			t.Errorf("%+v: %v", step, err)
		}
		if got := n.take(); len(got) != step.requests {
			t.Errorf("%+v: %q", step, got)
		}
	}
}
