package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"

	"github.com/nats-io/nats.go"
)

// Letters from all streams, with and without a body, are sent again by the user that is printed for
// it. Without any of its permissions they are not, and the command names the one that is missing.
func TestRedriveWithTheLeastPermissions(t *testing.T) {
	all := provision.RedrivePermissions()
	users := []bridgetest.User{{Name: "redrive", Publish: all.Publish, Subscribe: all.Subscribe}}
	for i := range all.Publish {
		without := slices.Delete(slices.Clone(all.Publish), i, i+1)
		users = append(users, bridgetest.User{Name: fmt.Sprint("without-", i), Publish: without, Subscribe: all.Subscribe})
	}
	server := bridgetest.StartNATSFor(t, users...)
	if _, err := provision.Ensure(t.Context(), server.JetStream(), provision.Options{Mode: provision.Auto}); err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		putLetters(t, server, u.Name)
	}
	redrive := func(user string) (string, error) {
		var out bytes.Buffer
		environ := []string{"NATS_URL=" + server.URL(), "NATS_USER=" + user, "NATS_PASSWORD=" + user}
		err := execute(t.Context(), newRoot(environ), &out, "redrive", user)
		return out.String(), err
	}
	out, err := redrive("redrive")
	if err != nil || strings.Count(out, `"sent":true`) != 6 || len(server.Violations()) > 0 {
		t.Errorf("%v, %v: %s", err, server.Violations(), out)
	}
	var refused sync.WaitGroup // all at once: each waits for an answer
	defer refused.Wait()
	for i, missing := range all.Publish {
		refused.Go(func() {
			want := "Permissions Violation for Publish to \"" + strings.TrimSuffix(missing, ">")
			if out, err := redrive(fmt.Sprint("without-", i)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("without %s: got %v, want %q: %s", missing, err, want, out)
			}
		})
	}
}

// putLetters sets two messages of each stream aside, one of them with its body left where it was.
func putLetters(t *testing.T, server *bridgetest.NATS, consumer string) {
	t.Helper()
	for stream, subject := range map[string]string{
		subjects.StreamEvents: "stream.publish", subjects.StreamSessions: "session.started", subjects.StreamDeliveries: "delivery.red",
	} {
		ack, err := server.JetStream().Publish(t.Context(), subject, []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		for _, left := range []string{"", subjects.DeadBodyLeft} {
			letter := nats.NewMsg("dead." + consumer + "." + subject)
			for name, value := range map[string]string{
				subjects.HeaderDeadSubject: subject, subjects.HeaderDeadStream: stream,
				subjects.HeaderDeadSequence: fmt.Sprint(ack.Sequence), subjects.HeaderDeadBody: left,
			} {
				letter.Header[name] = []string{value}
			}
			if _, err := server.JetStream().PublishMsg(t.Context(), letter); err != nil {
				t.Fatal(err)
			}
		}
	}
}
