package check

import (
	"slices"
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
)

// Excuse is what a failed request is due to, if not to serin.
type Excuse string

// The excuses. A fault that cuts users off, or takes away what serves them, is
// one while it lasts; so is a version that answers nobody, while its rollout runs.
const (
	None  Excuse = ""
	Fault Excuse = "fault"
	App   Excuse = "app"
)

// Users is I6: no request fails but for what serin cannot help.
func Users(r *history.Record) []Violation {
	f := found{promise: I6}
	for _, q := range r.Requests {
		if q.Failed() && Why(r, q) == None {
			f.add(q.At, "%s on %s after %s: %s", q.Service, q.Host, q.Took.Round(time.Millisecond), q.Failure)
		}
	}
	return f.all
}

// Why tells what a failed request is due to.
func Why(r *history.Record, q history.Request) Excuse {
	for _, f := range r.Faults {
		if f.Users && slices.Contains(f.Targets, q.Host) && q.At+q.Took >= f.Began && q.At <= over(f, r.Took) {
			return Fault
		}
	}
	for _, s := range stories(r) {
		if s.plan.Ill == Hanging && s.service == q.Service && q.At+q.Took >= s.began && q.At <= s.ended(r.Took) {
			return App
		}
	}
	return None
}

// Hanging is the ill of a version that answers nobody: its users get nothing,
// whoever routes them there.
const Hanging = "hangs"
