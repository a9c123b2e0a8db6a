package cmd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each line of the threat model names tests that hold it, and they are there.
func TestSecurityNamesTests(t *testing.T) {
	_, text, _ := strings.Cut(readme(t), "\n## Security\n")
	text, _, _ = strings.Cut(text, "\n## ")
	named := regexp.MustCompile("`([a-z][a-z/]*)\\.((?:Test|Fuzz)\\w+)`")
	threats := 0
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| threat ") || strings.HasPrefix(line, "| --- ") {
			continue
		}
		threats++
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) != 4 {
			t.Errorf("%d cells, want threat, attacker, defence and tests: %s", len(cells), line)
			continue
		}
		names := named.FindAllStringSubmatch(cells[3], -1)
		if len(names) == 0 || len(names) != strings.Count(cells[3], "`")/2 {
			t.Errorf("%s: tests are not all written `package.Test`: %s", cells[0], cells[3])
		}
		for _, name := range names {
			if !hasTest(t, name[1], name[2]) {
				t.Errorf("%s: package %s has no %s", cells[0], name[1], name[2])
			}
		}
	}
	if threats < 15 {
		t.Errorf("%d threats: where is the table?", threats)
	}
}

// hasTest reports whether a package, by its path in the repository, has a test.
func hasTest(t *testing.T, pkg, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(pkg), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}
