package control

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/specfile"
)

// TestPlannedGates states what each gate allows, and how alpha is split: what acts and compares has
// a part of it, and the parts together are no more than the whole.
func TestPlannedGates(t *testing.T) {
	spec, err := specfile.Parse([]byte(`
service: web
image: web:1
container: {port: 80}
gates:
  errors: {max_increase: 1%}
  latency: [{quantile: p99.9, route: /api/}, {distribution: true, max_increase: 10%, observe: true}]
  saturation: on
  metrics:
    - {name: orders, bad: orders_failed_total, total: orders_total}
    - {name: queue, read: {queue: queue_depth}, when: canary.queue < 10, required: false}
  prometheus: {name: lag, address: "http://10.0.0.5:9090", queries: {lag: sum(lag)}, when: canary.lag < 100}
  checks: [{name: login, path: /login}, {name: shop, url: "https://shop.example.com", when: status == 200}]
  feedback: {kinds: [complaint, refund]}
`))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	sum := 0
	for _, g := range plannedGates(spec.Gates) {
		sum += g.Alpha
		if g.OneHost != analysis.Apart(g.Alpha) {
			t.Errorf("%s has %d of its %d for naming a host", g.Name, g.OneHost, g.Alpha)
		}
		lines = append(lines, fmt.Sprintf("%s %v %v %d | %s | %s", g.Name, g.Observe, g.Optional, g.Alpha, g.Allowed, g.Needs))
	}
	const want = `errors false false 4500 | +1.00 points of 5xx | canary requests as above
latency-p99-9-api false false 900 | p99.9 of /api/ +20% | 100 canary requests or more, compared, after 10000 of stable and not of a container's first 30s
latency-distribution true false 0 | every quantile +10% | 100 canary requests or more, compared, after 1000 of stable and not of a container's first 30s
saturation false false 900 | memory +50%, throttling +10.00 points, 0 restarts | Docker's statistics
orders false false 900 | +0.50 points of orders_total: orders_failed_total | 100 of canary or more, compared
queue false true 0 | canary.queue < 10 | every 10s: /metrics; fails when false 3 times running
lag false false 0 | canary.lag < 100 | every 10s: http://10.0.0.5:9090; fails when false 3 times running
login false false 900 | +10.00 points of bad answers | 20 answers of canary or more, compared
shop false false 0 | status == 200 | every 10s: https://shop.example.com; fails when false 3 times running
feedback false false 900 | +0.50 points of requests: complaint, refund | 100 canary requests or more, compared`
	if diff := cmp.Diff(want, strings.Join(lines, "\n")); diff != "" {
		t.Error(diff)
	}
	if sum > spec.Gates.Alpha {
		t.Errorf("the gates may use %d of alpha %d", sum, spec.Gates.Alpha)
	}
}
