package deploytest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/serin-rollouts/serin/internal/needtest"
)

// rules is a file of Prometheus' rules, as far as is looked at.
type rules struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	} `yaml:"groups"`
}

type rule struct {
	Alert       string            `yaml:"alert,omitempty"`
	Record      string            `yaml:"record,omitempty"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// ruleTests is a file for `promtool test rules`.
type ruleTests struct {
	Tests []struct {
		Checks []struct {
			Alert    string `yaml:"alertname"`
			Expected []any  `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	} `yaml:"tests"`
}

// promtool is the path of the program; without it a test is skipped, or fails in
// CI.
func promtool(t *testing.T) string {
	t.Helper()
	script := exec.CommandContext(t.Context(), filepath.Join("..", "tools", "debian.sh"), "promtool")
	script.Stderr = t.Output()
	program, err := script.Output()
	needtest.Need(t, "promtool", err)
	return strings.TrimSpace(string(program))
}

func runPromtool(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), promtool(t), args...).CombinedOutput()
	if err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestRules(t *testing.T) {
	file := filepath.Join(deploy, "prometheus", "rules.yaml")
	runPromtool(t, "check", "rules", file)
	runPromtool(t, "test", "rules", filepath.Join(deploy, "prometheus", "rules_test.yaml"))
	fires, quiet := tested(t)
	var all rules
	load(t, file, &all)
	for _, g := range all.Groups {
		for _, r := range g.Rules {
			checkQuery(t, r.Alert, r.Expr)
			checkShown(t, r.Alert, r.Expr, r.Annotations["summary"]+r.Annotations["description"])
			if fires[r.Alert] == 0 || quiet[r.Alert] == 0 {
				t.Errorf("%s: rules_test.yaml has %d tests in which it fires, %d in which it does not", r.Alert, fires[r.Alert], quiet[r.Alert])
			}
			switch r.Labels["severity"] {
			case "critical", "warning", "info":
			default:
				t.Errorf("%s: severity is %q", r.Alert, r.Labels["severity"])
			}
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s does not say what is wrong, or what to do", r.Alert)
			}
		}
	}
}

// tested counts in how many tests an alert is expected, and in how many not.
func tested(t *testing.T) (fires, quiet map[string]int) {
	t.Helper()
	var tests ruleTests
	load(t, filepath.Join(deploy, "prometheus", "rules_test.yaml"), &tests)
	fires, quiet = map[string]int{}, map[string]int{}
	for _, test := range tests.Tests {
		for _, c := range test.Checks {
			if len(c.Expected) > 0 {
				fires[c.Alert]++
			} else {
				quiet[c.Alert]++
			}
		}
	}
	return fires, quiet
}

func load(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
