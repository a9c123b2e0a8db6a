package main

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers/chat"
	"bintubridge/consumers/consumerstest"
	"bintubridge/consumers/notify"
	"bintubridge/subjects"
)

// A consumer that has lost NATS is not ready, each of its parts says why, and it is ready again when
// NATS is back, without a message.
func TestReadyByNATS(t *testing.T) {
	transport := http.DefaultTransport // notify and chat set it
	defer func() { http.DefaultTransport = transport }()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for name, parts := range map[string][]string{
		"analytics": {"analytics", "analytics_sessions"},
		"notify":    {"notify", "notify_sessions", "notify_subscriptions", "notify-red"},
		"chat":      {"chat", "chat-red"},
	} {
		t.Run(name, func(t *testing.T) {
			kit := consumerstest.Start(t)
			kit.Put(subjects.BucketSubscriptions, "red", notify.Document{Subjects: []string{">"}, URL: "https://red.example", Secrets: []string{notify.NewSecret()}})
			kit.Put(subjects.BucketChatRooms, "red", chat.Document{Names: []string{"*"}, URL: "generic+https://red.example"})
			ctx, cancel := context.WithCancel(t.Context())
			var log consumerstest.Log
			ended := make(chan error, 1)
			cmd := newRoot([]string{"NATS_URL=" + kit.URL(), "CONSUMER_ANALYTICS_DSN=sqlite://" + filepath.Join(t.TempDir(), "a.db")})
			go func() { ended <- execute(ctx, cmd, &log, name) }()
			address := regexp.MustCompile(`admin=(\S+)`)
			bridgetest.Eventually(t, "it listens", func() bool { return address.MatchString(log.String()) })
			url := "http://" + address.FindStringSubmatch(log.String())[1] + "/readyz?verbose"
			says := func(status int, about string) func() bool {
				return func() bool {
					code, text := readiness(t, &client, url)
					for _, part := range parts {
						if !strings.Contains(text, part+about) {
							return false
						}
					}
					return code == status
				}
			}
			bridgetest.Eventually(t, "it is ready", says(http.StatusOK, " ok"))
			kit.Stop()
			bridgetest.Eventually(t, "it is not, and says why", says(http.StatusServiceUnavailable, " failed: NATS is not connected"))
			kit.Start()
			bridgetest.Eventually(t, "it is ready again", says(http.StatusOK, " ok"))
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func readiness(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
