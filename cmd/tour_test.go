// Package cmd_test runs what README tells to run, with the programs of this folder.
package cmd_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/bridge/bridgetest/freeport"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

// natsVariable makes this test binary the nats tool of the tour.
const natsVariable = "TOUR_NATS"

func TestMain(m *testing.M) {
	if os.Getenv(natsVariable) == "" {
		goleak.VerifyTestMain(m)
	}
	if err := natsTool(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// natsTool is as much of the nats tool as the tour needs: kv put, kv ls and sub.
func natsTool(args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), bridgetest.Timeout)
	defer cancel()
	if len(args) < 3 {
		return fmt.Errorf("nats %q is not known here", args)
	}
	nc, err := nats.Connect(os.Getenv("NATS_URL"), nats.Timeout(bridgetest.Timeout))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	if count, ok := strings.CutPrefix(strings.Join(args, " "), "sub --stream EVENTS --all --count "); ok {
		return natsSub(ctx, js, count)
	}
	kv, err := js.KeyValue(ctx, args[2])
	if err != nil {
		return err
	}
	switch {
	case args[0] != "kv":
	case args[1] == "put" && len(args) == 5:
		_, err = kv.PutString(ctx, args[3], args[4])
		return err
	case args[1] == "ls" && len(args) == 3:
		keys, err := kv.Keys(ctx)
		fmt.Println(strings.Join(keys, "\n"))
		return err
	}
	return fmt.Errorf("nats %q is not known here", args)
}

// natsSub shows the first messages of EVENTS.
func natsSub(ctx context.Context, js jetstream.JetStream, count string) error {
	cons, err := js.OrderedConsumer(ctx, subjects.StreamEvents, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	it, err := cons.Messages()
	if err != nil {
		return err
	}
	defer it.Stop()
	n, err := strconv.Atoi(count)
	for i := 0; i < n && err == nil; i++ {
		var msg jetstream.Msg
		if msg, err = it.Next(jetstream.NextContext(ctx)); err == nil {
			fmt.Printf("[#%d] Received on %q\n%s\n", i+1, msg.Subject(), msg.Data())
		}
	}
	return err
}

// section returns the commands of a section of README.
func section(t *testing.T, title string) string {
	t.Helper()
	_, text, ok := strings.Cut(readme(t), "\n### "+title+"\n")
	if !ok {
		t.Fatalf("README has no section %q", title)
	}
	text, _, _ = strings.Cut(text, "\n##")
	var commands strings.Builder
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
		commands.WriteString(block[1])
	}
	return commands.String()
}

// swap puts other texts in the place of those of the tour, which have to be there.
func swap(t *testing.T, script string, texts ...string) string {
	t.Helper()
	for i := 0; i < len(texts); i += 2 {
		if !strings.Contains(script, texts[i]) {
			t.Fatalf("the tour has no %q", texts[i])
		}
		script = strings.ReplaceAll(script, texts[i], texts[i+1])
	}
	return script
}

// README's first minutes show what it says: a stream that is refused, one that is allowed, its
// events, and what a broken document does.
func TestFiveMinutes(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil && os.Getenv("CI") != "true" {
		t.Skip("there is no curl")
	}
	server := bridgetest.StartNATS(t)
	b := bridgetest.StartBridge(t, server)
	seen := func(text string) string { // a push is seen within milliseconds, and so may a curl be
		return "until curl -s http://" + b.AdminAddr() + "/status | grep -q '" + text + "'; do sleep 0.1; done\n"
	}
	script := swap(t, section(t, "Five minutes"),
		"go install github.com/nats-io/natscli/nats@v0.5.1\n", "",
		"curl -i -d 'foo=bar&call=publish&", seen(`"documents": *1`)+"curl -i -d 'foo=bar&call=publish&",
		"curl 'http://127.0.0.1:8081/readyz", seen("alow")+"curl 'http://127.0.0.1:8081/readyz",
		"127.0.0.1:8080", b.HookAddr(), "127.0.0.1:8081", b.AdminAddr(),
	)
	out := bash(t, t.TempDir(), natsFunction(t)+script, "NATS_URL="+server.URL())
	const answers = `(?s)^.*HTTP/1.1 403 Forbidden.*HTTP/1.1 200 OK.*HTTP/1.1 200 OK`
	const events = `.*"stream\.denied\.publish".*"stream\.publish".*"stream\.publish_done"`
	const broken = `.*\[~\] rules.*document \\"acme\\", rule \\"ingest\\", field \\"effect\\": got \\"alow\\", want \\"allow\\" or \\"deny\\"`
	if !regexp.MustCompile(answers + events + broken).MatchString(out) {
		t.Errorf("it shows something else:\n%s\n%s", script, out)
	}
}

// natsFunction makes nats in a script this test binary.
func natsFunction(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return "nats() { " + natsVariable + "=1 " + self + " \"$@\"; }\n"
}

// The tour of README runs as it stands: only addresses and times are others, and NATS is
// one of the test's.
func TestTour(t *testing.T) {
	dir := t.TempDir()
	server := bridgetest.StartNATS(t)
	if _, err := provision.Ensure(t.Context(), server.JetStream(), provision.Options{Mode: provision.Auto, Timeout: bridgetest.Timeout / 4}); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "bin")
	script := swap(t, section(t, "A simulated evening"),
		"go build -o bin/ ", "cd "+root(t)+"; go build -o "+bin+"/ ",
		"./testdata/tour/room\n", "./testdata/tour/room; cd "+dir+"\n",
		"testdata/tour/rules.json", filepath.Join(root(t), "testdata/tour/rules.json"),
		"127.0.0.1:9000", freeport.Addr(t),
		"CONSUMER_SESSIONS_TIMEOUT=20s CONSUMER_SESSIONS_GRACE=5s", "CONSUMER_SESSIONS_TIMEOUT=3s CONSUMER_SESSIONS_GRACE=1s",
		"--duration 2m", "--duration 12s --speed 600 --updates 10m --seed 1",
		"sleep 60", "for i in {1..300}; do [ -n \"$(nats kv ls live)\" ] && break; sleep 0.2; done",
		"sleep 30", "for i in {1..300}; do grep -q session.lost room.log && grep -q 'sim-[1-5] ended' room.log && break; sleep 0.2; done; sleep 1",
	)
	script = natsFunction(t) + script
	out := bash(t, dir, script,
		"NATS_URL="+server.URL(), "BRIDGE_LISTEN="+freeport.Addr(t), "BRIDGE_ADMIN_LISTEN="+freeport.Addr(t), "BRIDGE_NAME=tour")
	for _, want := range []string{
		`sim is at revision 1`,
		`(?m)^whsec_`,
		`(?m)^sim-\d\.203=2E0=2E113=2E\d+\.\d+$`,            // live
		`(?m)^ +publish +\d+ +[1-9]\d* +[1-9]\d* +0 +0$`,    // simulated: allowed and refused ones
		`(?m)^ +play_done +\d+ +[1-9]\d* +0 +0 +0$`,         // and dones
		`(?m)^/chat sim-\d is live$`,                        // the room
		`(?m)^/chat sim-\d ended after \d+s, with up to \d`, //
		`(?m)^/notify \{"type":"session\.lost"`,             //
		`(?m)^  sim-1 +live +\d+ +\d+m?\d*s +[0-9.]+ MB`,    // the report
		`(?m)^  - +192\.0\.2\.\d+ +play +[1-9]`,             // refusals
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no %s", want)
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, "report.html"))
	if err != nil || !strings.Contains(string(page), "<svg") || !strings.Contains(string(page), "sim-1") {
		t.Errorf("report.html: %d bytes, %v", len(page), err)
	}
	stream, err := server.JetStream().Stream(t.Context(), subjects.StreamEvents)
	if err != nil || stream.CachedInfo().State.Msgs == 0 {
		t.Errorf("EVENTS: %+v, %v", stream, err)
	}
	if t.Failed() {
		t.Logf("the tour:\n%s\n%s", script, out)
		for _, name := range []string{"bridge", "sessions", "analytics", "chat", "notify"} {
			log, err := os.ReadFile(filepath.Join(dir, name+".log"))
			t.Logf("%s:\n%s%v", name, log, err)
		}
	}
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// bash runs the script in a process group of its own, which ends with it.
func bash(t *testing.T, dir, script string, env ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-e", "-c", script)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	if err != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what is left of it
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}
