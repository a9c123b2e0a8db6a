package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
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
	if code := callTool(t.Context(), streams{out: &out, err: &errs}, none, append([]string{"setup", "permissions"}, args...)); code != 0 {
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
	nc, err := nats.Connect(server.URL(), nats.UserInfo(user, user), nats.CustomInboxPrefix(inbox), nats.Timeout(bridgetest.Timeout),
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

// All that runs around a bridge works by the users that setup permissions prints, and the
// server refuses nothing. Chat, notify and redrive are held to theirs by their own tests.
func TestPrintedPermissionsAreEnough(t *testing.T) {
	for mode, more := range map[string][]string{"off": nil, "check": {"--check"}} {
		t.Run(mode, func(t *testing.T) {
			srv := startFor(t, printedUsers(t, append(more, "--bridge", "edge 1")...)...)
			if mode == "check" { // what is missing is looked for, too
				if err := srv.JetStream().DeleteKeyValue(t.Context(), subjects.BucketChatRooms); err != nil {
					t.Fatal(err)
				}
			}
			bridge := bridgetest.OpenBridge(t, srv, "BRIDGE_PROVISION="+mode, "BRIDGE_NAME=edge 1", "NATS_USER=bridge", "NATS_PASSWORD=bridge")
			document := filepath.Join(t.TempDir(), "acme.json")
			writeFile(t, document, `{"rules":[{"id":"all","effect":"allow"}]}`)
			use(t, srv, "rules", "rules put acme "+document+" --wait=1m", "edge 1 runs revision 1")
			consumeEvening(t, srv, bridge)
			for command, says := range map[string]string{
				"status": "edge 1", "rules status": "edge 1", "rules ls": "acme", "rules get acme": "effect", "rules history acme": "acme",
				"rules lint": "0 warnings", "explain --event 1": "ALLOW by acme/all", "tail --no-follow -n 9": "session.started",
				"rules replay --since 1h --rules " + document: "4 events",
			} {
				use(t, srv, "reader", command, says)
			}
			use(t, srv, "rules", "rules replay --since 1h --rules "+document, "4 events")
			use(t, srv, "rules", "rules rm acme --yes --wait=1m", "acme is deleted")
			lost := filepath.Join(t.TempDir(), "lost.jsonl")
			_, text, _ := runAs(t, srv, "nobody", "spool", "export", filepath.Join(spools, "clean"))
			writeFile(t, lost, text)
			use(t, srv, "bridge", "spool redrive --file "+lost, "sent to stream.publish_done")
			bridgetest.Eventually(t, "the missing bucket is reported, where the bridge looks", func() bool {
				_, text := bridge.Admin("/readyz?verbose")
				return strings.Contains(text, "missing: KV bucket chat_rooms") == (mode == "check")
			})
			for _, line := range srv.Violations() {
				t.Error(line)
			}
		})
	}
}

// use runs the tool as a user, and expects it to say something.
func use(t *testing.T, srv *bridgetest.NATS, user, command, says string) {
	t.Helper()
	code, out, errs := runAs(t, srv, user, strings.Fields(command)...)
	if code != 0 || !strings.Contains(out, says) {
		t.Errorf("%s, %s: exit code %d, want %q: %s%s", user, command, code, says, out, errs)
	}
}

// consumeEvening runs sessions and the two halves of analytics while a stream comes and goes, and
// waits until all is read.
func consumeEvening(t *testing.T, srv *bridgetest.NATS, bridge *bridgetest.Bridge) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	quiet := slog.New(slog.DiscardHandler)
	refused := make(chan error, 1)
	var events, told atomic.Int64
	reading := func(name, stream string, count *atomic.Int64) func() error {
		js := as(t, srv, "consumer", provision.InboxConsumer, refused)
		return func() error {
			return consumers.Run(ctx, js, consumers.Options{Name: name, Stream: stream, Log: quiet},
				func(context.Context, *consumers.Message) error { count.Add(1); return nil })
		}
	}
	js := as(t, srv, "sessions", provision.InboxConsumer, refused)
	ended := make(chan error)
	running := []func() error{
		reading(analytics.Name, subjects.StreamEvents, &events),
		reading(analytics.SessionsName, subjects.StreamSessions, &told),
		func() error {
			cfg := sessions.Config{Provision: provision.Check, Timeout: time.Hour, Grace: time.Millisecond, Lease: time.Second}
			return sessions.Run(ctx, js, cfg, consumers.NewMonitor(), quiet)
		},
	}
	for _, run := range running {
		go func() { ended <- run() }()
	}
	for _, call := range []string{"publish", "play", "play_done", "publish_done"} {
		if code := bridge.Post("call=" + call + "&name=lobby&app=live&addr=192.0.2.1&clientid=1"); code != http.StatusOK {
			t.Errorf("%s: status %d", call, code)
		}
	}
	bridgetest.Eventually(t, "events and sessions are read", func() bool { return events.Load() == 4 && told.Load() >= 2 })
	stop()
	for range running {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// A bridge that decides, forwards, outlives its server, follows rules and fills its page needs
// each of the permissions that are printed for it, and no other: so one that is taken away would
// be missed.
func TestBridgeUsesEachPermission(t *testing.T) {
	const many = 2000 // keys of a kilobyte, which the server sends in several windows
	users := printedUsers(t, "bridge", "--bridge", "edge")
	srv := startFor(t, users...)
	rules := bucketOf(t, srv, subjects.BucketRules)
	for _, document := range []string{`{"rules":[{"id":"all","effect":"allow"}]}`, "broken"} {
		if _, err := rules.PutString(t.Context(), "acme", document); err != nil { // the bridge looks for the version before
			t.Fatal(err)
		}
	}
	space := strings.Repeat(" ", 1024)
	fillKeys(t, srv, "$KV.rules.k%d", `{"rules":[]}`+space, many)
	fillKeys(t, srv, "$KV.live.k%d", `{"name":"lobby","viewers":1}`+space, many)
	fillKeys(t, srv, "$KV.bridges.k%d", "{}"+space, many)
	used := watchUse(t, srv)
	t.Run("bridge", func(t *testing.T) {
		b := bridgetest.OpenBridge(t, srv, "BRIDGE_PROVISION=off", "BRIDGE_NAME=edge", "NATS_USER=bridge", "NATS_PASSWORD=bridge")
		play := func() bool { return b.Post("call=play&name=x&app=live&addr=192.0.2.1") == http.StatusOK }
		page := func() bool {
			var live struct{ Streams, Viewers int }
			var fleet struct{ List []subjects.BridgeStatus }
			return ask(t, b, "/live", &live) && ask(t, b, "/fleet", &fleet) && live.Streams == many && live.Viewers == many &&
				slices.ContainsFunc(fleet.List, func(s subjects.BridgeStatus) bool { return s.Bridge == "edge" && s.Rules.Documents == many+1 })
		}
		bridgetest.Eventually(t, "the rule holds", play)
		bridgetest.Eventually(t, "the page shows all", page)
		pushShort(t, srv)
		bridgetest.Eventually(t, "the version that expires is asked for", func() bool { return uses(used(), "$JS.API.DIRECT.GET.KV_rules.>") })
		srv.Stop()
		srv.Start()
		bridgetest.Eventually(t, "the page shows all again", page)
		bridgetest.Eventually(t, "the last event is looked for", func() bool {
			return play() && uses(used(), "$JS.API.STREAM.MSG.GET.EVENTS")
		})
	})
	unused := func() []string {
		seen := used()
		return slices.DeleteFunc(slices.Clone(users[0].Publish), func(allowed string) bool {
			// What the page has followed is let go half a minute after it was asked last.
			page := allowed == "$JS.API.CONSUMER.DELETE.KV_live.*" || allowed == "$JS.API.CONSUMER.DELETE.KV_bridges.*"
			return page || uses(seen, allowed)
		})
	}
	deadline := time.Now().Add(bridgetest.Timeout)
	for len(unused()) > 0 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond) // what the bridge sent last comes here, too
	}
	if list := unused(); len(list) > 0 {
		t.Errorf("not used: %v", list)
	}
	for _, line := range srv.Violations() {
		t.Error(line)
	}
}

// fillKeys publishes to n subjects.
func fillKeys(t *testing.T, srv *bridgetest.NATS, subject, value string, n int) {
	t.Helper()
	js, err := jetstream.New(srv.Conn(), jetstream.WithPublishAsyncMaxPending(n))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, err := js.PublishAsync(fmt.Sprintf(subject, i), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(bridgetest.Timeout):
		t.Fatal("the keys are not stored")
	}
}

// watchUse returns what gives all subjects so far that somebody whose answers come to a bridge's
// inbox published to, and those of flow control.
func watchUse(t *testing.T, srv *bridgetest.NATS) func() []string {
	t.Helper()
	var mu sync.Mutex
	var used []string
	seen := map[string]bool{}
	_, err := srv.Conn().Subscribe(">", func(msg *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		mine := strings.HasPrefix(msg.Reply, provision.InboxBridge) || strings.HasPrefix(msg.Subject, "$JS.FC.")
		if mine && !seen[msg.Subject] {
			seen[msg.Subject] = true
			used = append(used, msg.Subject)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(used)
	}
}

func uses(used []string, allowed string) bool {
	return slices.ContainsFunc(used, func(subject string) bool { return server.SubjectMatchesFilter(subject, allowed) })
}

// pushShort pushes a version of a document that expires behind one that does not: no marker tells of it.
func pushShort(t *testing.T, srv *bridgetest.NATS) {
	t.Helper()
	for _, opts := range [][]jetstream.PublishOpt{nil, {jetstream.WithMsgTTL(time.Second)}} {
		if _, err := srv.JetStream().Publish(t.Context(), "$KV.rules.acme", []byte(`{"rules":[{"id":"all","effect":"allow"}]}`), opts...); err != nil {
			t.Fatal(err)
		}
	}
}

// ask reads an answer to the page; false when there is none yet.
func ask(t *testing.T, b *bridgetest.Bridge, path string, answer any) bool {
	t.Helper()
	code, text := b.Admin(path)
	if code == http.StatusOK {
		if err := json.Unmarshal([]byte(text), answer); err != nil {
			t.Fatal(err)
		}
	}
	return code == http.StatusOK
}

func bucketOf(t *testing.T, srv *bridgetest.NATS, name string) jetstream.KeyValue {
	t.Helper()
	kv, err := srv.JetStream().KeyValue(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

// What a user's work is not, the server refuses.
func TestPrintedPermissionsAreNoMore(t *testing.T) {
	srv := startFor(t, printedUsers(t, "--bridge", "edge", "--consumer", "mine")...)
	for user, outside := range map[string][]string{
		"bridge":   {"$KV.rules.acme", "$KV.bridges.other", "$KV.live.x", "session.started", "dead.mine.x", "$JS.API.STREAM.DELETE.EVENTS", "$JS.API.STREAM.CREATE.X", "$JS.API.STREAM.PURGE.EVENTS", "$JS.API.STREAM.INFO.SESSIONS", "$JS.API.STREAM.NAMES"},
		"rules":    {"stream.publish", "session.started", "$KV.bridges.edge", "$KV.live.x", "$JS.API.STREAM.DELETE.KV_rules", "$JS.API.STREAM.PURGE.KV_rules", "$JS.API.CONSUMER.CREATE.SESSIONS.x"},
		"reader":   {"stream.publish", "session.started", "$KV.rules.acme", "$KV.bridges.edge", "$KV.live.x", "$JS.API.STREAM.DELETE.KV_rules", "$JS.ACK.EVENTS.mine.1.1.1.1.0", "$JS.API.CONSUMER.MSG.NEXT.DELIVERIES.x"},
		"sessions": {"stream.publish", "$KV.rules.acme", "dead.mine.x", "$JS.API.STREAM.INFO.KV_rules", "$JS.API.STREAM.UPDATE.KV_live"},
		"consumer": {"stream.publish", "session.started", "$KV.rules.acme", "$KV.live.x", "dead.other.x", "$JS.ACK.EVENTS.other.1.1.1.1.0", "$JS.API.CONSUMER.DELETE.EVENTS.mine", "$JS.API.CONSUMER.MSG.NEXT.EVENTS.other"},
		"chat":     {"stream.publish", "session.started", "$KV.rules.acme", "$KV.chat_rooms.red", "$KV.live.x", "dead.chat-red.stream.publish", "$JS.API.CONSUMER.CREATE.EVENTS.chat", "$JS.API.STREAM.PURGE.SESSIONS", "$JS.API.STREAM.DELETE.SESSIONS"},
		"notify":   {"stream.publish", "session.started", "$KV.rules.acme", "$KV.chat_rooms.red", "dead.analytics.stream.publish", "$JS.API.CONSUMER.DELETE.EVENTS.notify", "$JS.API.CONSUMER.MSG.NEXT.EVENTS.mine", "$JS.API.STREAM.PURGE.EVENTS", "$JS.API.STREAM.DELETE.DELIVERIES"},
		"redrive":  {"dead.mine.x", "$KV.rules.acme", "$KV.live.x", "$JS.API.STREAM.PURGE.DEAD", "$JS.API.STREAM.DELETE.DEAD", "$JS.API.STREAM.MSG.DELETE.EVENTS", "$JS.API.CONSUMER.CREATE.EVENTS.x", "$JS.ACK.EVENTS.mine.1.1.1.1.0", "$JS.API.DIRECT.GET.KV_rules"},
	} {
		inbox := provision.InboxConsumer
		if slices.Contains([]string{"bridge", "rules", "reader"}, user) {
			inbox = provision.InboxBridge
		}
		for _, subject := range outside {
			t.Run(user+" "+subject, func(t *testing.T) {
				refused := make(chan error, 1)
				nc := as(t, srv, user, inbox, refused).Conn()
				if err := nc.Publish(subject, nil); err != nil {
					t.Fatal(err)
				}
				expectRefused(t, nc, refused)
			})
		}
		t.Run(user+" others' inboxes", func(t *testing.T) {
			for _, other := range []string{"_INBOX.>", ">", "stream.>", "$KV.rules.>"} {
				refused := make(chan error, 1)
				nc := as(t, srv, user, inbox, refused).Conn()
				if _, err := nc.SubscribeSync(other); err != nil {
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

// What is printed for the consumers is what their own tests run with.
func TestPrintedConsumers(t *testing.T) {
	want := map[string]provision.Permissions{
		"sessions": provision.SessionsPermissions(), "consumer": provision.ConsumerPermissions(analytics.Name),
		"chat": provision.ChatPermissions(), "notify": provision.NotifyPermissions(), "redrive": provision.RedrivePermissions(),
	}
	for _, u := range printedUsers(t, "sessions", "consumer", "chat", "notify", "redrive") {
		if got := (provision.Permissions{Publish: u.Publish, Subscribe: u.Subscribe}); !reflect.DeepEqual(got, want[u.Name]) {
			t.Errorf("%s: got %v, want %v", u.Name, got, want[u.Name])
		}
		delete(want, u.Name)
	}
	if len(want) > 0 {
		t.Errorf("not printed: %v", want)
	}
}
