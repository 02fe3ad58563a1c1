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

var metricName = regexp.MustCompile(`\bserin_[a-z0-9_]+`)

// defined are all metrics, by the names that a query may use.
func defined() map[string]series {
	all := map[string]series{}
	for _, d := range slices.Concat(coordinator.New("").Set().Definitions(), agent.New("").Set().Definitions()) {
		switch d.Kind {
		case metrics.Histogram:
			all[d.Name+"_bucket"] = series{d, "le"}
			all[d.Name+"_count"], all[d.Name+"_sum"] = series{d, ""}, series{d, ""}
		case metrics.Summary:
			all[d.Name] = series{d, "quantile"}
			all[d.Name+"_count"] = series{d, ""}
		case metrics.Counter, metrics.Gauge:
			all[d.Name] = series{d, ""}
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

// checkShown complains about labels in a text that a query's answers do not have.
func checkShown(t *testing.T, where, query, text string) {
	t.Helper()
	for _, slip := range shownSlips(query, text) {
		t.Errorf("%s: %s: %s: %s", where, text, slip, query)
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
	found = slices.Concat(found, selectedSlips(query), groupedSlips(query), listedSlips(query))
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
		`sum by (tracks) (rate(serin_agent_requests_total[5m]))`:                        false,
		`sum by (service, tracks) (serin_agent_requests_total)`:                         false,
		`sum(serin_agent_requests_total) by (track)`:                                    false,
		`max by (track) (sum by (service) (serin_agent_requests_total))`:                false,
		`max by (track) (sum(serin_agent_requests_total))`:                              false,
		`sum by (le) (serin_agent_requests_total)`:                                      false,
		`serin_raft_leader * on (tracks) serin_raft_leader_known`:                       false,
		`serin_raft_leader * on (instance) group_left (go) serin_build_info`:            true,
		`serin_raft_leader * on (instance) group_left (gone) serin_build_info`:          false,
		`label_values(serin_rollout_number, service)`:                                   true,
		`label_values(serin_rollout_number, services)`:                                  false,
		`go_goroutines`: false,
	} {
		if found := slips(query); (len(found) == 0) != good {
			t.Errorf("%s: %q", query, found)
		}
	}
}

func TestShownSlips(t *testing.T) {
	for _, c := range []struct {
		query, text string
		good        bool
	}{
		{`sum by (track) (serin_agent_requests_total)`, "{{track}}", true},
		{`sum by (track) (serin_agent_requests_total)`, "{{service}}", false},
		{`sum(serin_agent_requests_total)`, "{{service}}", false},
		{`serin_agent_requests_total`, "of {{ $labels.service }} at {{ $labels.instance }}: {{ $value }}", true},
		{`serin_agent_requests_total`, "{{ $labels.services }}", false},
		{`scalar(max(serin_raft_commit_index)) - serin_raft_applied_index`, "{{instance}}", true},
		{`serin_raft_leader * on (instance) group_left (go) serin_build_info`, "{{go}}", true},
	} {
		if found := shownSlips(c.query, c.text); (len(found) == 0) != c.good {
			t.Errorf("%s, %s: %q", c.query, c.text, found)
		}
	}
}
