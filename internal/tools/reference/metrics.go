package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	agent "github.com/serin-rollouts/serin/agent/metrics"
	coordinator "github.com/serin-rollouts/serin/coordinator/metrics"
	"github.com/serin-rollouts/serin/internal/metrics"
)

const metricsIntro = `# Metrics

<!-- Written by "make generate" from the definitions in the code. -->

Coordinator and agent serve Prometheus' text format at ` + "`/metrics`" + ` on ` + "`http.listen`" + `: ` + "`127.0.0.1:7310`" + ` and
` + "`127.0.0.1:9311`" + `, if nothing is said. To be scraped from elsewhere they need an address there; there is no login, so let
only those reach it who may know what runs.

` + "```yaml" + `
scrape_configs:
  - job_name: serin-coordinator
    static_configs: [{targets: ["10.0.0.1:7310", "10.0.0.2:7310", "10.0.0.3:7310"]}]
  - job_name: serin-agent
    static_configs: [{targets: ["web-01:9311", "web-02:9311"]}]
` + "```" + `

[rules.yaml](../deploy/prometheus/rules.yaml) has alerts for these two jobs, [grafana](../deploy/grafana) has dashboards.

Every replica tells where rollouts stand, so a query takes the greatest of them: ` + "`max by (service) (serin_rollout_step)`" + `.
What only the leader knows is told by the leader alone. ` + "`track`" + ` is ` + "`stable`" + `, ` + "`canary`" + `, or ` + "`other`" + ` for a version that is
neither any more. Times are in seconds, shares from 0 to 1. Beside these there are the usual ` + "`go_*`" + ` and ` + "`process_*`" + ` of
both processes.

Which revision a track is, and its version, stands in ` + "`serin_rollout_revision_info`" + `. Requests by version, for example, while
replicas may not have heard of the last decision yet:

` + "```promql" + `
sum by (service, track) (rate(serin_agent_requests_total[5m]))
  * on (service, track) group_left (version) topk by (service, track) (1, max by (service, track, version) (serin_rollout_revision_info))
` + "```" + `
`

// Private

// metricsPage lists what both daemons tell, and then what each tells alone.
func metricsPage() ([]byte, error) {
	c, a := coordinator.New("").Set().Definitions(), agent.New("").Set().Definitions()
	both := map[string]bool{}
	for _, d := range c {
		both[d.Name] = slices.ContainsFunc(a, func(other metrics.Definition) bool { return other.Name == d.Name })
	}
	shared := func(d metrics.Definition) bool { return both[d.Name] }
	out := bytes.NewBufferString(metricsIntro)
	section(out, "Coordinator", slices.DeleteFunc(slices.Clone(c), shared))
	section(out, "Agent", slices.DeleteFunc(slices.Clone(a), shared))
	section(out, "Both", slices.DeleteFunc(slices.Clone(c), func(d metrics.Definition) bool { return !shared(d) }))
	return out.Bytes(), nil
}

func section(out *bytes.Buffer, title string, definitions []metrics.Definition) {
	fmt.Fprintf(out, "\n## %s\n\n| metric | kind | labels | |\n|---|---|---|---|\n", title)
	for _, d := range definitions {
		var labels []string
		for _, l := range d.Labels {
			labels = append(labels, "`"+l+"`")
		}
		fmt.Fprintf(out, "| `%s` | %s | %s | %s |\n", d.Name, d.Kind, strings.Join(labels, ", "), strings.ReplaceAll(d.Help, "|", `\|`))
	}
}
