package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"bintubridge/bridge/bridgetest"
	"bintubridge/cmd/bridgectl/bench"
)

// The steps of a bench are one line on a terminal, which goes, and lines elsewhere.
func TestBenchTellsItsSteps(t *testing.T) {
	steps := []bench.Step{{Name: "pushing 10 rules", Then: time.Hour}, {Name: "bare", Takes: 10 * time.Minute, Then: 50 * time.Minute}}
	start := func(t *testing.T, args ...string) (*cobra.Command, *benchOutput) {
		cmd, out := &cobra.Command{}, &benchOutput{}
		out.flags(cmd.Flags())
		if err := cmd.ParseFlags(args); err != nil {
			t.Fatal(err)
		}
		return cmd, out
	}
	for _, args := range [][]string{nil, {"--quiet"}, {"-o", "json"}} {
		t.Run("terminal "+strings.Join(args, " "), func(t *testing.T) {
			s := openScreen(t)
			cmd, out := start(t, args...)
			cmd.SetErr(s.File)
			tell := out.start(cmd)
			for _, step := range steps {
				tell(step)
			}
			if args == nil {
				bridgetest.Eventually(t, "the step is shown", func() bool { return strings.Contains(s.String(), "bare; about ") })
			}
			out.shown.end()
			if text := s.all(t); args == nil && !strings.HasSuffix(text, "\r\x1b[K") || args != nil && text != "" || strings.Contains(text, "\n") {
				t.Errorf("%q", text)
			}
		})
		t.Run("file "+strings.Join(args, " "), func(t *testing.T) {
			cmd, out := start(t, args...)
			var text bytes.Buffer
			cmd.SetErr(&text)
			tell := out.start(cmd)
			for _, step := range steps {
				tell(step)
			}
			out.shown.end()
			want := ""
			if args == nil {
				want = "pushing 10 rules; about 1h0m0s behind it\nbare; about 1h0m0s left\n"
			}
			if text.String() != want {
				t.Errorf("got %q, want %q", text.String(), want)
			}
		})
	}
}

func TestTimeLeft(t *testing.T) {
	for want, s := range map[string]bench.Step{
		"one":                           {Name: "one"},
		"two; about 4s left":            {Name: "two", Takes: 10 * time.Second},
		"three; about 9s left":          {Name: "three", Takes: 10 * time.Second, Then: 5 * time.Second},
		"late; about 5s left":           {Name: "late", Takes: time.Second, Then: 5 * time.Second},
		"who knows; about 5s behind it": {Name: "who knows", Then: 5 * time.Second},
	} {
		if got := timeLeft(s, 6*time.Second); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
