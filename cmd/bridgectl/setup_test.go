package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/analytics"
	"bintubridge/consumers/sessions"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

// printedUsers reads what setup permissions prints as nats-server does.
func printedUsers(t *testing.T, args ...string) []bridgetest.User {
	t.Helper()
	var out, errs bytes.Buffer
	none := func(string) string { return "" }
	if code := run(t.Context(), streams{out: &out, err: &errs}, none, append([]string{"setup", "permissions"}, args...)); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	for _, role := range roles {
		t.Setenv(strings.ToUpper(role)+"_PASSWORD", role)
	}
	path := filepath.Join(t.TempDir(), "nats.conf")
	writeFile(t, path, out.String())
	opts, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatalf("%v in\n%s", err, out.String())
	}
	var users []bridgetest.User
	for _, u := range opts.Users {
		if u.Password != u.Username {
			t.Errorf("user %s has the password %q, want that of the environment", u.Username, u.Password)
		}
		users = append(users, bridgetest.User{Name: u.Username, Publish: u.Permissions.Publish.Allow, Subscribe: u.Permissions.Subscribe.Allow})
	}
	return users
}

// as connects as a user of the server.
func as(t *testing.T, server *bridgetest.NATS, user, inbox string, refused chan<- error) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(server.URL(), nats.UserInfo(user, user), nats.CustomInboxPrefix(inbox),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			select {
			case refused <- err:
			default:
			}
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// All that runs around a bridge works by the users that setup permissions prints.
func TestPrintedPermissionsAreEnough(t *testing.T) {
	srv := startFor(t, printedUsers(t, "--bridge", "edge 1")...)
	bridge := bridgetest.StartBridge(t, srv, "BRIDGE_PROVISION=off", "BRIDGE_NAME=edge 1", "NATS_USER=bridge", "NATS_PASSWORD=bridge")
	document := filepath.Join(t.TempDir(), "acme.json")
	writeFile(t, document, `{"rules":[{"id":"all","effect":"allow"}]}`)
	for _, command := range []string{"rules put acme FILE --wait=1m", "rules status", "status"} {
		code, out, errs := runAs(t, srv, "rules", strings.Fields(strings.Replace(command, "FILE", document, 1))...)
		if code != 0 || !strings.Contains(out, "edge 1") {
			t.Fatalf("%s: exit code %d: %s%s", command, code, out, errs)
		}
	}

	refused := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	quiet := slog.New(slog.DiscardHandler)
	ended := make(chan error, 3)
	var events, told atomic.Int64
	reading := func(name, stream string, count *atomic.Int64) error {
		return consumers.Run(ctx, as(t, srv, "consumer", provision.InboxConsumer, refused),
			consumers.Options{Name: name, Stream: stream, Log: quiet},
			func(context.Context, *consumers.Message) error { count.Add(1); return nil })
	}
	js := as(t, srv, "sessions", provision.InboxConsumer, refused)
	go func() { ended <- reading(analytics.Name, subjects.StreamEvents, &events) }()
	go func() { ended <- reading(analytics.SessionsName, subjects.StreamSessions, &told) }()
	go func() {
		ended <- sessions.Run(ctx, js, sessions.Config{Provision: provision.Off, Timeout: time.Hour, Grace: time.Millisecond, Lease: time.Second}, consumers.NewMonitor(), quiet)
	}()
	for _, call := range []string{"publish", "play", "play_done", "publish_done"} {
		if code := bridge.Post("call=" + call + "&name=lobby&app=live&addr=192.0.2.1&clientid=1"); code != http.StatusOK {
			t.Fatalf("%s: status %d", call, code)
		}
	}
	bridgetest.Eventually(t, "events and sessions are read", func() bool { return events.Load() == 4 && told.Load() >= 2 })
	code, out, errs := runAs(t, srv, "rules", "rules", "replay", "--since", "1h", "--rules", document)
	if code != 0 {
		t.Errorf("replay: exit code %d: %s%s", code, out, errs)
	}
	stop()
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	select {
	case err := <-refused:
		t.Error(err)
	default:
	}
}

// What a user's work is not, the server refuses.
func TestPrintedPermissionsAreNoMore(t *testing.T) {
	srv := startFor(t, printedUsers(t, "--bridge", "edge", "--consumer", "mine")...)
	inboxes := map[string]string{"bridge": provision.InboxBridge, "rules": provision.InboxBridge, "sessions": provision.InboxConsumer, "consumer": provision.InboxConsumer}
	for user, outside := range map[string][]string{
		"bridge":   {"$KV.rules.acme", "$KV.bridges.other", "session.started", "dead.mine.x", "$JS.API.STREAM.DELETE.EVENTS", "$JS.API.STREAM.CREATE.X", "$JS.API.STREAM.PURGE.EVENTS"},
		"rules":    {"stream.publish", "session.started", "$KV.bridges.edge", "$KV.live.x", "$JS.API.STREAM.DELETE.KV_rules", "$JS.API.STREAM.PURGE.KV_rules"},
		"sessions": {"stream.publish", "$KV.rules.acme", "$JS.API.STREAM.INFO.KV_rules", "$JS.API.STREAM.UPDATE.KV_live"},
		"consumer": {"stream.publish", "session.started", "$KV.live.x", "dead.other.x", "$JS.ACK.EVENTS.other.1.1.1.1.0", "$JS.API.CONSUMER.DELETE.EVENTS.mine", "$JS.API.CONSUMER.MSG.NEXT.EVENTS.other"},
	} {
		for _, subject := range outside {
			t.Run(user+" "+subject, func(t *testing.T) {
				refused := make(chan error, 1)
				nc := as(t, srv, user, inboxes[user], refused).Conn()
				if err := nc.Publish(subject, nil); err != nil {
					t.Fatal(err)
				}
				expectRefused(t, nc, refused)
			})
		}
		t.Run(user+" others' inboxes", func(t *testing.T) {
			for _, inbox := range []string{"_INBOX.>", ">", "stream.>", "$KV.rules.>"} {
				refused := make(chan error, 1)
				nc := as(t, srv, user, inboxes[user], refused).Conn()
				if _, err := nc.SubscribeSync(inbox); err != nil {
					t.Fatal(err)
				}
				expectRefused(t, nc, refused)
			}
		})
	}
}

func expectRefused(t *testing.T, nc *nats.Conn, refused <-chan error) {
	t.Helper()
	if err := nc.FlushTimeout(bridgetest.Timeout); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-refused:
		if !strings.Contains(strings.ToLower(err.Error()), "permissions violation") {
			t.Errorf("refused for another reason: %v", err)
		}
	case <-time.After(bridgetest.Timeout):
		t.Error("not refused")
	}
}

// The commands of the nats tool are one for each stream and bucket; what those of the
// streams say makes what setup makes.
func TestSetupCommands(t *testing.T) {
	srv := bridgetest.StartNATS(t)
	check := provision.Options{Mode: provision.Check}
	before, err := provision.Ensure(t.Context(), srv.JetStream(), check)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := run(t.Context(), streams{out: &out, err: io.Discard}, func(string) string { return "" }, []string{"setup", "commands"}); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != len(before.Missing) {
		t.Fatalf("%d commands for %d objects", len(lines), len(before.Missing))
	}
	made := 0
	for i, object := range before.Missing {
		if name, isBucket := strings.CutPrefix(object, "KV bucket "); isBucket {
			if !strings.HasPrefix(lines[i], "nats kv add "+name+" --") {
				t.Errorf("%s: %s", object, lines[i])
			}
			continue
		}
		text, name, _ := strings.Cut(strings.TrimPrefix(lines[i], "echo '"), "' | nats stream add ")
		var config jetstream.StreamConfig
		if err := json.Unmarshal([]byte(text), &config); err != nil || "stream "+strings.TrimSuffix(name, " --config=/dev/stdin") != object {
			t.Fatalf("%s: %v in %s", object, err, lines[i])
		}
		if _, err := srv.JetStream().CreateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		made++
	}
	after, err := provision.Ensure(t.Context(), srv.JetStream(), check)
	if err != nil || len(after.Drift) > 0 || len(after.Missing) != len(before.Missing)-made || made == 0 {
		t.Errorf("made %d, missing %v, differing %v, %v", made, after.Missing, after.Drift, err)
	}
}
