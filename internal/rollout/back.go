package rollout

import "time"

// rampHold is how long a return stays at each quarter of the traffic: its
// containers have just been started, and are cold.
const rampHold = 2 * time.Second

// Back returns the spec of a return to a revision that was stable before: on
// all hosts at once, in quarters of the traffic, and no gate holds it up.
func (s Spec) Back() Spec {
	s.Pace, s.Auto, s.Gates, s.Steps = FixedPace, nil, Gates{}, nil
	const quarters = 4
	for k := range quarters {
		step := Step{Hosts: HostCount{Share: Full}, Weight: Full * (k + 1) / quarters}
		if step.Weight < Full {
			step.Hold = min(rampHold, s.Deadline/(10*quarters))
		}
		s.Steps = append(s.Steps, step)
	}
	return s
}

// Private

// path returns the spec by which a submission is rolled out, and the one that
// stays with the revision if that is another.
func (c Submit) path() (spec Spec, kept *Spec) {
	if !c.Back {
		return c.Spec, nil
	}
	return c.Spec.Back(), &c.Spec
}
