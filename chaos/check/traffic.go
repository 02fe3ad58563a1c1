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
// HAProxy gives its canary a share, and no user is answered by it. The next one
// begins when it is asked for at the earliest: its events may be seen late.
func Traffic(r *history.Record) []Violation {
	f := found{promise: I5}
	for _, b := range backs(r) {
		for _, host := range r.Hosts {
			due := due(r, host, b.at)
			f.shares(r, b.story, host, due, b.until)
			f.answers(r, b.story, host, due, b.until)
		}
	}
	return f.all
}

// Private

// back is a rollout that goes back: from when on, and until when nothing else of its
// service can be.
type back struct {
	story     story
	at, until time.Duration
}

func backs(r *history.Record) []back {
	var found []back
	all := stories(r)
	for i, s := range all {
		e, ok := s.find(rollout.KindRollingBack)
		if !ok {
			continue
		}
		b := back{s, e.At, r.Took}
		if k := slices.IndexFunc(all[i+1:], func(next story) bool { return next.service == s.service }); k >= 0 {
			b.until = all[i+1+k].asked(r)
		}
		found = append(found, b)
	}
	return found
}

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
