package bridgetest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"bintubridge/bridge/bridgetest/freeport"
)

// configVariable names the configuration of the server a test binary is to be.
const configVariable = "BRIDGETEST_NATS_CONFIG"

// ServeIfAsked makes this process a NATS server, and does not return, when Process
// started it as one. TestMain of a package that uses Process calls it first.
func ServeIfAsked() {
	path := os.Getenv(configVariable)
	if path == "" {
		return
	}
	if err := serve(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve runs a server until its standard input ends, which it does with the test.
func serve(path string) error {
	electQuickly()
	opts, err := server.ProcessConfigFile(path)
	if err != nil {
		return err
	}
	opts.NoLog = true
	ns, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	go ns.Start()
	if !ns.ReadyForConnections(Timeout) {
		return fmt.Errorf("the NATS server of %s did not start", path)
	}
	fmt.Println(ns.ClientURL())
	_, err = io.Copy(io.Discard, os.Stdin)
	ns.Shutdown()
	ns.WaitForShutdown()
	return err
}

// Process is a NATS server in a process of its own, which can be killed and paused.
type Process struct {
	client
	dir  string
	name string
	bind string // what it listens on
	host string // where clients find it
	port int
	http int    // monitoring, only in a cluster
	more string // of the configuration
	attr *syscall.SysProcAttr

	running int // the port that it listens on now

	cmd   *exec.Cmd
	stdin io.Closer
}

// StartProcess returns a running server. The text more is added to its
// configuration. TestMain calls ServeIfAsked.
func StartProcess(t testing.TB, more string) *Process {
	t.Helper()
	p := newProcess(t, "single", more)
	p.Start()
	return p
}

func newProcess(t testing.TB, name, more string) *Process {
	t.Helper()
	p := &Process{dir: t.TempDir(), name: name, bind: "127.0.0.1", host: "127.0.0.1", port: freeport.Get(t), more: more}
	p.client = client{t: t, url: p.URL}
	t.Cleanup(p.Kill)
	return p
}

// URL is where clients connect.
func (p *Process) URL() string { return fmt.Sprintf("nats://%s:%d", p.host, p.running) }

// StoreDir is where the server keeps its streams.
func (p *Process) StoreDir() string { return filepath.Join(p.dir, "store") }

// Start starts a server that does not run, with the data it left.
func (p *Process) Start() {
	p.t.Helper()
	p.running = p.port
	p.start()
}

// StartElsewhere is Start on another port: clients of the server do not find it.
func (p *Process) StartElsewhere() {
	p.t.Helper()
	p.running = freeport.Get(p.t)
	p.start()
}

func (p *Process) start() {
	p.t.Helper()
	p.writeConfig()
	exe, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(exe) //nolint:noctx,gosec // this test binary; ends with Kill, or with its standard input
	cmd.Env = append(os.Environ(), configVariable+"="+p.configPath())
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = p.attr
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		p.t.Fatal(err)
	}
	p.cmd, p.stdin = cmd, in
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		p.t.Fatalf("the NATS server %s did not start: %q, %v", p.name, line, err)
	}
}

// Kill ends the process as a power cut of the process would: it has no say in it.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Stop lets the server end in its own way.
func (p *Process) Stop() { p.end(syscall.SIGTERM) }

func (p *Process) end(sig syscall.Signal) {
	if p.cmd == nil {
		return
	}
	p.signal(sig)
	_ = p.stdin.Close()
	_ = p.cmd.Wait() // how it ended is no news
	p.cmd = nil
}

// Pause stops the process where it stands; Resume lets it go on.
func (p *Process) Pause() { p.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (p *Process) Resume() { p.signal(syscall.SIGCONT) }

// Reload makes the running server take more as the added configuration.
func (p *Process) Reload(more string) {
	p.t.Helper()
	p.more = more
	p.writeConfig()
	p.signal(syscall.SIGHUP)
}

func (p *Process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Errorf("%s to the NATS server %s: %v", sig, p.name, err)
	}
}

func (p *Process) configPath() string { return filepath.Join(p.dir, "nats.conf") }

func (p *Process) writeConfig() {
	p.t.Helper()
	text := fmt.Sprintf("server_name: %s\nlisten: %s:%d\njetstream { store_dir: %q, max_file_store: 64GB }\n%s\n",
		p.name, p.bind, p.running, p.StoreDir(), p.more)
	if err := os.WriteFile(p.configPath(), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// CPU returns the processor time the server has used, with the clock's 10 ms.
func (p *Process) CPU() time.Duration {
	p.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] { // utime and stime, see proc(5)
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
