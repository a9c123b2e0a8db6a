package provision_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"bintubridge/subjects/provision"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// wantError checks what kind of error it is and what it tells the operator.
func wantError(t *testing.T, err, kind error, texts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error is %v, want %v", err, kind)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
}

func TestNoJetStream(t *testing.T) {
	js := connect(t, startServer(t, func(o *server.Options) { o.JetStream = false }))
	for _, mode := range []provision.Mode{provision.Check, provision.Auto} {
		_, err := provision.Ensure(t.Context(), js, provision.Options{Mode: mode, Timeout: long})
		wantError(t, err, provision.ErrNoJetStream, "stream EVENTS", "-js", "enable JetStream for the account")
		if strings.Contains(err.Error(), "SESSIONS") {
			t.Errorf("the same error for every object: %v", err)
		}
	}
}

func TestNoJetStreamForTheAccount(t *testing.T) {
	account := server.NewAccount("PLAIN")
	js := connect(t, startServer(t, func(o *server.Options) {
		o.Accounts = []*server.Account{account}
		o.Users = []*server.User{{Username: "u", Password: "p", Account: account}}
	}), nats.UserInfo("u", "p"))
	_, err := provision.Ensure(t.Context(), js, provision.Options{Mode: provision.Auto, Timeout: long})
	wantError(t, err, provision.ErrNoJetStream, "stream EVENTS", "enable JetStream for the account")
}

// user restricts the user "u" of a server to publish on these subjects.
func user(publish ...string) func(*server.Options) {
	return func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "u", Password: "p", Permissions: &server.Permissions{
				Publish:   &server.SubjectPermission{Allow: publish},
				Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
			}},
			{Username: "admin", Password: "p"},
		}
	}
}

// long is for requests that are answered, however long the machine stands still.
const long = time.Minute / 4

// unanswered is how long requests may take where the server drops one that the user may not make: the test
// waits for that one, and others are to be answered meanwhile.
const unanswered = 5 * time.Second

func TestUserMayNotLook(t *testing.T) {
	t.Parallel()
	js := connect(t, startServer(t, user("stream.>")), nats.UserInfo("u", "p"))
	report, err := provision.Ensure(t.Context(), js, provision.Options{Mode: provision.Auto, Timeout: unanswered})
	wantError(t, err, provision.ErrPermission, "stream EVENTS: cannot look at it", `"$JS.API.STREAM.INFO.EVENTS"`, "BRIDGE_PROVISION=off")
	if !reflect.DeepEqual(report, provision.Report{}) {
		t.Errorf("report is %+v of things nobody could see", report)
	}
}

func TestUserMayNotCreate(t *testing.T) {
	t.Parallel()
	js := connect(t, startServer(t, user("$JS.API.STREAM.INFO.*")), nats.UserInfo("u", "p"))
	opts := provision.Options{Mode: provision.Auto, Timeout: unanswered}
	report, err := provision.Ensure(t.Context(), js, opts)
	wantError(t, err, provision.ErrPermission, "stream EVENTS: cannot create it", `"$JS.API.STREAM.CREATE.EVENTS"`)
	wantReport(t, report, provision.Report{Missing: allObjects[:1]})

	// Checking needs no more than to look, and waits once for what it may not ask.
	opts.Mode = provision.Check
	begun := time.Now()
	wantReport(t, ensure(t, js, opts), provision.Report{Missing: allObjects})
	if took := time.Since(begun); took > time.Duration(len(allObjects)-1)*unanswered {
		t.Errorf("it took %v", took)
	}
}

func TestNoAnswer(t *testing.T) {
	srv := startServer(t)
	js := connect(t, srv)
	// Somebody takes the requests and does not answer, as a cluster does that
	// has no leader.
	if _, err := js.Conn().Subscribe("silent.>", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	silent, err := jetstream.NewWithAPIPrefix(js.Conn(), "silent")
	if err != nil {
		t.Fatal(err)
	}
	_, err = provision.Ensure(t.Context(), silent, provision.Options{Timeout: 50 * time.Millisecond})
	wantError(t, err, provision.ErrNoAnswer, "stream EVENTS", "the server is up")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = provision.Ensure(ended, js, provision.Options{})
	wantError(t, err, context.Canceled, "stream EVENTS")
}

func TestClosedConnection(t *testing.T) {
	js := connect(t, startServer(t))
	js.Conn().Close()
	_, err := provision.Ensure(t.Context(), js, provision.Options{})
	wantError(t, err, nats.ErrConnectionClosed, "stream EVENTS")
}

// The defaults fit a server that has DefaultStorage to give, and none smaller.
func TestStorage(t *testing.T) {
	store := func(bytes int64) func(*server.Options) {
		return func(o *server.Options) { o.JetStreamMaxStore = bytes }
	}
	js := connect(t, startServer(t, store(provision.DefaultStorage)))
	wantReport(t, ensure(t, js, provision.Options{Mode: provision.Auto}), provision.Report{Created: allObjects})

	js = connect(t, startServer(t, store(provision.DefaultStorage-1)))
	report, err := provision.Ensure(t.Context(), js, provision.Options{Mode: provision.Auto, Timeout: long})
	wantError(t, err, provision.ErrStorage, "KV bucket chat_state: cannot create it", "67108864 bytes", "max_file_store")
	wantReport(t, report, provision.Report{Created: allObjects[:10], Missing: allObjects[10:]})

	// What does not fit keeps nobody from creating what does.
	js = connect(t, startServer(t, store(5<<30)))
	report, err = provision.Ensure(t.Context(), js, provision.Options{Mode: provision.Auto, Timeout: long})
	wantError(t, err, provision.ErrStorage, "stream EVENTS: cannot create it", "10737418240 bytes")
	wantReport(t, report, provision.Report{Created: allObjects[1:], Missing: allObjects[:1]})
}

func TestReplicas(t *testing.T) {
	js := connect(t, startServer(t))
	report, err := provision.Ensure(t.Context(), js, provision.Options{Mode: provision.Auto, Timeout: long, Replicas: 3})
	wantError(t, err, provision.ErrReplicas, "stream EVENTS: cannot create it", "3 replicas")
	wantReport(t, report, provision.Report{Missing: allObjects})
}

// A stream of another name that holds stream.> makes EVENTS impossible.
func TestOverlap(t *testing.T) {
	for mode, want := range map[provision.Mode]provision.Report{
		provision.Check: {Missing: allObjects},
		provision.Auto:  {Missing: allObjects[:1], Created: allObjects[1:]},
	} {
		t.Run(mode.String(), func(t *testing.T) {
			js := connect(t, startServer(t))
			old := jetstream.StreamConfig{Name: "OLD", Subjects: []string{"stream.publish"}}
			if _, err := js.CreateStream(t.Context(), old); err != nil {
				t.Fatal(err)
			}
			report, err := provision.Ensure(t.Context(), js, provision.Options{Mode: mode, Timeout: long})
			wantError(t, err, provision.ErrOverlap, "stream EVENTS", "stream.>", `stream "OLD"`)
			wantReport(t, report, want)
		})
	}
}
