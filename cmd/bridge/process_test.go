package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
)

// timeout bounds every wait; only failing tests reach it. The pauses of the embedded NATS between
// two attempts to start grow to half of it.
const timeout = time.Minute

// binary is the real program, built once with the flags of the Dockerfile, and the other programs
// of the image beside it.
var binary string

func TestMain(m *testing.M) {
	bridgetest.ServeIfAsked()
	dir, err := os.MkdirTemp("", "bridge-e2e")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "bridge")
	build, err := dockerBuild(dir)
	if err == nil {
		var out []byte
		if out, err = build.CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the bridge as the Dockerfile does:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// process is one run of the binary.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	code int           // then

	mu    sync.Mutex
	lines []string

	hook, admin, nats string // where it listens, once it answers
}

// command prepares the binary with this environment alone, in a folder of its own.
func command(ctx context.Context, t *testing.T, args []string, env ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.CommandContext(ctx, binary, args...), done: make(chan struct{})}
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = env
	return p
}

// run runs the binary to its end and returns exit code and output.
func run(t *testing.T, args []string, env ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*timeout)
	defer cancel()
	p := command(ctx, t, args, env...)
	out, err := p.cmd.CombinedOutput()
	if err != nil && p.cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode(), string(out)
}

// ports makes all listeners take free ports of loopback.
func ports(dataDir string) []string {
	return []string{
		"BRIDGE_LISTEN=127.0.0.1:0", "BRIDGE_ADMIN_LISTEN=127.0.0.1:0", "BRIDGE_EMBEDDED_LISTEN=127.0.0.1:0",
		"BRIDGE_DATA_DIR=" + dataDir, "BRIDGE_NAME=edge-1", "BRIDGE_LOG_FORMAT=json",
	}
}

// start runs a bridge with its data in dataDir until it answers.
func start(t *testing.T, dataDir string, env ...string) *process {
	t.Helper()
	p := command(context.Background(), t, nil, append(ports(dataDir), env...)...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := make(chan struct{})
	go p.follow(stderr, answers)
	t.Cleanup(func() { p.kill() })
	select {
	case <-answers:
	case <-p.done:
		t.Fatalf("the bridge ended with %d\n%s", p.code, p.log())
	case <-time.After(timeout):
		t.Fatalf("the bridge does not answer\n%s", p.log())
	}
	return p
}

// follow reads the log until the process ends.
func (p *process) follow(stderr io.Reader, answers chan<- struct{}) {
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		var entry struct {
			Msg, Webhooks, Admin, NATS string
		}
		_ = json.Unmarshal(lines.Bytes(), &entry) // a panic is no JSON, and is kept as it is
		p.mu.Lock()
		p.lines = append(p.lines, lines.Text())
		if entry.Msg == "the bridge answers" {
			p.hook = strings.TrimSuffix(strings.TrimPrefix(entry.Webhooks, "http://"), "/hook")
			p.admin, p.nats = entry.Admin, entry.NATS
			close(answers)
		}
		p.mu.Unlock()
	}
	_ = p.cmd.Wait() // its code is in the state
	p.code = p.cmd.ProcessState.ExitCode()
	close(p.done)
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// wait returns the exit code, -1 for a process ended by a signal.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.code
	case <-time.After(timeout):
		p.t.Fatalf("the bridge does not end\n%s", p.log())
		return 0
	}
}

func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		p.t.Fatalf("exit code %d after SIGTERM\n%s", code, p.log())
	}
	if !strings.Contains(p.log(), "stopped") {
		p.t.Errorf("it does not say that it has stopped\n%s", p.log())
	}
}

func (p *process) kill() {
	select {
	case <-p.done:
		return
	default:
	}
	_ = p.cmd.Process.Kill() // it may end by itself just now
	<-p.done
}

// send writes raw bytes on a connection of their own, reads until the bridge
// closes it, and returns the status.
func (p *process) send(raw []byte) int {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.hook)
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		p.t.Fatal(err)
	}
	if _, err := conn.Write(raw); err != nil {
		p.t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		p.t.Fatalf("no answer to %q: %v", raw, err)
	}
	body, err := io.ReadAll(in)
	if err != nil {
		p.t.Fatalf("the connection is not closed behind the answer: %v", err)
	}
	if err := resp.Body.Close(); err != nil {
		p.t.Fatal(err)
	}
	if len(body) > 0 || resp.ContentLength != 0 || resp.Header.Get("Location") != "" {
		p.t.Errorf("the answer has a body %q or a Location: %v", body, resp.Header)
	}
	return resp.StatusCode
}

// post sends one webhook as the sender does.
func (p *process) post(body string) int {
	p.t.Helper()
	return p.send(fmt.Appendf(nil, "POST /hook HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: Close\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
}

// get asks the admin listener.
func (p *process) get(path string) (int, string) {
	p.t.Helper()
	client := http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(p.admin + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// eventually waits until ok, which is asked again and again.
func (p *process) eventually(what string, ok func() bool) {
	p.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(timeout)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			p.t.Fatalf("not in time: %s\n%s", what, p.log())
		}
	}
}

// ready waits until /readyz says that all is well.
func (p *process) ready() {
	p.t.Helper()
	p.eventually("ready with nothing degraded", func() bool {
		code, text := p.get("/readyz?verbose")
		return code == http.StatusOK && !strings.Contains(text, "[~]")
	})
}
