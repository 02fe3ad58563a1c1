package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
)

// Amount is how much of a run one promise was really checked on. A check that found
// nothing to look at has shown nothing.
type Amount struct {
	Promise string  `json:"promise"`
	Of      string  `json:"of"` // what is counted
	Times   int     `json:"times"`
	Seconds float64 `json:"host_seconds,omitempty"` // in which HAProxys were looked at
	// Needed says that a long run of everything has to have some of it.
	Needed bool `json:"needed,omitempty"`
}

// String says it in one line.
func (a Amount) String() string {
	text := fmt.Sprintf("%-60s %8d %s", a.Promise, a.Times, a.Of)
	if a.Seconds > 0 {
		text += fmt.Sprintf(", %.0f host-seconds", a.Seconds)
	}
	return text
}

// Amounts are those of a run, in the order of the promises.
func Amounts(r *history.Record) []Amount {
	ended, accepted, bad := 0, 0, 0
	for _, s := range stories(r) {
		if _, ok := s.final(); ok {
			ended++
		}
		if s.plan.ID != "" {
			accepted++
		}
		if slices.Contains(badIlls, s.plan.Ill) {
			bad++
		}
	}
	calls := 0
	for _, all := range callsOf(r) {
		calls += len(all)
	}
	done := carried(r)
	all := []Amount{
		{Promise: I1, Of: "events", Times: len(r.End.Events)},
		{Promise: I2, Of: "reports of another epoch or run", Times: len(r.Reports)},
		{Promise: I3, Of: "rollouts that a trigger of the run began", Times: accepted},
		{Promise: I4, Of: "rollouts that have ended", Times: ended},
	}
	all = append(all, takenBack(r)...)
	all = append(
		all,
		Amount{Promise: I6, Of: "requests that nothing would have excused", Times: inexcusable(r), Needed: true},
		Amount{Promise: I8, Of: "hosts at the end", Times: len(r.End.Hosts)},
		Amount{Promise: I10, Of: "services at the end, on each host", Times: len(r.End.Services) * len(r.End.Hosts)},
		Amount{Promise: I11, Of: "events that a follower saw", Times: len(r.Events)},
	)
	return append(
		all,
		cuts(r), raisable(r), lonely(r),
		Amount{Promise: I15, Of: "triggers, commands, looks and turns of rollouts", Times: calls, Needed: true},
		Amount{Promise: I15, Of: "approvals that were given", Times: done.approvals, Needed: true},
		Amount{Promise: I15, Of: "steps that were taken by hand", Times: done.steps, Needed: true},
		Amount{Promise: I15, Of: "promotions by hand, all the way", Times: done.promotions, Needed: true},
		// A host is held back only where nobody aborted before a version was seen to be bad on it alone.
		Amount{Promise: I15, Of: "hosts that were released", Times: done.releases},
		Amount{Promise: I15, Of: "approvals, promotions and releases that came to nothing", Times: done.refused, Needed: true},
		Amount{Promise: Own, Of: "answers that say whose container gave them", Times: owned(r), Needed: true},
		Amount{Promise: Bad, Of: "rollouts of bad versions", Times: bad},
		Amount{Promise: Whole, Of: "faults", Times: len(r.Faults)},
	)
}

// Unchecked are the needed ones that a run has nothing of.
func Unchecked(all []Amount) []Amount {
	return slices.DeleteFunc(slices.Clone(all), func(a Amount) bool { return !a.Needed || a.Times > 0 })
}

// Private

// takenBack is I5's: canaries that had a share and were looked at when they must
// have none, and requests that they must not answer.
func takenBack(r *history.Record) []Amount {
	shares := Amount{Promise: I5, Of: "canaries on a host that had a share and went back", Needed: true}
	answers := Amount{Promise: I5, Of: "requests, each for each such canary that must not answer it", Needed: true}
	for _, b := range backs(r) {
		for _, host := range r.Hosts {
			due := b.due(r, host)
			if b.had(r, host) {
				seconds := looked(r, host, due, func(w history.Weight) bool { _, tells := b.tells(r, w); return tells })
				shares.Seconds += seconds
				shares.Times += btoi(seconds > 0)
			}
			for _, q := range r.Requests {
				answers.Times += btoi(b.mustNot(q, host, due))
			}
		}
	}
	return []Amount{shares, answers}
}

// had tells whether a host was seen to give the canary a share.
func (b back) had(r *history.Record, host string) bool {
	return slices.ContainsFunc(r.Weights, func(w history.Weight) bool {
		return w.Host == host && w.Service == b.story.service && w.Share > 0 && w.At >= b.story.began && w.At < b.next && w.Since() < b.at+promptly
	})
}

// inexcusable counts the requests that would be violations of I6 if they had failed.
func inexcusable(r *history.Record) int {
	n, why := 0, Why(r)
	for _, q := range r.Requests {
		n += btoi(why(q) == None)
	}
	return n
}

// cuts is I12's: leaders that were cut off for longer than a licence lasts.
func cuts(r *history.Record) Amount {
	a := Amount{Promise: I12, Of: "leaders that were cut off for longer than a licence lasts", Needed: true}
	for _, f := range r.Faults {
		if made(f, leaderCut) && len(r.Replicas) > 1 {
			a.Times += btoi(lasts(f, r.Took) > f.Began+licence)
		}
	}
	return a
}

// raisable is I12's: canaries that had a share and were looked at after they went back.
func raisable(r *history.Record) Amount {
	a := Amount{Promise: I12, Of: "canaries on a host that went back and could be raised", Needed: true}
	for _, b := range backs(r) {
		for _, host := range r.Hosts {
			if !b.had(r, host) {
				continue
			}
			seconds := looked(r, host, b.still(host), func(w history.Weight) bool { _, tells := b.tells(r, w); return tells })
			a.Seconds += seconds
			a.Times += btoi(seconds > 0)
		}
	}
	return a
}

// lonely is I13's: hosts that were looked at while no replica ran.
func lonely(r *history.Record) Amount {
	a := Amount{Promise: I13, Of: "hosts without any replica, for longer than 7 s", Needed: true}
	for _, f := range r.Faults {
		if !made(f, quorumKill) {
			continue
		}
		from, until := alone(r, f)
		for _, host := range r.Hosts {
			seconds := looked(r, host, from, func(w history.Weight) bool { return w.At < until })
			a.Seconds += seconds
			a.Times += btoi(seconds > 0)
		}
	}
	return a
}

// looked is for how many seconds a host's HAProxy was looked at again and again from
// some time on, by looks that count; services are looked at together.
func looked(r *history.Record, host string, from time.Duration, counts func(history.Weight) bool) float64 {
	// Where there is no share a look is recorded once a second; a HAProxy that is
	// busy answers later.
	const apart = 3 * time.Second
	total, last := time.Duration(0), time.Duration(-1)
	for _, w := range r.Weights {
		if w.Host != host || w.Since() <= from || !counts(w) {
			continue
		}
		if last >= 0 && w.At-last <= apart {
			total += w.At - last
		}
		last = w.At
	}
	return total.Seconds()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
