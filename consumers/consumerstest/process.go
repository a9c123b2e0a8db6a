package consumerstest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// urlVariable tells a test binary that it is to be a consumer, and where the server is.
const urlVariable = "CONSUMERSTEST_NATS_URL"

// ServeIfAsked makes this process a consumer, and does not return, when StartProcess
// started it as one. TestMain of a package that uses StartProcess calls it first. The context
// of run ends with SIGTERM, and with the test.
func ServeIfAsked(run func(context.Context, jetstream.JetStream) error) {
	url := os.Getenv(urlVariable)
	if url == "" {
		return
	}
	if err := serve(url, run); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serve(url string, run func(context.Context, jetstream.JetStream) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	fmt.Println("runs") // from here on SIGTERM ends it in its own way
	go func() {         // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.Timeout(bridgetest.Timeout))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	return run(ctx, js)
}

// Process is a consumer in a process of its own, which can be killed.
type Process struct {
	t     testing.TB
	cmd   *exec.Cmd
	ended bool
}

// StartProcess starts this test binary again, as a consumer of the kit's server with these
// variables ("NAME=value") besides those of the test. It ends with the test.
func (k *Kit) StartProcess(env ...string) *Process {
	k.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		k.t.Fatal(err)
	}
	cmd := exec.Command(exe) //nolint:noctx,gosec // this test binary; it ends with Kill, or with its standard input
	cmd.Env = append(append(os.Environ(), env...), urlVariable+"="+k.URL())
	cmd.Stderr = os.Stderr
	_, inErr := cmd.StdinPipe() // Wait closes it
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		k.t.Fatal(err)
	}
	p := &Process{t: k.t, cmd: cmd}
	k.t.Cleanup(p.Kill)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		k.t.Fatalf("the consumer did not start: %q, %v", line, err)
	}
	return p
}

// Pause stands the process still, as a machine out of breath does; Resume lets it go on.
func (p *Process) Pause() { p.signal(syscall.SIGSTOP) }

// Resume is what ends a Pause.
func (p *Process) Resume() { p.signal(syscall.SIGCONT) }

func (p *Process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// Kill ends the process as a crash does: it has no say in it.
func (p *Process) Kill() {
	if !p.ended {
		_ = p.end(syscall.SIGKILL) // it was killed
	}
}

// Terminate lets the process end in its own way, and waits for it. An error of its run fails the test.
func (p *Process) Terminate() {
	p.t.Helper()
	if err := p.end(syscall.SIGTERM); err != nil {
		p.t.Errorf("the consumer ended: %v", err)
	}
}

func (p *Process) end(sig syscall.Signal) error {
	p.ended = true
	err := p.cmd.Process.Signal(sig)
	hangs := time.AfterFunc(bridgetest.Timeout, func() { _ = p.cmd.Process.Kill() }) // Wait tells of it
	defer hangs.Stop()
	return errors.Join(err, p.cmd.Wait())
}
