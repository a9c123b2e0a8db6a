// Package deploycheck holds the files of testdata/deploy to what Kubernetes, Kustomize and Compose
// make of them, offline. It is a module of its own, so that their libraries are none of the
// programs'.
package deploycheck

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

const (
	root   = "../.."
	deploy = root + "/testdata/deploy"
)

// variable is a line of -h that begins the description of a variable.
var variable = regexp.MustCompile(`(?m)^  ([A-Z][A-Z0-9_]+)(?: \(default .*\))?$`)

// known are the variables that the programs say they know, with the _FILE forms of secrets.
var known = sync.OnceValues(func() (map[string]bool, error) {
	all := map[string]bool{}
	for _, command := range []string{"bridge -h", "consumer sessions -h", "consumer analytics -h", "consumer notify -h", "consumer chat -h"} {
		args := strings.Fields(command)
		cmd := exec.Command("go", append([]string{"run", "./cmd/" + args[0]}, args[1:]...)...)
		cmd.Dir, cmd.Stderr = root, os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, err
		}
		for _, m := range variable.FindAllStringSubmatch(string(out), -1) {
			all[m[1]] = true
		}
		for _, m := range regexp.MustCompile(`; or ([A-Z0-9_]+_FILE)`).FindAllStringSubmatch(string(out), -1) {
			all[m[1]] = true
		}
	}
	return all, nil
})

// ours are the variables that our programs read.
var ours = regexp.MustCompile(`^(NATS|BRIDGE|CONSUMER)_`)

// checkVariables holds the environment of one of our containers to what the programs know.
func checkVariables(t *testing.T, container string, names []string) {
	t.Helper()
	all, err := known()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 60 {
		t.Fatalf("the programs know only %d variables", len(all))
	}
	for _, name := range names {
		if ours.MatchString(name) && !all[name] {
			t.Errorf("%s: no program knows %s", container, name)
		}
	}
}

// read returns a file of testdata/deploy.
func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, path))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
