package fleettest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/coordinator/replica"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/fleettest"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// watched is a gate that is easy to pass.
const watched = `"errors":{"max_increase":"1%"}`

// held is a rollout of four steps that holds each.
func held(each time.Duration, gates string) string {
	var steps []string
	for _, step := range []string{`"hosts":1,"weight":"10%"`, `"hosts":"25%","weight":"20%"`, `"hosts":"100%","weight":"50%"`, `"hosts":"100%","weight":"100%"`} {
		steps = append(steps, fmt.Sprintf(`{%s,"hold":%q}`, step, each))
	}
	return `,"deadline":"6h","gates":{` + gates + `},"steps":[` + strings.Join(steps, ",") + `]`
}

// large says how much of a large fleet's life fits into a run of the tests.
func large(t *testing.T) (hosts int, hold time.Duration) {
	t.Helper()
	switch {
	case testing.Short():
		return 10, 30 * time.Second
	case racing:
		return 20, 10 * time.Second
	}
	return 50, 15 * time.Minute
}

func TestLongRolloutOfALargeFleet(t *testing.T) {
	hosts, hold := large(t)
	fleettest.Run(t, fleettest.Options{Hosts: hosts}, func(f *fleettest.Fleet) {
		f.Install("1", "")
		f.Push("2", fleettest.App{Errors: 2})
		began := time.Now()
		f.Until(f.Start(api.Trigger{ID: "2", Spec: fleettest.Spec("2", held(hold, watched))}), rollout.Succeeded)
		if took := time.Since(began); took < 4*hold {
			t.Errorf("four holds of %s took %s", hold, took)
		}
		t.Logf("%d hosts, holds of %s: %+v", hosts, 4*hold, f.Traffic())
	})
}

// thorough is a rollout with one of each kind of gate that needs nothing but the
// fleet.
const thorough = `,"steps":[{"hosts":1,"weight":"50%"},{"weight":"50%"},{"weight":"100%"}],"gates":{"errors":{"max_increase":"1%"},"saturation":"on",
	"latency":[{"quantile":"p50","max_increase":"20%"},{"quantile":"p90","max_increase":"20%"},{"distribution":true,"max_increase":"50%"}],
	"metrics":[{"name":"pay","bad":"payments_failed_total","max_increase":"5%","required":false},
		{"name":"queue","read":{"queue":"queue_length"},"when":"canary.queue <= stable.queue"}],
	"checks":[{"name":"ping","path":"/ping","max_increase":"20%"}]}`

// A rollout costs the same Raft entries, however many hosts and gates it has,
// and what its gates come to has a bounded size.
func TestEntriesDoNotGrowWithHosts(t *testing.T) {
	most, _ := large(t)
	if racing {
		most = 8
	}
	page := "queue_length 3\npayments_failed_total 0\n"
	sizes := map[int]int{}
	for _, hosts := range []int{3, most} {
		fleettest.Run(t, fleettest.Options{Hosts: hosts, Logs: true}, func(f *fleettest.Fleet) {
			f.Push("1", fleettest.App{Metrics: page})
			f.Until(f.Start(api.Trigger{ID: "1", Spec: fleettest.Spec("1", "")}), rollout.Succeeded)
			f.Push("2", fleettest.App{Metrics: page})
			before, _ := f.Entries()
			f.Until(f.Start(api.Trigger{ID: "2", Spec: fleettest.Spec("2", thorough)}), rollout.Succeeded)
			after, largest := f.Entries()
			// Submitted, three steps, promoted, ended.
			if after-before != 6 {
				t.Errorf("%d entries of a rollout on %d hosts, want 6", after-before, hosts)
			}
			sizes[hosts] = largest
		})
	}
	t.Logf("largest entry by hosts: %v bytes", sizes)
	if sizes[most] > replica.MaxEntry/10 || sizes[most] > 2*sizes[3] {
		t.Errorf("largest entry by hosts: %v bytes", sizes)
	}
}
