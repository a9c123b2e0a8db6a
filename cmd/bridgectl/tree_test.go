package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Each command is in a script, and has a form for scripts to read.
func TestEachCommand(t *testing.T) {
	paths, err := filepath.Glob("../../testdata/cli/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var scripts strings.Builder
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		scripts.Write(text)
	}
	// For people, for a shell, or JSON anyway.
	own := []string{
		"bridgectl rules edit", "bridgectl webhook show-curl", "bridgectl asyncapi",
		"bridgectl completion bash", "bridgectl completion zsh", "bridgectl completion fish",
	}
	commands := 0
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if cmd.Hidden || cmd.HasSubCommands() && cmd.Name() != "setup" {
			return
		}
		commands++
		if path := cmd.CommandPath(); !strings.Contains(scripts.String(), "exec "+path) {
			t.Errorf("%s is in no script", path)
		} else if output := cmd.Flag("output"); !slices.Contains(own, path) && (output == nil || !strings.Contains(output.Value.Type(), "json")) {
			t.Errorf("%s has no --output json", path)
		}
	}
	walk(newRoot(patient(func(string) string { return "" })))
	if commands < 30 {
		t.Errorf("%d commands were looked at", commands)
	}
}
