package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// The users of testdata/deploy are those that setup permissions prints, behind an administrator.
func TestDeployedUsers(t *testing.T) {
	var out, errs bytes.Buffer
	if code := callTool(t.Context(), streams{out: &out, err: &errs}, func(string) string { return "" }, []string{"setup", "permissions"}); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	const users = "  users: [\n"
	want := strings.Replace(out.String(), users, users+"    { user: admin, password: $ADMIN_PASSWORD }\n", 1)
	const file = "../../testdata/deploy/nats/users.conf"
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("%s is not what setup permissions prints; put this there:\n%s", file, want)
	}
}
