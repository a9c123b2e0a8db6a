package cmd_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/bridge/bridgetest/freeport"
	"bintubridge/subjects"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What the files of testdata/deploy describe runs: the programs by their environments, commands and
// secrets, at a NATS server by its users. Only addresses and folders are others, and there are no
// containers around them.
func TestDeploy(t *testing.T) {
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin+"/", "./cmd/bridge", "./cmd/bridgectl", "./cmd/consumer")
	build.Dir = root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Run("compose", func(t *testing.T) {
		r := newRig(t, bin)
		r.serve(string(readFile(t, "testdata/deploy/nats/nats.conf")))
		all := composed(t)
		r.deploy(all["setup"], all["bridge"], all["sessions"], all["analytics"], all["chat"], all["notify"])
		r.evening(all["bridgectl"])
	})
	t.Run("kubernetes", func(t *testing.T) {
		r := newRig(t, bin)
		r.serve("include users.conf\nlisten: 0.0.0.0:4222\nhttp: 127.0.0.1:8222\njetstream { store_dir: /data, max_file_store: 40GB }\n")
		all := kubernetes(t)
		setup := all["setup"]
		setup.command[len(setup.command)-1] = "1" // servers: there is but one
		all["bridge"].env["BRIDGE_NAME"] = "bridge-0"
		all["bridge"].env["BRIDGE_SPOOL_MAX_BYTES"] = "1GiB"
		r.deploy(setup, all["bridge"], all["sessions"], all["analytics"])
		r.evening(container{command: []string{"/bridgectl"}, env: map[string]string{
			"NATS_URL": "nats://nats:4222", "NATS_USER": "rules", "NATS_PASSWORD_FILE": "rules_password",
		}})
	})
}

// rig is one deployment.
type rig struct {
	t         *testing.T
	bin, dir  string
	nats      string
	hook      string
	processes []*deployed
}

// deployed is a container that runs as a process.
type deployed struct {
	container
	cmd *exec.Cmd
	log string // its file
}

func newRig(t *testing.T, bin string) *rig {
	t.Helper()
	r := &rig{t: t, bin: bin, dir: t.TempDir()}
	out, err := exec.CommandContext(t.Context(), filepath.Join(root(t), "testdata/deploy/secrets.sh"), filepath.Join(r.dir, "secrets")).CombinedOutput()
	if err != nil {
		t.Fatalf("secrets.sh: %v\n%s", err, out)
	}
	return r
}

func (r *rig) secret(name string) string {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, "secrets", name))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// serve starts a NATS server by this configuration, beside users.conf, whose passwords are in its environment.
func (r *rig) serve(config string) {
	r.t.Helper()
	for line := range strings.Lines(r.secret("nats_passwords")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		r.t.Setenv(name, value)
	}
	address := freeport.Addr(r.t)
	r.nats = "nats://" + address
	for name, text := range map[string]string{
		"users.conf": string(readFile(r.t, "testdata/deploy/nats/users.conf")),
		"nats.conf":  swap(r.t, config, "0.0.0.0:4222", address, "127.0.0.1:8222", freeport.Addr(r.t), "/data", filepath.Join(r.dir, "nats")),
	} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	opts, err := server.ProcessConfigFile(filepath.Join(r.dir, "nats.conf"))
	if err != nil {
		r.t.Fatal(err)
	}
	opts.NoLog, opts.NoSigs = true, true
	ns, err := server.NewServer(opts)
	if err != nil {
		r.t.Fatal(err)
	}
	ns.Start()
	r.t.Cleanup(func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	})
	if !ns.ReadyForConnections(bridgetest.Timeout) {
		r.t.Fatal("the NATS server does not start")
	}
}

// command prepares a container's program, with arguments behind its own, in a folder that stands for /data.
func (r *rig) command(ctx context.Context, c container, more ...string) *exec.Cmd {
	data := filepath.Join(r.dir, "data-"+c.name)
	if err := os.MkdirAll(data, 0o700); err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(r.bin, c.command[0]), append(c.command[1:len(c.command):len(c.command)], more...)...)
	cmd.Dir, cmd.Env = data, []string{"HOME=" + data}
	for name, value := range c.env {
		switch {
		case strings.HasSuffix(name, "_FILE"):
			value = filepath.Join(r.dir, "secrets", value)
		case value == "/data":
			value = data
		case value == "nats://nats:4222":
			value = r.nats
		}
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// run runs a program to its end.
func (r *rig) run(c container, more ...string) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), bridgetest.Timeout)
	defer cancel()
	out, err := r.command(ctx, c, more...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s %v %v: %v\n%s", c.name, c.command, more, err, out)
	}
	return string(out)
}

// deploy runs setup and starts the others, on free ports, and waits until their health checks are content.
func (r *rig) deploy(setup container, others ...container) {
	r.t.Helper()
	if out := r.run(setup); !strings.Contains(out, "made: ") {
		r.t.Errorf("setup: %s", out)
	}
	for _, c := range others {
		for name, value := range c.env {
			if strings.HasSuffix(name, "_LISTEN") && strings.HasPrefix(value, ":") {
				c.env[name] = fmt.Sprintf(":%d", freeport.Get(r.t))
			}
		}
		if c.name == "bridge" {
			r.hook = "http://127.0.0.1" + c.env["BRIDGE_LISTEN"] + "/hook/" + r.secret("hook_secret")
		}
		r.start(c)
	}
	for _, p := range r.processes {
		health := p.container
		if health.command = p.health; health.command == nil { // Kubernetes asks the same by HTTP
			health.command = map[string][]string{"/bridge": {"/bridge", "-health"}, "/consumer": {"/consumer", "health"}}[p.command[0]]
		}
		bridgetest.Eventually(r.t, p.name+" is healthy", func() bool { return r.command(r.t.Context(), health).Run() == nil })
	}
}

func (r *rig) start(c container) {
	r.t.Helper()
	p := &deployed{container: c, cmd: r.command(context.Background(), c), log: filepath.Join(r.dir, c.name+".log")}
	log, err := os.Create(p.log)
	if err != nil {
		r.t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	err = p.cmd.Start()
	_ = log.Close() // it has its own
	if err != nil {
		r.t.Fatal(err)
	}
	r.processes = append(r.processes, p)
	r.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if text, err := os.ReadFile(p.log); r.t.Failed() {
			r.t.Logf("%s: %v\n%s", p.name, err, text)
		}
	})
}

// evening pushes a rule, publishes a stream, looks for it where it should be, and ends all.
func (r *rig) evening(tool container) {
	r.t.Helper()
	document := filepath.Join(r.dir, "acme.json")
	if err := os.WriteFile(document, []byte(`{"rules":[{"id":"ingest","effect":"allow","name":["cam-*"]}]}`), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.run(tool, "rules", "put", "acme", document, "--wait=1m")
	for name, want := range map[string]int{"cam-1": http.StatusOK, "stranger": http.StatusForbidden} {
		body := strings.NewReader("call=publish&name=" + name + "&type=live&app=live&addr=192.0.2.1&clientid=7")
		resp, err := http.Post(r.hook, "application/x-www-form-urlencoded", body) //nolint:gosec // the test's own
		if err != nil {
			r.t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != want {
			r.t.Errorf("%s: status %d, want %d", name, resp.StatusCode, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	r.isLive("cam-1.192=2E0=2E2=2E1.7")
	for _, p := range r.processes {
		if p.name == "analytics" {
			bridgetest.Eventually(r.t, "analytics has both", func() bool {
				out := r.run(p.container, "report", "--since", "1h")
				return strings.Contains(out, "cam-1") && strings.Contains(out, "192.0.2.1")
			})
		}
	}
	for _, p := range r.processes {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			r.t.Error(err)
		}
	}
	for _, p := range r.processes {
		if err := p.cmd.Wait(); err != nil {
			r.t.Errorf("%s ended with %v", p.name, err)
		}
		text, err := os.ReadFile(p.log)
		if err != nil {
			r.t.Error(err)
		}
		for _, bad := range []string{"means nothing", "permissions violation", `"level":"error"`} {
			if strings.Contains(strings.ToLower(string(text)), bad) {
				r.t.Errorf("%s logs %q", p.name, bad)
			}
		}
	}
}

// isLive waits until KV live has the key.
func (r *rig) isLive(key string) {
	r.t.Helper()
	nc, err := nats.Connect(r.nats, nats.UserInfo("admin", r.secret("admin_password")), nats.Timeout(bridgetest.Timeout))
	if err != nil {
		r.t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		r.t.Fatal(err)
	}
	kv, err := js.KeyValue(r.t.Context(), subjects.BucketLive)
	if err != nil {
		r.t.Fatal(err)
	}
	bridgetest.Eventually(r.t, key+" is live", func() bool {
		_, err := kv.Get(r.t.Context(), key)
		return err == nil
	})
}
