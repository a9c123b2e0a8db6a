package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	alertsFile = "../../testdata/ops/alerts.yml"
	alertTests = "../../testdata/ops/alerts_test.yml"
	readme     = "../../README.md"
)

type alert struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	text, err := os.ReadFile(alertsFile)
	if err == nil {
		err = yaml.Unmarshal(text, &file)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("no alerts")
	}
	return all
}

// Each alert says all that an operator needs at night, has a test, and a place in README.
func TestAlertsAreComplete(t *testing.T) {
	guide, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile(alertTests)
	if err != nil {
		t.Fatal(err)
	}
	var headings []string
	for _, m := range regexp.MustCompile(`(?m)^### Alert (.*)$`).FindAllStringSubmatch(string(guide), -1) {
		headings = append(headings, m[1])
	}
	var names []string
	for _, a := range alerts(t) {
		names = append(names, a.Alert)
		if a.For == "" || a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
			t.Errorf("%s lacks for, summary or description", a.Alert)
		}
		if s := a.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", a.Alert, s)
		}
		if want := "README.md#alert-" + strings.ToLower(a.Alert); a.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url %q, want %q", a.Alert, a.Annotations["runbook_url"], want)
		}
		if !strings.Contains(string(tests), `ALERTS{alertname="`+a.Alert+`",alertstate="firing",`) {
			t.Errorf("no test in %s has %s fire", alertTests, a.Alert)
		}
	}
	if !slices.Equal(headings, names) {
		t.Errorf("README explains %q, there are %q", headings, names)
	}
}
