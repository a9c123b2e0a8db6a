package analytics

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/bridge/bridgetest/freeport"
)

// cluster is a PostgreSQL of a test's own, that syncs to the disk as one in production.
type cluster struct {
	t    testing.TB
	bin  string
	dir  string
	port int
	as   *syscall.Credential // postgres does not run as root
	cmd  *exec.Cmd
	log  bytes.Buffer
}

func startPostgres(t testing.TB) *cluster {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("PostgreSQL is not installed")
		}
		t.Skip("PostgreSQL is not installed")
	}
	c := &cluster{t: t, bin: filepath.Dir(found[len(found)-1]), port: freeport.Get(t)}
	if c.dir, err = os.MkdirTemp("", "analytics"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(c.dir) })
	c.becomeUser()
	init := c.command("initdb", "-D", c.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	t.Cleanup(c.kill)
	c.start()
	return c
}

func (c *cluster) becomeUser() {
	if os.Geteuid() != 0 {
		return
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		c.t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	c.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	if err := os.Chown(c.dir, uid, gid); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

// start returns when the server takes connections. After a kill the processes of the last one may hold
// its memory for a moment.
func (c *cluster) start() {
	c.t.Helper()
	bridgetest.Eventually(c.t, "PostgreSQL runs", func() bool {
		if c.cmd == nil {
			c.cmd = c.command("postgres", "-D", c.data(), "-c", "listen_addresses=127.0.0.1", "-c", "port="+strconv.Itoa(c.port),
				"-c", "unix_socket_directories="+c.dir, "-c", "fsync=on", "-c", "max_wal_size=4GB")
			c.cmd.Stderr = &c.log
			if err := c.cmd.Start(); err != nil {
				c.t.Fatal(err)
			}
		}
		if c.command("pg_isready", "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(c.port)).Run() == nil {
			return true
		}
		var status syscall.WaitStatus
		if pid, err := syscall.Wait4(c.cmd.Process.Pid, &status, syscall.WNOHANG, nil); err == nil && pid != 0 {
			_ = c.cmd.Wait() // joins the copying of its log
			c.cmd = nil
		}
		return false
	})
}

// kill ends every process of the server at once, as a crash does.
func (c *cluster) kill() {
	if c.cmd == nil {
		return
	}
	pid := c.cmd.Process.Pid
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	_ = c.cmd.Process.Kill()
	for _, field := range strings.Fields(string(children)) {
		if child, err := strconv.Atoi(field); err == nil {
			_ = syscall.Kill(child, syscall.SIGKILL)
		}
	}
	_ = c.cmd.Wait()
	c.cmd = nil
}

func (c *cluster) dsn() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres", c.port)
}

// databases are those that a test runs with.
func databases(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, "sqlite://"+filepath.Join(t.TempDir(), "a ?#%b.db")) })
	t.Run("postgres", func(t *testing.T) { test(t, startPostgres(t).dsn()) })
}

func open(t testing.TB, dsn string) *Store {
	t.Helper()
	s, err := Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}
