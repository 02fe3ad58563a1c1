package check

import (
	"slices"
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// How soon a canary that was taken back has no traffic left: on a host that
// nothing is wrong with; and on any other at the latest when its lease has ended
// and it is whole again. Both are generous: what is looked for is a weight that
// stays or rises, not a slow machine.
const (
	promptly   = 8 * time.Second
	afterLease = 15 * time.Second
)

// Traffic is I5: once a rollout goes back, and until the next one begins, no
// HAProxy gives its canary a share, and no user is answered by it.
func Traffic(r *history.Record) []Violation {
	f := found{promise: I5}
	all := stories(r)
	for i, s := range all {
		back, ok := s.find(rollout.KindRollingBack)
		if !ok {
			continue
		}
		until := r.Took
		for _, next := range all[i+1:] {
			if next.service == s.service {
				until = next.began
				break
			}
		}
		for _, host := range r.Hosts {
			due := due(r, host, back.At)
			f.shares(r, s, host, due, until)
			f.answers(r, s, host, due, until)
		}
	}
	return f.all
}

// Private

// due is when a host's canary must have lost its traffic.
func due(r *history.Record, host string, back time.Duration) time.Duration {
	due := back + promptly
	for _, fault := range r.Faults {
		if !touches(fault, host) || fault.Began > due || over(fault, r.Took) < back {
			continue
		}
		due = worst(due, back+r.Lease+afterLease, over(fault, r.Took)+promptly)
	}
	return due
}

// touches tells whether a fault may keep a host from obeying: it, or what it
// hears from, is broken.
func touches(f history.Fault, host string) bool {
	if slices.Contains(f.Targets, host) {
		return true
	}
	for _, target := range f.Targets {
		if target != "" && target[0] == 'c' { // a replica of the coordinator, which may lead
			return true
		}
	}
	return false
}

func (f *found) shares(r *history.Record, s story, host string, due, until time.Duration) {
	for _, w := range r.Weights {
		if w.Host == host && w.Service == s.service && w.Share > 0 && w.At > due && w.At < until {
			f.add(w.At, "%s gives the canary of %s %d basis points; due to be 0 since %.2fs", host, s.rollout, w.Share, due.Seconds())
			return
		}
	}
}

func (f *found) answers(r *history.Record, s story, host string, due, until time.Duration) {
	first := s.events[0]
	if first.To == first.From {
		return
	}
	for _, q := range r.Requests {
		// A request that overlaps the next rollout's beginning may be that one's.
		if q.Host == host && q.Service == s.service && q.Version == first.To && q.At > due && q.At+q.Took < until {
			f.add(q.At, "%s is answered by %s on %s after %s went back; due to end at %.2fs", s.service, q.Version, host, s.rollout, due.Seconds())
			return
		}
	}
}
