package main

import (
	"bytes"
	"context"
	"testing"
)

// Who ends a bench is told that, and not what broke by it.
func TestBenchInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{{"bench"}, {"bench", "soak"}, {"bench", "memory"}} {
		var out, err bytes.Buffer
		code := callTool(ctx, streams{out: &out, err: &err}, func(string) string { return "" }, append(args, "--quiet"))
		if code != exitProblem || out.Len() > 0 || err.String() != "bridgectl: interrupted, there is no result\n" {
			t.Errorf("%v: %d, %s%s", args, code, out.String(), err.String())
		}
	}
}
