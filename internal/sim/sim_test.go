package sim

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestSimulatedFleetsKeepTheirPromises simulates fleets until enough steps are
// done. The million is `go run ./chaos/sim -steps 1000000`.
func TestSimulatedFleetsKeepTheirPromises(t *testing.T) {
	var sum Tally
	seed, steps := uint64(1_000_000), 0
	for ; steps < testSteps; seed++ {
		out := Run(Options{Seed: seed})
		if out.Violation != nil {
			t.Fatalf("seed %d: %v\n%s", seed, out.Violation, strings.Join(Shrink(out).Story, "\n"))
		}
		steps += out.Steps
		sum.add(out.Tally)
	}
	t.Logf("%d steps, %d seeds, %+v", steps, seed-1_000_000, sum)
	for what, n := range map[string]int{
		"rollouts succeeded": sum.Succeeded, "rolled back": sum.RolledBack, "aborted": sum.Aborted,
		"commands refused": sum.Refused, "raises": sum.Raises, "deaths": sum.Deaths,
		"lost hosts": sum.Lost, "parked rollouts": sum.Parked, "weights for warming up": sum.WarmUps, "triggers that a freeze refused": sum.Frozen,
	} {
		if n == 0 {
			t.Errorf("in %d steps there were no %s: this proves nothing", steps, what)
		}
	}
}

// TestSimSameSeedSameStory: a seed reruns exactly, and so does one that is told
// which faults may happen.
func TestSimSameSeedSameStory(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		first := Run(Options{Seed: seed, Tell: true})
		all := keepIf(first.Faults, func(int, Fault) bool { return true })
		for name, again := range map[string]Outcome{"again": Run(Options{Seed: seed, Tell: true}), "with its own faults": Run(Options{Seed: seed, Tell: true, Only: all})} {
			if !slices.Equal(first.Story, again.Story) || first.Steps != again.Steps || first.Digest != again.Digest {
				t.Errorf("seed %d %s: %d steps and %d lines, then %d and %d", seed, name, first.Steps, len(first.Story), again.Steps, len(again.Story))
			}
		}
	}
}

// TestSimWallClocksDecideNothing is I16: with all wall clocks displaced by weeks
// the same is decided at the same time.
func TestSimWallClocksDecideNothing(t *testing.T) {
	const weeks = 3 * 7 * 24 * 3_600_000
	for seed := uint64(1); seed <= 5; seed++ {
		if a, b := Run(Options{Seed: seed}), Run(Options{Seed: seed, Walls: weeks}); a.Digest != b.Digest || a.Steps != b.Steps {
			t.Errorf("I16: seed %d decides otherwise when wall clocks are displaced", seed)
		}
	}
}

// TestSimShrinks: what a promise was not broken by is left out of the story.
func TestSimShrinks(t *testing.T) {
	trap := func(w *world) {
		met := map[Kind]bool{}
		for _, f := range w.faults {
			met[f.Kind] = true
		}
		if met[AgentDies] && met[MessageLost] && met[DockerHalf] {
			w.violate("trap", "three things came together")
		}
	}
	for seed := uint64(1); ; seed++ {
		out := Run(Options{Seed: seed, Steps: 1_500, trap: trap})
		if out.Violation == nil || len(out.Faults) < 30 {
			continue
		}
		short := Shrink(out)
		if len(short.Faults) < 3 || len(short.Faults) > 12 || short.Violation == nil || len(short.Story) == 0 {
			t.Errorf("seed %d: %d faults shrank to %d: %v", seed, len(out.Faults), len(short.Faults), short.Violation)
		}
		return
	}
}

func TestSimCampaign(t *testing.T) {
	var out bytes.Buffer
	if err := Campaign(t.Context(), &out, Plan{First: 1, Seeds: 2}); err != nil || !strings.Contains(out.String(), "no promise was broken") {
		t.Errorf("%v: %s", err, out.String())
	}
	out.Reset()
	if err := Campaign(t.Context(), &out, Plan{First: 1, Seeds: 1, JSON: true}); err != nil || !strings.HasPrefix(out.String(), `{"invariant":"","text":"","seed":0,"seeds":1,`) {
		t.Errorf("%v: %s", err, out.String())
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Campaign(ended, &out, Plan{First: 1, Seeds: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("after its end it says %v", err)
	}
	out.Reset()
	if err := Tell(&out, 1, true); err != nil || !strings.Contains(out.String(), "event 1 submitted svc1-1") {
		t.Errorf("%v: %s", err, out.String())
	}
}
