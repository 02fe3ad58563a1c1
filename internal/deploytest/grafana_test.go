package deploytest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// dashboard is one of Grafana's, as far as is looked at.
type dashboard struct {
	UID    string  `json:"uid"`
	Title  string  `json:"title"`
	Panels []panel `json:"panels"`

	Annotations struct {
		List []query `json:"list"`
	} `json:"annotations"`
	Templating struct {
		List []variable `json:"list"`
	} `json:"templating"`
}

// variable is what one chooses above a dashboard. The query of one of type "query"
// is an object.
type variable struct {
	Name       string          `json:"name"`
	Type       string          `json:"type"`
	Definition string          `json:"definition"`
	Query      json.RawMessage `json:"query"`
}

type panel struct {
	ID      int    `json:"id"`
	Type    string `json:"type"`
	Title   string `json:"title"`
	GridPos struct {
		X, Y, W, H int
	} `json:"gridPos"`
	Targets []query `json:"targets"`
}

type query struct {
	Expr       string `json:"expr"`
	Legend     string `json:"legendFormat"`
	Datasource struct {
		UID string `json:"uid"`
	} `json:"datasource"`
}

func TestDashboards(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(deploy, "grafana", "*.json"))
	if err != nil || len(files) < 2 {
		t.Fatalf("dashboards: %v, %v", files, err)
	}
	taken := map[string]string{}
	var parsed []rule
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if other := taken[d.UID]; d.UID == "" || other != "" {
			t.Errorf("%s has the uid %q, as %q has", file, d.UID, other)
		}
		taken[d.UID] = file
		checkLayout(t, file, d.Panels)
		checkVariables(t, d)
		for where, q := range queries(t, d) {
			checkQuery(t, d.Title+": "+where, q)
			plain := strings.NewReplacer("$__rate_interval", "5m", "$service", "shop").Replace(q)
			parsed = append(parsed, rule{Record: fmt.Sprintf("q%d", len(parsed)), Expr: plain})
		}
	}
	parse(t, parsed)
}

// TestReferencedQueries: what docs/metrics.md gives to copy is a query that
// Prometheus takes, of metrics that there are.
func TestReferencedQueries(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var parsed []rule
	for _, m := range regexp.MustCompile("(?s)```promql\n(.*?)```").FindAllSubmatch(text, -1) {
		checkQuery(t, "docs/metrics.md", string(m[1]))
		parsed = append(parsed, rule{Record: fmt.Sprintf("q%d", len(parsed)), Expr: string(m[1])})
	}
	if len(parsed) == 0 {
		t.Fatal("docs/metrics.md has no queries")
	}
	parse(t, parsed)
}

// queries are a dashboard's, by where they stand.
func queries(t *testing.T, d dashboard) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, a := range d.Annotations.List {
		all["annotation"] = a.Expr
	}
	for _, p := range d.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s: %s shows nothing", d.Title, p.Title)
		}
		for i, q := range p.Targets {
			all[fmt.Sprintf("%s %d", p.Title, i)] = q.Expr
			checkShown(t, d.Title+": "+p.Title, q.Expr, q.Legend)
			if q.Datasource.UID != "${datasource}" {
				t.Errorf("%s: %s asks %q, not the one that was chosen", d.Title, p.Title, q.Datasource.UID)
			}
		}
	}
	return all
}

// checkVariables complains about choices of metrics and labels that there are not.
func checkVariables(t *testing.T, d dashboard) {
	t.Helper()
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		var asked struct{ Query string }
		if err := json.Unmarshal(v.Query, &asked); err != nil || asked.Query != v.Definition {
			t.Errorf("%s: $%s asks %s, and shows %q: %v", d.Title, v.Name, v.Query, v.Definition, err)
		}
		checkQuery(t, d.Title+": $"+v.Name, asked.Query)
	}
}

// checkLayout wants every panel to have a place of its own in Grafana's grid of
// 24 columns.
func checkLayout(t *testing.T, file string, panels []panel) {
	t.Helper()
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range panels {
		if ids[p.ID] {
			t.Errorf("%s: two panels have the id %d", file, p.ID)
		}
		ids[p.ID] = true
		if p.GridPos.W < 1 || p.GridPos.H < 1 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s: %s is out of the grid: %+v", file, p.Title, p.GridPos)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := cells[[2]int{x, y}]; ok {
					t.Fatalf("%s: %s covers %s", file, p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
	}
}

// parse has promtool read queries, as recording rules.
func parse(t *testing.T, queries []rule) {
	t.Helper()
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboards", "rules": queries}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "queries.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	runPromtool(t, "check", "rules", file)
}
