package check

import (
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Fate is what became of all rollouts of one version.
type Fate struct {
	Ill  string         `json:"ill,omitempty"` // what is wrong with it; empty: nothing
	Ends map[string]int `json:"ends"`          // how many of them ended in a phase, or stand in one
}

// Fates are those of all versions that were rolled out, by their names.
func Fates(r *history.Record) map[string]Fate {
	all := map[string]Fate{}
	for _, s := range stories(r) {
		version := s.events[0].To
		o, ok := all[version]
		if !ok {
			o = Fate{Ill: s.plan.Ill, Ends: map[string]int{}}
			all[version] = o
		}
		o.Ends[string(s.events[len(s.events)-1].Phase)]++
	}
	return all
}

// Private

// story is one rollout as its events tell it.
type story struct {
	rollout, service string
	plan             history.Plan  // the zero value if nobody of the run began it
	began            time.Duration // its first event was seen
	events           []history.Event
}

// stories are all rollouts in the order of their beginning. Events that no
// follower saw in time come from the end of the run.
func stories(r *history.Record) []story {
	var all []story
	at := map[string]int{}
	for _, e := range seen(r) {
		if e.Rollout == "" || e.Phase == "" {
			continue
		}
		i, ok := at[e.Rollout]
		if !ok {
			i = len(all)
			at[e.Rollout] = i
			all = append(all, story{rollout: e.Rollout, service: e.Service, began: e.At})
		}
		if e.Kind == rollout.KindSubmitted {
			all[i].plan = planOf(r, e.Key)
		}
		all[i].events = append(all[i].events, e)
	}
	return all
}

// seen are the events of the run's end, each with the time at which it was seen
// first; for one that was not seen before, that is the end.
func seen(r *history.Record) []history.Event {
	first := map[uint64]time.Duration{}
	for _, e := range r.Events {
		if at, ok := first[e.Seq]; !ok || e.At < at {
			first[e.Seq] = e.At
		}
	}
	var all []history.Event
	for _, e := range r.End.Events {
		at, ok := first[e.Seq]
		if !ok {
			at = r.Took
		}
		all = append(all, history.Event{At: at, Event: e})
	}
	return all
}

// ended is when the end of the rollout was seen, or else the run's end.
func (s story) ended(end time.Duration) time.Duration {
	if e, ok := s.final(); ok {
		return e.At
	}
	return end
}

// asked is when somebody first called for the rollout, which is before it began
// however late its events were seen; 0 if nobody of the run did.
func (s story) asked(r *history.Record) time.Duration {
	earliest := time.Duration(-1)
	for _, op := range r.Ops {
		if op.Verb == history.Trigger && op.Service == s.service && op.ID == s.plan.ID && (earliest < 0 || op.Called < earliest) {
			earliest = op.Called
		}
	}
	return max(earliest, 0)
}

func (s story) final() (history.Event, bool) {
	last := s.events[len(s.events)-1]
	return last, last.Phase.Final()
}

// find returns the first event of a kind.
func (s story) find(k rollout.Kind) (history.Event, bool) {
	for _, e := range s.events {
		if e.Kind == k {
			return e, true
		}
	}
	return history.Event{}, false
}

// keyPrefix begins the keys of triggers that have an id: "id:<service>:<id>".
const keyPrefix = "id:"

func planOf(r *history.Record, key string) history.Plan {
	for _, p := range r.Plans {
		if key == keyPrefix+p.Service+":"+p.ID {
			return p
		}
	}
	return history.Plan{}
}
