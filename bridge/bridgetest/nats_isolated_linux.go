package bridgetest

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// Isolated is a server in a network of its own, at the far end of a cable that can
// be cut. A cut is silent, as behind a dead switch: packets go to a hardware address that
// nobody has, and neither a reset nor an ICMP message comes back. The network and
// the cable end with the process, however the test ends; Start makes no new ones.
type Isolated struct {
	*Process
	near string // name of the cable's end here
	here netip.Addr
}

// The ends of a cable. Each cable is a link of its own: the same will do for all.
const (
	farName = "cable"
	nearMAC = "02:00:00:00:00:01"
	farMAC  = "02:00:00:00:00:02"
	noMAC   = "02:00:00:00:00:03" // nobody's
)

// StartIsolated returns a running server. It takes root, ip and nsenter: without
// them the test is skipped, and fails in CI.
func StartIsolated(t testing.TB, more string) *Isolated {
	t.Helper()
	needNetworks(t)
	p := newProcess(t, "isolated", more)
	p.bind = "0.0.0.0" // nothing is there but its end of the cable
	p.attr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	p.Start()
	n := &Isolated{Process: p, near: fmt.Sprintf("nats-%d", p.cmd.Process.Pid)}
	n.plugIn()
	return n
}

func needNetworks(t testing.TB) {
	t.Helper()
	_, err := exec.LookPath("nsenter")
	if err == nil {
		cmd := exec.Command("ip", "link", "add", "type", "veth") //nolint:noctx // returns at once
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		err = run(cmd)
	}
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("a server in a network of its own: %v", err)
	default:
		t.Skipf("a server in a network of its own takes root, ip (iproute2) and nsenter: %v", err)
	}
}

func (n *Isolated) plugIn() {
	n.t.Helper()
	n.ip("link add", n.near, "address", nearMAC, "type veth peer name", farName, "address", farMAC, "netns", n.pid())
	n.t.Cleanup(func() { n.ip("link del", n.near) })
	link, err := net.InterfaceByName(n.near)
	if err != nil {
		n.t.Fatal(err)
	}
	here, there := addresses(link.Index)
	n.here, n.host = here, there.String()
	n.ip("addr add", here.String()+"/30", "dev", n.near)
	n.ip("link set", n.near, "up")
	n.ipThere("addr add", n.host+"/30", "dev", farName)
	n.ipThere("link set", farName, "up")
	n.Heal()
}

// addresses returns both ends' addresses on the link of that number, which no other has:
// a network of four out of 198.18.0.0/15, which is set aside for tests of networks.
func addresses(link int) (here, there netip.Addr) {
	const first, networks = 198<<24 | 18<<16, 1 << 15
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], first+4*uint32(link%networks)+1)
	here = netip.AddrFrom4(b)
	return here, here.Next()
}

// Cut loses all packets, both ways.
func (n *Isolated) Cut() {
	n.t.Helper()
	n.toServer(noMAC)
	n.fromServer(noMAC)
}

// CutReplies loses what the server sends: it stores, and nobody hears of it.
func (n *Isolated) CutReplies() {
	n.t.Helper()
	n.fromServer(noMAC)
}

// Heal mends the cable.
func (n *Isolated) Heal() {
	n.t.Helper()
	n.toServer(farMAC)
	n.fromServer(nearMAC)
}

func (n *Isolated) toServer(mac string) {
	n.t.Helper()
	n.ip("neigh replace", n.host, "dev", n.near, "nud permanent lladdr", mac)
}

func (n *Isolated) fromServer(mac string) {
	n.t.Helper()
	n.ipThere("neigh replace", n.here.String(), "dev", farName, "nud permanent lladdr", mac)
}

func (n *Isolated) pid() string { return fmt.Sprint(n.cmd.Process.Pid) }

// ip runs the command of that name here.
func (n *Isolated) ip(args ...string) {
	n.t.Helper()
	n.command("ip", args...)
}

// ipThere runs it in the server's network.
func (n *Isolated) ipThere(args ...string) {
	n.t.Helper()
	n.command("nsenter --net=/proc/"+n.pid()+"/ns/net ip", args...)
}

func (n *Isolated) command(name string, args ...string) {
	n.t.Helper()
	words := strings.Fields(name + " " + strings.Join(args, " "))
	if err := run(exec.Command(words[0], words[1:]...)); err != nil { //nolint:noctx,gosec // of this file; returns at once
		n.t.Fatal(err)
	}
}

func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}
