// Package deploytest tests what deploy/ gives to other programs: alerts and
// dashboards against the metrics that there are, pipelines against a fleet.
package deploytest

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	agent "github.com/serin-rollouts/serin/agent/metrics"
	coordinator "github.com/serin-rollouts/serin/coordinator/metrics"
	"github.com/serin-rollouts/serin/internal/metrics"
)

const deploy = "../../deploy"

var (
	metricName = regexp.MustCompile(`\bserin_[a-z0-9_]+`)
	// selected is a metric with the labels that it is selected by.
	selected = regexp.MustCompile(`\b(serin_[a-z0-9_]+)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
)

// defined are all metrics, by the names that a query may use.
func defined() map[string]metrics.Definition {
	all := map[string]metrics.Definition{}
	for _, d := range slices.Concat(coordinator.New("").Set().Definitions(), agent.New("").Set().Definitions()) {
		switch d.Kind {
		case metrics.Histogram:
			all[d.Name+"_bucket"] = d
			all[d.Name+"_count"], all[d.Name+"_sum"] = d, d
		case metrics.Summary:
			all[d.Name] = d
			all[d.Name+"_count"] = d
		case metrics.Counter, metrics.Gauge:
			all[d.Name] = d
		}
	}
	return all
}

// checkQuery complains about metrics and labels that there are not.
func checkQuery(t *testing.T, where, query string) {
	t.Helper()
	for _, slip := range slips(query) {
		t.Errorf("%s: %s: %s", where, slip, query)
	}
}

// slips is what is wrong with a query.
func slips(query string) (found []string) {
	known := defined()
	for _, name := range metricName.FindAllString(query, -1) {
		if _, ok := known[name]; !ok {
			found = append(found, "no metric is called "+name)
		}
	}
	for _, m := range selected.FindAllStringSubmatch(query, -1) {
		for _, label := range matcher.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(append([]string{"instance", "job", "le", "quantile"}, known[m[1]].Labels...), label[1]) {
				found = append(found, m[1]+" has no label "+label[1])
			}
		}
	}
	if !strings.Contains(query, "serin_") && !strings.Contains(query, "up{") {
		found = append(found, "asks for nothing of serin's")
	}
	return found
}

// The net is tight: a query with a slip in it is not taken.
func TestSlips(t *testing.T) {
	for query, good := range map[string]bool{
		`sum by (service) (rate(serin_agent_requests_total{track="canary"}[5m]))`: true,
		`up{job="serin-agent"} == 0`: true,
		`histogram_quantile(0.9, rate(serin_raft_propose_duration_seconds_bucket[5m]))`: true,
		`sum(serin_agent_request_total)`:                                                false,
		`serin_raft_propose_duration_seconds`:                                           false,
		`sum(serin_agent_requests_total{tracks="all"})`:                                 false,
		`go_goroutines`: false,
	} {
		if found := slips(query); (len(found) == 0) != good {
			t.Errorf("%s: %q", query, found)
		}
	}
}
