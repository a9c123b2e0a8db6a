package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects/provision"
)

// The commands of the nats tool are one for each stream and bucket; what those of the
// streams say makes what setup makes.
func TestSetupCommands(t *testing.T) {
	srv := bridgetest.StartNATS(t)
	check := provision.Options{Mode: provision.Check}
	before, err := provision.Ensure(t.Context(), srv.JetStream(), check)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := callTool(t.Context(), streams{out: &out, err: io.Discard}, func(string) string { return "" }, []string{"setup", "commands"}); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != len(before.Missing) {
		t.Fatalf("%d commands for %d objects", len(lines), len(before.Missing))
	}
	made := 0
	for i, object := range before.Missing {
		if name, isBucket := strings.CutPrefix(object, "KV bucket "); isBucket {
			if !strings.HasPrefix(lines[i], "nats kv add "+name+" --") {
				t.Errorf("%s: %s", object, lines[i])
			}
			continue
		}
		text, name, _ := strings.Cut(strings.TrimPrefix(lines[i], "echo '"), "' | nats stream add ")
		var config jetstream.StreamConfig
		if err := json.Unmarshal([]byte(text), &config); err != nil || "stream "+strings.TrimSuffix(name, " --config=/dev/stdin") != object {
			t.Fatalf("%s: %v in %s", object, err, lines[i])
		}
		if _, err := srv.JetStream().CreateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		made++
	}
	after, err := provision.Ensure(t.Context(), srv.JetStream(), check)
	if err != nil || len(after.Drift) > 0 || len(after.Missing) != len(before.Missing)-made || made == 0 {
		t.Errorf("made %d, missing %v, differing %v, %v", made, after.Missing, after.Drift, err)
	}
}
