package sim

import (
	"errors"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// errUnknown is what becomes of a proposal whose outcome its proposer does not learn.
var errUnknown = errors.New("the outcome is not known")

func (l *leader) proposeDecision(c rollout.Command) {
	t, _ := rollout.TargetOf(c)
	if l.pending[t.Service] {
		return
	}
	l.pending[t.Service] = true
	l.propose("serin", c, func(result rollout.Result, err error) {
		wait := time.Duration(0)
		if err != nil || result.Refused != nil {
			wait = retryAfter
		}
		l.after(wait, func() { delete(l.pending, t.Service); l.look() })
	})
}

// propose stamps a command and hands it to the log, where anything may happen
// to it. done is called once it is known, or known not to be.
func (l *leader) propose(by string, c rollout.Command, done func(rollout.Result, error)) {
	w := l.w
	if rollout.Needs(c) > l.r.state.AtLevel() {
		if _, raise := c.(rollout.Raise); !raise {
			l.after(proposeLimit, func() { done(rollout.Result{}, errUnknown) })
			return
		}
	}
	e := rollout.Entry{Command: c, Stamp: rollout.Stamp{At: l.clock(), Wall: w.wall(l.r.name), By: by, Confirmed: l.confirmed}}
	decided := w.now
	unknown := func() { l.after(l.chance.between(0, proposeLimit), func() { done(rollout.Result{}, errUnknown) }) }
	later := func(longest time.Duration) {
		w.after(l.chance.between(0, longest), nil, func() { w.cluster.commit(e, decided) })
	}
	switch {
	case l.chance.strikes(ProposalLost):
		unknown()
		return
	case l.chance.strikes(ProposalLate):
		later(time.Minute)
		unknown()
		return
	case !repeatable(c):
	case l.chance.strikes(ProposalTwice):
		later(20 * time.Second)
	}
	w.after(l.chance.between(time.Millisecond, 10*time.Millisecond), nil, func() {
		if !l.leads() {
			unknown() // what it had proposed died with its term
			return
		}
		result := l.c.commit(e, decided)
		if l.chance.strikes(ProposalUnknown) {
			unknown()
			return
		}
		l.after(3*time.Millisecond, func() { done(result, nil) })
	})
}
