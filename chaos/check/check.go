// Package check judges a record of a run by serin's promises. All of it is pure:
// a saved record can be judged again. The names are those of the promises.
package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
)

// The promises that a record can be judged by.
const (
	I1  = "I1 one rollout at a time, phase by phase"
	I2  = "I2 no agent goes back to an older epoch"
	I3  = "I3 no trigger lost or carried out twice"
	I4  = "I4 every rollout ends"
	I5  = "I5 bad traffic is bounded"
	I6  = "I6 no request fails"
	I8  = "I8 no orphan, nothing of others touched"
	I10 = "I10 the fleet converges"
	I11 = "I11 events complete and in order"
	I12 = "I12 a leader that is cut off raises nothing"
	I13 = "I13 without coordinators nothing is raised or ended"
	I15 = "I15 linearizable triggers and commands"
	// Own is that no service's users are answered by another's containers.
	Own = "users are answered by the service that they ask"
	// Bad is that a version which is bad by design is taken back.
	Bad = "a bad version is not promoted"
	// Whole is that programs do not crash, and that the fleet recovers.
	Whole = "programs do not crash, and the fleet recovers"
)

// Promises are all of them, in order.
func Promises() []string {
	return []string{I1, I2, I3, I4, I5, I6, I8, I10, I11, I12, I13, I15, Own, Bad, Whole}
}

// Violation is one broken promise.
type Violation struct {
	Promise string        `json:"promise"`
	At      time.Duration `json:"at_ns"` // since the run's beginning; 0: at its end
	What    string        `json:"what"`
}

// String says it in one line.
func (v Violation) String() string {
	return fmt.Sprintf("%8.2fs %s: %s", v.At.Seconds(), v.Promise, v.What)
}

// Record judges a whole run. The order is that of time.
func Record(r *history.Record) []Violation {
	all := slices.Concat(
		Users(r), Traffic(r), Events(r), Triggers(r), Ends(r), Tidy(r), Converged(r), Linear(r), Commands(r), Outcomes(r), Fleet(r),
		Fence(r), CutOff(r), Alone(r), Owners(r),
	)
	slices.SortStableFunc(all, func(a, b Violation) int { return int(a.At - b.At) })
	return all
}

// Private

// found gathers violations of one promise.
type found struct {
	promise string
	all     []Violation
}

func (f *found) add(at time.Duration, format string, args ...any) {
	f.all = append(f.all, Violation{Promise: f.promise, At: at, What: fmt.Sprintf(format, args...)})
}

// over is when a fault was certainly over for its targets; a fault that the
// fleet did not recover from is never.
func over(f history.Fault, end time.Duration) time.Duration {
	if f.Recovered > 0 {
		return f.Recovered
	}
	return end
}
