package fleettest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

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

// A rollout costs the same Raft entries, however many hosts it has.
func TestEntriesDoNotGrowWithHosts(t *testing.T) {
	entries := map[int]int{}
	many, _ := large(t)
	for _, hosts := range []int{3, many} {
		fleettest.Run(t, fleettest.Options{Hosts: hosts}, func(f *fleettest.Fleet) {
			f.Install("1", "")
			f.Push("2", fleettest.App{})
			before := f.Entries()
			f.Until(f.Start(api.Trigger{ID: "2", Spec: fleettest.Spec("2", held(5*time.Second, `"errors":"off"`))}), rollout.Succeeded)
			entries[hosts] = f.Entries() - before
		})
	}
	// Submitted, four steps, promoted, ended.
	if entries[3] != 7 || entries[many] != 7 {
		t.Errorf("entries of a rollout by hosts: %v, want 7", entries)
	}
}
