package rollout

import (
	"fmt"
	"slices"
	"time"
)

// Lose goes on without hosts that are silent. They may be down, or be cut off:
// when they are back they follow whatever is stable then.
type Lose struct {
	Target
	Hosts []string `json:"hosts"`
	Why   Why      `json:"why"`
}

// Private

func (s Spec) withLostDefaults() Spec {
	s.LostAfter = orElse(s.LostAfter, DefaultLostAfter)
	if s.MaxLost == nil {
		s.MaxLost = &HostCount{Share: DefaultMaxLost}
	}
	return s
}

func (s Spec) validateLost() *Problem {
	switch m := s.MaxLost; {
	case s.LostAfter != 0 && (s.LostAfter < time.Second || s.LostAfter > maxDeadline):
		return problem("lost_after", "is %s; use 1s to %s", s.LostAfter, maxDeadline)
	case m != nil && (m.Share < 0 || m.Share > Full || m.Count < 0):
		return problem("max_lost", "is %s; use a count of 0 or more, or up to 100%%", m)
	}
	return nil
}

// lost goes on without hosts that have said nothing for long, as long as they
// are few. Beyond that it does what the spec says about failures.
func (d *decision) lost() Command {
	silent := d.silent(d.r.Hosts)
	if len(silent) == 0 {
		return nil
	}
	most := d.r.Spec.MaxLost.Of(d.r.Reach())
	why := Why{Cause: CauseLost, Hosts: silent, Text: fmt.Sprintf("nothing heard of %s for %s", list(silent), d.r.Spec.LostAfter)}
	if gone := len(d.r.Lost) + len(silent); gone > most || len(silent) == len(d.r.Hosts) {
		are := "are"
		if gone == 1 {
			are = "is"
		}
		why.Text += fmt.Sprintf("; %d %s lost, %d may be", gone, are, most)
		return d.fail(why)
	}
	return Lose{Target: d.target(), Hosts: silent, Why: why}
}

// silent returns those of the hosts that said nothing for the spec's time while
// others did: if nobody says anything, it is the bus that is away.
func (d *decision) silent(hosts []string) []string {
	after := d.r.Spec.LostAfter
	if after == 0 || d.r.Spec.MaxLost == nil {
		return nil // submitted to an earlier release
	}
	var silent []string
	for _, host := range hosts {
		if d.e.HeardAt-max(d.e.Hosts[host].SeenAt, d.e.Since, d.r.StartedAt) > after {
			silent = append(silent, host)
		}
	}
	return silent
}

// lose takes silent hosts out of the rollout. The step begins again: its
// evidence is to be of the hosts that are left, and another one may have taken
// the place of a lost one in the wave.
func (a *applier) lose(r *Rollout, c Lose) *Refusal {
	if r.Phase != Preparing && r.Phase != Progressing && r.Phase != Paused {
		return wrongPhase(r, "go on without a host with")
	}
	var gone, left []string
	for _, host := range r.Hosts {
		if slices.Contains(c.Hosts, host) {
			gone = append(gone, host)
		} else {
			left = append(left, host)
		}
	}
	if len(gone) == 0 || len(left) == 0 {
		return refusef(CodeInvalid, r.ID, "%s cannot go on without %s", r.ID, list(c.Hosts))
	}
	r.Hosts, r.Lost = left, slices.Concat(r.Lost, gone) // published states share the old ones
	r.index()
	a.begin(r)
	a.emit(KindLost, r, Event{
		Cause: CauseLost, Lost: gone, Text: sentence(r.ID+" goes on without "+list(gone), c.Why.Text),
	})
	return nil
}
