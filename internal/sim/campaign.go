package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrBroken means that a promise was broken.
var ErrBroken = errors.New("a promise was broken")

// Plan says how many fleets to simulate: Seeds of them, or as many as it takes
// for Steps; 100 seeds if neither is given.
type Plan struct {
	First  uint64
	Seeds  int
	Steps  int
	Shrink bool // shorten the story of a broken promise
	JSON   bool // say in one line what was found, and no story
}

// Finding is what a campaign found, as it is printed for programs.
type Finding struct {
	Invariant string `json:"invariant"` // that was broken; "": none
	Text      string `json:"text"`
	Seed      uint64 `json:"seed"`
	Seeds     int    `json:"seeds"` // simulated
	Steps     int    `json:"steps"`
}

// Campaign simulates one fleet after the other, until the plan is done or a
// promise is broken. Then it tells the story, and returns ErrBroken.
func Campaign(ctx context.Context, out io.Writer, p Plan) error {
	if p.Seeds == 0 && p.Steps == 0 {
		p.Seeds = 100
	}
	began, sum, steps := time.Now(), Tally{}, 0
	var simulated time.Duration
	seed := p.First
	for n := 0; (p.Seeds > 0 && n < p.Seeds || p.Steps > 0 && steps < p.Steps) && ctx.Err() == nil; n++ {
		got := Run(Options{Seed: seed})
		steps += got.Steps
		simulated += got.Simulated
		sum.add(got.Tally)
		switch {
		case got.Violation != nil && p.JSON:
			return errors.Join(sayJSON(out, Finding{got.Violation.Invariant, got.Violation.Text, seed, n + 1, steps}), broken(got))
		case got.Violation != nil:
			return blame(out, got, p.Shrink)
		}
		seed++
	}
	if p.JSON {
		return errors.Join(sayJSON(out, Finding{Seeds: int(seed - p.First), Steps: steps}), ctx.Err())
	}
	took := time.Since(began)
	_, err := fmt.Fprintf(out, "%d steps in %s (%.0f a second), seeds %d to %d, %s of the fleets' time\n%d triggers, %d rollouts: %d succeeded, %d rolled back, %d aborted; %d entries, %d containers died\n%d hosts were lost, %d rollouts parked; %d deaths of canaries had to be counted, %d weights to be those of a warm-up\nno promise was broken\n",
		steps, took.Round(time.Millisecond), float64(steps)/took.Seconds(), p.First, seed-1, simulated.Round(time.Second),
		sum.Triggers, sum.Rollouts, sum.Succeeded, sum.RolledBack, sum.Aborted, sum.Entries, sum.Deaths,
		sum.Lost, sum.Parked, sum.CanaryDeaths, sum.WarmUps)
	return errors.Join(err, ctx.Err())
}

// Tell simulates one fleet and tells its story; a broken promise's is shortened
// if asked for.
func Tell(out io.Writer, seed uint64, shorten bool) error {
	got := Run(Options{Seed: seed, Tell: true})
	if got.Violation != nil {
		return blame(out, got, shorten)
	}
	for _, line := range got.Story {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "seed %d: %d steps, %d faults, %+v; no promise was broken\n", seed, got.Steps, len(got.Faults), got.Tally)
	return err
}

// Private

func (t *Tally) add(o Tally) {
	t.Triggers += o.Triggers
	t.Rollouts += o.Rollouts
	t.Succeeded += o.Succeeded
	t.RolledBack += o.RolledBack
	t.Aborted += o.Aborted
	t.Entries += o.Entries
	t.Refused += o.Refused
	t.Raises += o.Raises
	t.Deaths += o.Deaths
	t.Lost += o.Lost
	t.Parked += o.Parked
	t.CanaryDeaths += o.CanaryDeaths
	t.WarmUps += o.WarmUps
	t.Frozen += o.Frozen
}

// blame tells the story of a broken promise.
func blame(out io.Writer, got Outcome, shorten bool) error {
	short := got
	if shorten {
		short = Shrink(got)
	}
	for _, line := range short.Story {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "seed %d: %v\n%d faults, shortened to %d; again: go run ./chaos/sim -seed %d\n",
		got.Seed, short.Violation, len(got.Faults), len(short.Faults), got.Seed)
	return errors.Join(err, broken(got))
}

func broken(got Outcome) error {
	return fmt.Errorf("%w: seed %d: %w", ErrBroken, got.Seed, got.Violation)
}

func sayJSON(out io.Writer, f Finding) error { return json.NewEncoder(out).Encode(f) }
