package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"bintubridge/bridge/bridgetest"
	"bintubridge/bridge/spool"
	"bintubridge/subjects"
)

// A machine that stands still for seconds is no failure of the tool, neither in the tests nor in the
// program that scripts run. Some tests wait until a request has no answer, and no script does.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"bridgectl": func() {
		env := patient(os.Getenv)
		env.request = bridgetest.Timeout
		carryOut(env)
	}})
}

func patient(getenv func(string) string) environment {
	return environment{getenv: getenv, connect: bridgetest.Timeout, request: 5 * time.Second, propose: bridgetest.Timeout}
}

// callTool carries out a command line in this process.
func callTool(ctx context.Context, s streams, getenv func(string) string, args []string) int {
	return run(ctx, s, patient(getenv), args)
}

// leakChecked fails a run of the tests that leaves goroutines behind.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// The command line, as a person or a script uses it: testdata/cli. Every script starts
// with the spools of testdata/spool/v1 in $WORK. Those whose name begins with redrive
// have a NATS server with the stream of the events in $NATS_URL; those that begin with
// nats have one with all streams and buckets, beside which bridgestarts starts a bridge.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("../../testdata/cli/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, script := range scripts {
		r := rig{t: t}
		switch name := filepath.Base(script); {
		case strings.HasPrefix(name, "redrive"):
			r.server = startEvents(t)
		case strings.HasPrefix(name, "nats"):
			r.server = startAll(t)
		}
		testscript.Run(t, testscript.Params{
			Files: []string{script},
			Setup: func(env *testscript.Env) error {
				if r.server != nil {
					env.Setenv("NATS_URL", r.server.URL())
				}
				return errors.Join(writeForeign(filepath.Join(env.WorkDir, "foreign")), os.CopyFS(env.WorkDir, os.DirFS(spools)))
			},
			Cmds: map[string]func(*testscript.TestScript, bool, []string){
				"bridgeruns":   bridgeRuns,
				"bridgestarts": r.bridgeStarts,
				"hook":         r.hook,
				"fakeapi":      fakeAPI,
				"kvput":        r.kvPut,
				"kvcreate":     r.kvCreate,
				"snapshot":     r.snapshot,
				"kvdelete":     r.kvDelete,
				"event":        r.event,
				"stream":       func(ts *testscript.TestScript, _ bool, _ []string) { listStream(ts, r.server) },
			},
			RequireExplicitExec: true,
			RequireUniqueNames:  true,
		})
	}
}

// writeForeign makes a spool with a record that is no event.
func writeForeign(dir string) error {
	s, err := spool.Open(spool.Options{Dir: dir})
	if err != nil {
		return err
	}
	_, err = s.Append([]byte("no event"))
	return errors.Join(err, s.Close())
}

// startEvents starts a server with the stream of the events, which takes small ones only.
func startEvents(t *testing.T) *bridgetest.NATS {
	t.Helper()
	server := bridgetest.StartNATS(t)
	_, err := server.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{
		Name: subjects.StreamEvents, Subjects: []string{"stream.>"}, MaxMsgSize: 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// bridgeRuns holds the lock of a data folder to the end of the script, as a bridge does.
func bridgeRuns(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.OpenFile(filepath.Join(ts.MkAbs(args[0]), "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	ts.Check(err)
	ts.Defer(func() { _ = f.Close() })
	_, err = f.WriteString("4711")
	ts.Check(err)
	ts.Check(syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
}

// listStream prints id and subject of each message in the stream.
func listStream(ts *testscript.TestScript, server *bridgetest.NATS) {
	ctx, cancel := context.WithTimeout(context.Background(), bridgetest.Timeout)
	defer cancel()
	stream, err := server.JetStream().Stream(ctx, subjects.StreamEvents)
	ts.Check(err)
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		msg, err := stream.GetMsg(ctx, seq)
		ts.Check(err)
		_, err = fmt.Fprintln(ts.Stdout(), msg.Header.Get(subjects.HeaderMsgID), msg.Subject)
		ts.Check(err)
	}
}
