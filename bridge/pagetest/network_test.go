package pagetest_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// ownNetwork in the environment says that the process has a network of its own.
const ownNetwork = "PAGETEST_OWN_NETWORK"

// inOwnNetwork runs the tests again in a network that nothing else changes, and returns
// how they ended: chromium gives up what it is loading when an interface comes or goes on
// the machine, as in the tests of other packages, and a page that lacks a script stays
// empty. It does nothing in that network, nor where it cannot make one, which takes root.
func inOwnNetwork() (code int, ran bool) {
	self, err := os.Executable()
	if err != nil || os.Getenv(ownNetwork) != "" || exec.Command("unshare", "--net", "ip", "link", "set", "lo", "up").Run() != nil {
		return 0, false
	}
	inside := []string{"--net", "--kill-child", "sh", "-c", `ip link set lo up && exec "$0" "$@"`, self}
	cmd := exec.Command("unshare", append(inside, os.Args[1:]...)...) //nolint:noctx,gosec // the tests' own deadline ends it
	cmd.Env = append(os.Environ(), ownNetwork+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, "the tests in a network of their own:", err)
		return 1, true
	}
	return cmd.ProcessState.ExitCode(), true
}
