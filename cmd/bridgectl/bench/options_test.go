//go:build linux

package bench

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"sound", func(*Options) {}, ""},
		{"no rules", func(o *Options) { o.Rules = 0 }, "--rules is 0"},
		{"no time", func(o *Options) { o.Duration = 0 }, "--duration is 0s"},
		{"pushes", func(o *Options) { o.Push = -1 }, "--push"},
		{"body", func(o *Options) { o.Body = -1 }, "--body is -1"},
		{"no variable", func(o *Options) { o.Env = []string{"BRIDGE_SPOOL_SYNC"} }, "want NAME=value"},
		{"a variable of the bench", func(o *Options) { o.Env = []string{"BRIDGE_SPOOL_SYNC=off", "NATS_URL=nats://a"} }, "sets NATS_URL itself"},
		{"more than files", func(o *Options) { o.Conns = math.MaxInt32 }, "ulimit -Hn"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := short(t)
			test.change(&o)
			err := o.check()
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// More connections than the bridge takes from one address by default are all taken, and its
// limits are those of its variables.
func TestRunManyConnections(t *testing.T) {
	o := short(t)
	o.Conns, o.Rounds, o.HTTP10 = 1100, 1, false
	if _, err := Run(t.Context(), o); err != nil {
		t.Error(err)
	}
	for _, env := range [][]string{
		{"BRIDGE_MAX_CONNS_PER_ADDR=10"},
		{"BRIDGE_MAX_CONNS=10", "BRIDGE_MAX_CONNS_PER_ADDR=10", "BRIDGE_ALLOW_FROM=127.0.0.1"}, // not counted by address
	} {
		o.Conns, o.Env = 20, env
		// What was written to a connection that is turned away may reset it.
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "load, after") {
			t.Errorf("20 connections where 10 may be: %v", err)
		}
	}
}

// The program that --bridge names is the one that is measured.
func TestRunAnotherBridge(t *testing.T) {
	o := short(t)
	o.Rounds, o.HTTP10, o.Rules = 1, false, 100
	o.Bridge = filepath.Join(t.TempDir(), "bridge")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", o.Bridge, "bintubridge/cmd/bridge").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Summary) != 4 || r.Summary[1].Events != o.Events {
		t.Errorf("%+v", r.Summary)
	}
	// The bridge in this program would have gone on.
	if err := os.WriteFile(o.Bridge, []byte("#!/bin/sh\necho not a bridge >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	o.Duration = time.Second
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "not a bridge") {
		t.Errorf("got %v", err)
	}
}
