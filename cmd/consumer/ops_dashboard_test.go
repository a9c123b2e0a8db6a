package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const dashboardFile = "../../testdata/ops/dashboard.json"

type panel struct {
	ID      int
	Type    string
	Title   string
	GridPos struct{ H, W, X, Y int }
	Targets []struct{ RefID, Expr string }
}

type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Panels        []panel
	Templating    struct {
		List []struct{ Name, Type, Query any }
	}
	Annotations struct{ List []struct{ Name, Expr string } }
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// dashboardExpressions returns each query of the dashboard by the place where it is.
func dashboardExpressions(t *testing.T) map[string]string {
	t.Helper()
	expressions := map[string]string{}
	d := readDashboard(t)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			expressions[fmt.Sprintf("panel %d %s, %s", p.ID, p.Title, target.RefID)] = target.Expr
		}
	}
	for _, a := range d.Annotations.List {
		expressions["annotation "+a.Name] = a.Expr
	}
	return expressions
}

// The dashboard is one that Grafana takes: its panels are told apart, and none covers another.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 36 || len(d.Panels) == 0 {
		t.Errorf("uid %q, title %q, schemaVersion %d, %d panels", d.UID, d.Title, d.SchemaVersion, len(d.Panels))
	}
	if v := d.Templating.List[0]; v.Name != "datasource" || v.Type != "datasource" || v.Query != "prometheus" {
		t.Errorf("no variable for the data source: %v", v)
	}
	ids, cells := map[int]string{}, map[[2]int]string{}
	for _, p := range d.Panels {
		name := fmt.Sprintf("panel %d %s", p.ID, p.Title)
		if other, twice := ids[p.ID]; twice || p.ID <= 0 || p.Title == "" {
			t.Errorf("%s: its id is that of %s, or none; or it has no title", name, other)
		}
		ids[p.ID] = name
		if (p.Type == "row") != (len(p.Targets) == 0) {
			t.Errorf("%s of type %s has %d targets", name, p.Type, len(p.Targets))
		}
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X < 0 || g.Y < 0 || g.X+g.W > 24 {
			t.Errorf("%s: position %+v", name, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" {
					t.Fatalf("%s covers %s", name, other)
				}
				cells[[2]int{x, y}] = name
			}
		}
	}
}

// Prometheus understands what the dashboard asks, with Grafana's variables filled in.
func TestDashboardExpressionsParse(t *testing.T) {
	type rule struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var rules []rule
	fill := strings.NewReplacer("$__rate_interval", "5m", "$__range", "6h", "$bridge", ".*")
	for _, expr := range dashboardExpressions(t) {
		if expr = fill.Replace(expr); strings.Contains(expr, "$") {
			t.Errorf("%s: a variable that is not known", expr)
		}
		rules = append(rules, rule{fmt.Sprintf("dashboard:%d", len(rules)), expr})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", file)
}
