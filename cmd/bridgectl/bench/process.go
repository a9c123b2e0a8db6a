package bench

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// What the log of a process says when it can be called.
const (
	listening     = "listening"
	bridgeAnswers = "the bridge answers"
)

const (
	startTimeout = time.Minute      // a million rules may come out of a snapshot
	stopTimeout  = 30 * time.Second // a bridge drains for ten
	keptLines    = 20
)

// announcement is a line of a process's log.
type announcement struct {
	Msg      string
	Address  string // of the bare server and NATS
	Webhooks string // URLs of the bridge
	Admin    string
	NATS     string // of the server in the bridge
}

// process is one of the servers under test.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	ended chan struct{} // closed when it has, and its log is read
	told  announcement

	mu   sync.Mutex
	tail []string // the last lines of its log
}

// again returns a command that runs this program in a role.
func again(ctx context.Context, role string, args ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	cmd := exec.CommandContext(ctx, exe, append([]string{ServeCommand, role}, args...)...) //nolint:gosec // this program
	cmd.Args[0] = os.Args[0]
	return cmd, nil
}

// startProcess returns when the process has told where it listens. env is added to that
// of this process.
func startProcess(name string, cmd *exec.Cmd, env ...string) (*process, error) {
	cmd.Env = append(os.Environ(), env...)
	stdin, inErr := cmd.StdinPipe()
	stderr, outErr := cmd.StderrPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, stdin: stdin, ended: make(chan struct{})}
	told := make(chan announcement, 1)
	go p.follow(stderr, told)
	select {
	case p.told = <-told:
		return p, nil
	case <-p.ended:
	case <-time.After(startTimeout):
	}
	p.kill()
	return nil, fmt.Errorf("start %s: %s did not tell where it listens; its log ends with\n%s", name, cmd.Path, cmp.Or(p.log(), "(it wrote none)"))
}

// follow reads the log until the process ends.
func (p *process) follow(stderr io.Reader, told chan<- announcement) {
	defer close(p.ended)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		var line announcement
		if json.Unmarshal(lines.Bytes(), &line) == nil && (line.Msg == listening || line.Msg == bridgeAnswers) {
			told <- line // it is said once
		}
		p.mu.Lock()
		if len(p.tail) == keptLines {
			p.tail = p.tail[1:]
		}
		p.tail = append(p.tail, lines.Text())
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, stderr) // a line too long to be one
	_ = p.cmd.Wait()                   // how it ended shows in its log
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.tail, "\n")
}

// check tells of a process that ended by itself.
func (p *process) check() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s has ended: %s; its log ends with\n%s", p.name, p.cmd.ProcessState, p.log())
	default:
		return nil
	}
}

func (p *process) usage() (usage, error) {
	u, err := readUsage(p.cmd.Process.Pid)
	if err != nil {
		return u, fmt.Errorf("%s: %w", p.name, errors.Join(err, p.check()))
	}
	return u, nil
}

// kill ends the process without a word.
func (p *process) kill() { p.end(syscall.SIGKILL) }

// stop lets the process end in its own way.
func (p *process) stop() {
	if p != nil {
		p.end(syscall.SIGTERM)
	}
}

func (p *process) end(sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig) // it may have ended
	_ = p.stdin.Close()
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}
