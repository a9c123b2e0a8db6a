package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects/provision"
)

// What README says that users of NATS need.
var (
	bridgeUser = bridgetest.User{Name: "edge", Subscribe: inbox, Publish: provision.BridgePermissions("edge", "").Publish}
	statusUser = []string{
		"$JS.API.STREAM.INFO.KV_bridges", "$JS.API.CONSUMER.CREATE.KV_bridges.>", "$JS.API.CONSUMER.MSG.NEXT.KV_bridges.*", "$JS.API.CONSUMER.DELETE.KV_bridges.*",
	}
	readUser = []string{
		"$JS.API.STREAM.INFO.KV_rules", "$JS.API.DIRECT.GET.KV_rules.>", "$JS.API.CONSUMER.CREATE.KV_rules.>", "$JS.API.CONSUMER.MSG.NEXT.KV_rules.*", "$JS.API.CONSUMER.DELETE.KV_rules.*",
	}
	writeUser = []string{"$KV.rules.>", "$JS.API.DIRECT.GET.KV_rules"}
	eventUser = []string{
		"$JS.API.STREAM.INFO.EVENTS", "$JS.API.DIRECT.GET.EVENTS", "$JS.API.CONSUMER.CREATE.EVENTS.>", "$JS.API.CONSUMER.MSG.NEXT.EVENTS.*", "$JS.API.CONSUMER.DELETE.EVENTS.*",
	}
	inbox = []string{"_INBOX_bridge.>"}
)

// A bridge shows itself, and status shows it, by users that may do nothing else; and
// whatever status may not do, it says so.
func TestFleetWithTheLeastPermissions(t *testing.T) {
	users := []bridgetest.User{bridgeUser, {Name: "status", Publish: statusUser, Subscribe: inbox}}
	for i := range statusUser {
		without := slices.Delete(slices.Clone(statusUser), i, i+1)
		users = append(users, bridgetest.User{Name: fmt.Sprint("without-", i), Publish: without, Subscribe: inbox})
	}
	server := startFor(t, users...)
	bridgetest.StartBridge(t, server, "BRIDGE_PROVISION=off", "BRIDGE_NAME=edge", "NATS_USER=edge", "NATS_PASSWORD=edge")
	bridgetest.Eventually(t, "the bridge is shown", func() bool {
		code, out, _ := runAs(t, server, "status", "status")
		return code == 0 && strings.Contains(out, "edge")
	})
	for i, missing := range statusUser {
		t.Run("without "+missing, func(t *testing.T) {
			t.Parallel()
			if code, out, errs := runAs(t, server, fmt.Sprint("without-", i), "status"); code != 1 || !strings.Contains(errs, violation(missing)) {
				t.Errorf("exit code %d, want 1 with %q: %s%s", code, violation(missing), out, errs)
			}
		})
	}
}

func TestRulesWithTheLeastPermissions(t *testing.T) {
	writes := slices.Concat(readUser, writeUser)
	server := startFor(t, bridgeUser,
		bridgetest.User{Name: "reader", Publish: readUser, Subscribe: inbox},
		bridgetest.User{Name: "writer", Publish: writes, Subscribe: inbox},
		bridgetest.User{Name: "waiter", Publish: slices.Concat(writes, statusUser), Subscribe: inbox},
		bridgetest.User{Name: "replayer", Publish: slices.Concat(readUser, eventUser), Subscribe: inbox})
	bridge := bridgetest.StartBridge(t, server, "BRIDGE_PROVISION=off", "BRIDGE_NAME=edge", "NATS_USER=edge", "NATS_PASSWORD=edge")
	document := filepath.Join(t.TempDir(), "acme.json")
	writeFile(t, document, `{"rules":[{"id":"all","effect":"allow"}]}`)
	steps := []struct {
		user    string
		command string
		code    int
		says    string
	}{
		{"writer", "rules put acme FILE", 0, "acme is at revision 1"},
		{"writer", "rules put acme FILE --ttl 1h", 0, "acme is at revision 2\n"},
		{"waiter", "rules put acme FILE --wait=1m", 0, "edge runs revision 3"},
		{"waiter", "rules status", 0, "edge"},
		{"reader", "rules rm acme --yes", 1, "write key acme: nats: permissions violation: Permissions Violation for Publish to \"$KV.rules.acme\""},
		{"reader", "rules get acme", 0, `"effect"`},
		{"reader", "rules ls", 0, "acme"},
		{"reader", "rules history acme", 0, "acme"},
		{"reader", "rules lint", 0, "0 warnings"},
		{"reader", "explain --call play --name x", 0, "ALLOW by acme/all"},
		{"replayer", "explain --event 1", 0, "ALLOW by acme/all"},
		{"replayer", "rules replay --since 1h --rules FILE", 0, "1 event"},
		{"writer", "rules rm acme --yes", 0, "acme is deleted"},
		{"writer", "rules rollback acme", 0, "acme is at revision"},
	}
	bridged := false
	for _, step := range steps {
		if !bridged && step.user == "replayer" {
			bridged = true
			if code := bridge.Post("call=play&name=x&app=live&addr=192.0.2.1"); code != 200 {
				t.Fatalf("status %d", code)
			}
			server.Messages("EVENTS", 1)
		}
		code, out, errs := runAs(t, server, step.user, strings.Fields(strings.Replace(step.command, "FILE", document, 1))...)
		if code != step.code || !strings.Contains(out+errs, step.says) || strings.Contains(out, "warning:") || code != 0 && strings.Contains(out, "is deleted") {
			t.Errorf("%s, %s: exit code %d, want %d with %q: %s%s", step.user, step.command, code, step.code, step.says, out, errs)
		}
	}
}

// Whatever explain and tail may not do to find events, they say so.
func TestEventsNameThePermission(t *testing.T) {
	steps := []struct{ missing, command string }{
		{"$JS.API.STREAM.INFO.EVENTS", "explain --event 1"},
		{"$JS.API.DIRECT.GET.EVENTS", "explain --event 1"},
		{"$JS.API.CONSUMER.CREATE.EVENTS.>", "explain --event e-2"},
		{"$JS.API.CONSUMER.MSG.NEXT.EVENTS.*", "explain --event e-2"},
		{"$JS.API.STREAM.INFO.EVENTS", "tail --no-follow"},
		{"$JS.API.CONSUMER.CREATE.EVENTS.>", "tail --no-follow"},
	}
	var users []bridgetest.User
	for _, missing := range eventUser {
		without := slices.DeleteFunc(slices.Clone(eventUser), func(subject string) bool { return subject == missing })
		users = append(users, bridgetest.User{Name: missing, Publish: without, Subscribe: inbox})
	}
	server := startFor(t, users...)
	if _, err := server.JetStream().Publish(t.Context(), "stream.play", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	for _, step := range steps {
		t.Run(step.command+" without "+step.missing, func(t *testing.T) {
			t.Parallel()
			code, out, errs := runAs(t, server, step.missing, strings.Fields(step.command)...)
			if code != 1 || !strings.Contains(errs, violation(step.missing)) {
				t.Errorf("exit code %d, want 1 with %q: %s%s", code, violation(step.missing), out, errs)
			}
		})
	}
}

// violation is how the server begins to tell that a subject may not be published to.
func violation(subject string) string {
	return "nats: permissions violation: Permissions Violation for Publish to \"" + strings.TrimRight(subject, ">*")
}

// startFor starts a server with all streams and buckets, for users.
func startFor(t *testing.T, users ...bridgetest.User) *bridgetest.NATS {
	t.Helper()
	server := bridgetest.StartNATSFor(t, users...)
	if _, err := provision.Ensure(t.Context(), server.JetStream(), provision.Options{Mode: provision.Auto}); err != nil {
		t.Fatal(err)
	}
	return server
}

// runAs runs the tool as a user.
func runAs(t *testing.T, server *bridgetest.NATS, user string, args ...string) (code int, out, errs string) {
	t.Helper()
	environ := map[string]string{"NATS_URL": server.URL(), "NATS_USER": user, "NATS_PASSWORD": user}
	var stdout, stderr bytes.Buffer
	code = callTool(t.Context(), streams{out: &stdout, err: &stderr}, func(name string) string { return environ[name] }, args)
	return code, stdout.String(), stderr.String()
}
