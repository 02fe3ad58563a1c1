package check

import (
	"slices"
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
)

// Excuse is what a failed request is due to, if not to serin.
type Excuse string

// The excuses. A fault that cuts users off, or takes away what serves them, is
// one while it lasts; a version that answers nobody is one for those who waited
// for it.
const (
	None  Excuse = ""
	Fault Excuse = "fault"
	App   Excuse = "app"
)

// Users is I6: no request fails but for what serin cannot help.
func Users(r *history.Record) []Violation {
	f, why := found{promise: I6}, Why(r)
	for _, q := range r.Requests {
		if q.Failed() && why(q) == None {
			f.add(q.At, "%s on %s after %s: %s", q.Service, q.Host, q.Took.Round(time.Millisecond), q.Failure)
		}
	}
	return f.all
}

// Why tells what failed requests are due to.
func Why(r *history.Record) func(history.Request) Excuse {
	var hanging []story
	for _, s := range stories(r) {
		if s.plan.Ill == Hanging {
			hanging = append(hanging, s)
		}
	}
	return func(q history.Request) Excuse {
		for _, f := range r.Faults {
			if f.Users && slices.Contains(f.Targets, q.Host) && q.At+q.Took >= f.Began && q.At <= over(f, r.Took) {
				return Fault
			}
		}
		for _, s := range hanging {
			if waitedFor(r, s, q) {
				return App
			}
		}
		return None
	}
}

// Hanging is the ill of a version that answers nobody: its users get nothing,
// whoever routes them there.
const Hanging = "hangs"

// Private

const (
	// hung is how long somebody who waits for a version that answers nobody waits at
	// least: HAProxy gives up sooner what does not connect (2 s, in four tries) and what
	// nothing is there for (5 s), and containers that are not asked any more end later
	// (after 10 s, the rollouts' drain limit).
	hung = 8 * time.Second
	// around is how much earlier than a share was seen somebody may have been sent by it.
	around = time.Second
)

// waitedFor tells whether a request may have been given to a rollout's canary, which
// answers nobody, and waited for it: it was sent while the canary had a share on that
// host, and took long. Whoever fails at once has not waited.
func waitedFor(r *history.Record, s story, q history.Request) bool {
	if s.service != q.Service || q.Took < hung || q.At+q.Took < s.began || q.At > s.ended(r.Took) {
		return false
	}
	last := history.Weight{}
	for _, w := range r.Weights {
		if w.Host != q.Host || w.Service != q.Service {
			continue
		}
		if w.At > q.At {
			return last.Share > 0 || w.Share > 0 && w.At < q.At+around
		}
		last = w
	}
	return last.Share > 0
}
