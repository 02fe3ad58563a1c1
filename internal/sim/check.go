package sim

import (
	"fmt"
	"hash"
	"hash/fnv"
	"slices"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// record is what the checkers remember of a run: the truth that no party of it
// has.
type record struct {
	w       *world
	epochs  map[string][]moved           // of each service, in order
	events  []rollout.Event              // that entries have caused
	asks    map[string]trigger           // by key
	answers map[string]rollout.Result    // that their senders have got
	starts  map[string]string            // key -> the rollout that it started
	settled map[string]map[string]uint64 // service -> host -> highest epoch that it settled at
	frozen  []byte                       // the last published state that was kept, in JSON
	sum     hash.Hash64                  // of every decision
	marks   map[string]marks             // of the running rollouts
	deaths  map[death]deaths             // of canaries, that agents have counted for sure
	freezes map[string]time.Duration     // until when services, or the fleet, are frozen, on the fleet's clock
	passing map[string]bool              // keys of what freezes let through
	decided time.Duration                // when the entry that is being checked was proposed
}

// moved is an epoch and when it began.
type moved struct {
	epoch uint64
	at    time.Duration
}

// marks are when, by no fleet's clock, a rollout, its phase and its step were
// decided, from which on their deadlines count; when the step was committed, when a
// person last resumed what had failed, and with how many hosts the rollout began.
type marks struct {
	start, phase, step time.Duration
	taken, resumed     time.Duration
	hosts              int
}

func newRecord(w *world) *record {
	return &record{
		w: w, epochs: map[string][]moved{}, asks: map[string]trigger{}, answers: map[string]rollout.Result{},
		starts: map[string]string{}, settled: map[string]map[string]uint64{}, sum: fnv.New64a(),
		marks: map[string]marks{}, deaths: map[death]deaths{},
		freezes: map[string]time.Duration{}, passing: map[string]bool{},
	}
}

func (r *record) digest() string { return fmt.Sprintf("%016x", r.sum.Sum64()) }

// asked notes a trigger.
func (r *record) asked(t trigger) { r.asks[t.key] = t }

// answered notes what its sender was told, and holds it against what was told
// before (I3) and to others (I15).
func (r *record) answered(t trigger, result rollout.Result) {
	if before, twice := r.answers[t.key]; twice && !droppedFrom(before.Rollout, result.Refused) && !droppedFrom(result.Rollout, before.Refused) && (before.Rollout != result.Rollout || (before.Refused == nil) != (result.Refused == nil)) {
		r.w.violate("I3", "trigger %s was first answered %q, then %q", t.key, before.Rollout, result.Rollout)
	}
	r.answers[t.key] = result
	if result.Refused != nil {
		return
	}
	for _, key := range sortedKeys(r.answers) {
		if other := r.answers[key]; key != t.key && other.Refused == nil && other.Rollout == result.Rollout {
			r.w.violate("I15", "triggers %s and %s were both accepted as %s", key, t.key, result.Rollout)
		}
	}
}

// supersededAt returns since when an epoch of a service is not the newest.
func (r *record) supersededAt(service string, epoch uint64) (time.Duration, bool) {
	all := r.epochs[service]
	next := slices.IndexFunc(all, func(m moved) bool { return m.epoch > epoch })
	if next < 0 {
		return 0, false
	}
	return all[next].at, true
}

// slack is how long proposals may be lost, one after the other, before a leader
// that decides has to have got one through.
const slack = 90 * time.Second

// checkStep is what can be checked at any moment.
func (w *world) checkStep() {
	const every = 32 // steps: simulated time hardly passes in fewer
	if w.steps%every != 0 {
		return
	}
	if l := w.cluster.leader; l != nil {
		w.checkDeadlines(l)
	}
	for _, h := range w.hosts {
		w.checkLease(h)
	}
}

// checkDeadlines is I4 at every moment: who leads for long enough ends what is
// overdue, even if nobody says a word.
func (w *world) checkDeadlines(l *leader) {
	now := l.clock()
	for _, svc := range l.r.state.Services {
		r := svc.Active
		if r == nil {
			continue
		}
		end := r.StartedAt + r.Spec.Deadline
		switch r.Phase {
		case rollout.Promoting:
			end = r.PhaseAt + rollout.PromoteDeadline
		case rollout.RollingBack:
			end = r.PhaseAt + rollout.RollBackDeadline
		default:
		}
		if now > max(end, l.base)+slack {
			w.violate("I4", "%s is %s, %s after its deadline", r.ID, r.Phase, (now - end).Round(time.Second))
		}
	}
}
