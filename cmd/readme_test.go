package cmd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// updateReadme in the environment writes the tables into README instead of comparing them.
const updateReadme = "UPDATE_README"

const readmePath = "../README.md"

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(readmePath)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The tables of variables are what the programs themselves say with -h: the bridge, each
// consumer's own, and what all consumers have.
func TestReadmeTellsEveryVariable(t *testing.T) {
	dir := t.TempDir()
	run(t, "go", "build", "-o", dir, "./bridge", "./consumer")
	consumers := map[string][]setting{}
	for _, name := range []string{"sessions", "analytics", "chat", "notify"} {
		consumers[name] = settings(run(t, filepath.Join(dir, "consumer"), name, "-h"))
	}
	tables := map[string][]setting{"bridge": settings(run(t, filepath.Join(dir, "bridge"), "-h"))}
	for name, all := range consumers {
		isCommon := func(s setting) bool {
			return slices.Contains(consumers["chat"], s) && slices.Contains(consumers["notify"], s)
		}
		tables["consumer "+name] = slices.DeleteFunc(slices.Clone(all), isCommon)
		tables["consumer"] = slices.DeleteFunc(slices.Clone(all), func(s setting) bool { return !isCommon(s) })
	}
	text := readme(t)
	for name, want := range tables {
		begin := "<!-- variables: " + name + " -->\n"
		before, rest, found := strings.Cut(text, begin)
		is, after, ended := strings.Cut(rest, "<!-- end -->")
		if !found || !ended {
			t.Fatalf("README has no table %q", strings.TrimSpace(begin))
		}
		if os.Getenv(updateReadme) != "" {
			text = before + begin + table(want) + "<!-- end -->" + after
		} else if is != table(want) {
			t.Errorf("README's table of %s differs from what -h says: run %s=1 go test -run TestReadme ./cmd", name, updateReadme)
		}
	}
	if os.Getenv(updateReadme) == "" {
		return
	}
	if err := os.WriteFile(readmePath, []byte(text), 0o644); err != nil { //nolint:gosec // a document
		t.Fatal(err)
	}
}

type setting struct{ name, fallback, meaning string }

// settings reads a usage text.
func settings(usage string) (all []setting) {
	lines := regexp.MustCompile(`(?m)^  ([A-Z_]+)(?: \(default (.*)\))?\n +(.*)$`)
	for _, m := range lines.FindAllStringSubmatch(usage, -1) {
		all = append(all, setting{m[1], m[2], m[3]})
	}
	return all
}

// table makes one in Markdown.
func table(of []setting) string {
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n| --- | --- | --- |\n")
	for _, s := range of {
		if s.fallback != "" {
			s.fallback = "`" + s.fallback + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.name, s.fallback, strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(s.meaning))
	}
	return b.String()
}

// The rules of the cookbook decide as testdata/cookbook expects. Each is a document of the
// name that stands before it.
func TestCookbook(t *testing.T) {
	_, text, _ := strings.Cut(readme(t), "\n### Cookbook\n")
	text, _, _ = strings.Cut(text, "\n##")
	recipes := regexp.MustCompile("(?s)\n\\*\\*`(\\w+)`\\*\\*: (.*?)```json\n(.*?)```").FindAllStringSubmatch(text, -1)
	if n := strings.Count(text, "```json"); len(recipes) < 10 || len(recipes) != n {
		t.Fatalf("%d recipes with %d documents", len(recipes), n)
	}
	bridgectl := filepath.Join(t.TempDir(), "bridgectl")
	run(t, "go", "build", "-o", bridgectl, "./bridgectl")
	for _, recipe := range recipes {
		name, document := recipe[1], recipe[3]
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(document), 0o600); err != nil {
				t.Fatal(err)
			}
			cookbook := filepath.Join("..", "testdata", "cookbook")
			run(t, bridgectl, "rules", "lint", dir)
			run(t, bridgectl, "rules", "test", filepath.Join(cookbook, name+".yaml"), "--rules", dir, "--keys-file", filepath.Join(cookbook, "keys.json"))
		})
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}
