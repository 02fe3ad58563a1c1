package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// follows is the diagram of internal/rollout/doc.go.
func follows(from, to rollout.Phase) bool {
	switch from {
	case rollout.Preparing:
		return slices.Contains([]rollout.Phase{rollout.Preparing, rollout.Progressing, rollout.RollingBack}, to)
	case rollout.Progressing, rollout.Paused:
		return slices.Contains([]rollout.Phase{rollout.Progressing, rollout.Paused, rollout.Promoting, rollout.RollingBack}, to)
	case rollout.Promoting:
		return to == rollout.Promoting || to == rollout.Succeeded
	case rollout.RollingBack:
		return slices.Contains([]rollout.Phase{rollout.RollingBack, rollout.RolledBack, rollout.Aborted}, to)
	default:
		return from == to
	}
}

// checkCommit holds an entry, and what it changed, against the promises.
func (w *world) checkCommit(before, after *rollout.State, e rollout.Entry, result rollout.Result) {
	r := w.record
	w.tally.Entries++
	if result.Refused != nil {
		w.tally.Refused++
	}
	r.checkFrozen(before, after)
	if after.Clock < before.Clock {
		w.violate("I4", "the fleet's clock went back from %s to %s: deadlines move away", before.Clock, after.Clock)
	}
	r.checkTarget(before, e.Command, result)
	r.checkDecision(before, e, result)
	for _, name := range after.Names() {
		r.checkService(before.Services[name], after.Services[name])
	}
	r.checkEvents(before, after, result)
	r.checkSubmit(e.Command, result)
	r.checkNew(before, e.Command, result)
	r.checkFreeze(after.Clock, e.Command, result)
	r.checkAssignments(before, after)
	_, _ = fmt.Fprintf(r.sum, "%d %T %d %v\n", after.Index, e.Command, e.At, result.Refused != nil)
	for _, event := range result.Events {
		_, _ = fmt.Fprintf(r.sum, "%s %s\n", event.Kind, timeless(event.Text))
	}
}

// checkFrozen is I9: a state that was published never changes.
func (r *record) checkFrozen(before, after *rollout.State) {
	if r.frozen != nil {
		if now, err := json.Marshal(before); err != nil || !bytes.Equal(now, r.frozen) {
			r.w.violate("I9", "entry %d changed the published state of entry %d", after.Index, before.Index)
		}
	}
	r.frozen, _ = json.Marshal(after) // compared with itself: an error shows there
}

// checkService is I1: phases follow the diagram, steps follow one by one, one
// rollout at a time, and epochs only rise.
func (r *record) checkService(before, after *rollout.Service) {
	w := r.w
	if before == nil {
		before = &rollout.Service{Name: after.Name}
	}
	if after.Epoch < before.Epoch {
		w.violate("I2", "the epoch of %s fell from %d to %d", after.Name, before.Epoch, after.Epoch)
	}
	if after.Epoch > before.Epoch {
		r.epochs[after.Name] = append(r.epochs[after.Name], moved{after.Epoch, w.now})
	}
	if after.Active != nil && after.Active.Phase.Final() {
		w.violate("I1", "%s is %s and still runs", after.Active.ID, after.Active.Phase)
	}
	r.mark(before.Active, after.Active)
	old := before.Active
	if old == nil {
		return
	}
	now, ok := latestOf(after, old.ID)
	switch {
	case !ok:
		w.violate("I1", "%s was %s and is gone", old.ID, old.Phase)
	case after.Active != nil && after.Active.ID != old.ID && !now.Phase.Final():
		w.violate("I1", "%s began before %s had ended", after.Active.ID, old.ID)
	case !follows(old.Phase, now.Phase):
		w.violate("I1", "%s went from %s to %s", old.ID, old.Phase, now.Phase)
	case now.Phase == rollout.Progressing && old.Phase == rollout.Preparing && now.Step != 0,
		now.Phase == rollout.Progressing && old.Phase != rollout.Preparing && now.Step != old.Step && now.Step != old.Step+1:
		w.violate("I1", "%s went from step %d to %d", old.ID, old.Step+1, now.Step+1)
	case (now.Phase == rollout.RolledBack || now.Phase == rollout.Aborted) && now.Cause == "":
		w.violate("I4", "%s ended %s without a cause", old.ID, now.Phase)
	case now.Phase == rollout.Progressing && now.Step != old.Step && now.Approved:
		w.violate("I1", "%s took step %d with the approval of another one", old.ID, now.Step+1)
	}
	if old.Phase != rollout.Promoting && now.Phase == rollout.Promoting {
		r.checkHeld(before, after, now)
	}
	r.noteEnds(after.Name, old, now)
}

// checkHeld: a promotion leaves hosts that were excluded at what they had.
func (r *record) checkHeld(before, after *rollout.Service, run rollout.Rollout) {
	for _, x := range run.Excluded {
		had, held := before.Held[x.Host]
		if !held && run.From != nil {
			had = *run.From
		}
		if after.Held[x.Host].ID != had.ID {
			r.w.violate("one host", "%s was excluded from %s and is promoted with it", x.Host, run.ID)
		}
	}
}

// mark notes when things began.
func (r *record) mark(old, now *rollout.Rollout) {
	switch {
	case now == nil:
	case old == nil || old.ID != now.ID:
		r.marks[now.ID] = marks{start: r.decided, phase: r.decided, step: r.decided, taken: r.w.now, hosts: len(now.Hosts)}
	default:
		m := r.marks[now.ID]
		if old.Phase != now.Phase {
			m.phase = r.decided
		}
		if old.StepAt != now.StepAt || old.Step != now.Step {
			m.step, m.taken = r.decided, r.w.now
		}
		if old.Parked && !now.Parked {
			m.resumed = r.w.now
			maps.DeleteFunc(r.deaths, func(d death, _ deaths) bool { return d.rollout == now.ID })
		}
		r.marks[now.ID] = m
	}
}

func (r *record) noteEnds(service string, old *rollout.Rollout, now rollout.Rollout) {
	w := r.w
	if old.Phase != now.Phase {
		switch now.Phase {
		case rollout.Succeeded:
			w.tally.Succeeded++
		case rollout.RolledBack:
			w.tally.RolledBack++
		case rollout.Aborted:
			w.tally.Aborted++
		case rollout.RollingBack:
			r.noteReturn(service, now)
		default:
		}
	}
}

func latestOf(svc *rollout.Service, id string) (rollout.Rollout, bool) {
	if svc.Active != nil && svc.Active.ID == id {
		return *svc.Active, true
	}
	for _, r := range slices.Backward(svc.History) {
		if r.ID == id {
			return r, true
		}
	}
	return rollout.Rollout{}, false
}

// checkTarget is I1, too: a command that was decided against another state
// changes nothing.
func (r *record) checkTarget(before *rollout.State, c rollout.Command, result rollout.Result) {
	t, _ := rollout.TargetOf(c)
	if t.Service == "" || result.Refused != nil {
		return
	}
	svc := before.Services[t.Service]
	if svc == nil || svc.Active == nil || svc.Active.ID != t.Rollout || svc.Epoch != t.Epoch {
		r.w.violate("I1", "%T of %s at epoch %d was carried out against another state", c, t.Rollout, t.Epoch)
	}
}

// checkEvents is I11: events are numbered without gaps, and none leaves the
// state before the stream has it.
func (r *record) checkEvents(before, after *rollout.State, result rollout.Result) {
	seq := before.EventSeq
	for _, e := range result.Events {
		seq++
		if e.Seq != seq || e.Index != after.Index {
			r.w.violate("I11", "entry %d caused event %d, after event %d", after.Index, e.Seq, seq-1)
		}
	}
	if after.EventSeq != seq {
		r.w.violate("I11", "events are counted to %d, but there are %d", after.EventSeq, seq)
	}
	r.events = append(r.events, result.Events...)
	held := r.w.stream.last()
	if after.EventSeq > held && (len(after.Outbox) == 0 || after.Outbox[0].Seq > held+1) {
		r.w.violate("I11", "event %d has left the outbox, and the stream does not have it", held+1)
	}
	for i := 1; i < len(after.Outbox); i++ {
		if after.Outbox[i].Seq != after.Outbox[i-1].Seq+1 {
			r.w.violate("I11", "in the outbox event %d follows %d", after.Outbox[i].Seq, after.Outbox[i-1].Seq)
		}
	}
}

// checkEvent holds what the stream took against what happened.
func (w *world) checkEvent(e rollout.Event) {
	n := int(e.Seq)
	if n != len(w.stream.events) || n > len(w.record.events) || w.record.events[n-1].Text != e.Text || w.record.events[n-1].Index != e.Index {
		w.violate("I11", "the stream's event %d is numbered %d: %s", len(w.stream.events), e.Seq, e.Text)
	}
}

// checkSubmit is I3: no trigger starts anything twice.
func (r *record) checkSubmit(c rollout.Command, result rollout.Result) {
	for _, e := range result.Events {
		if e.Kind != rollout.KindSubmitted {
			continue
		}
		r.w.tally.Rollouts++
		if first, twice := r.starts[e.Key]; twice && e.Key != "" {
			r.w.violate("I3", "trigger %s started %s, and then %s", e.Key, first, e.Rollout)
		}
		r.starts[e.Key] = e.Rollout
	}
	submit, ok := c.(rollout.Submit)
	if !ok || result.Refused != nil || result.Repeat || submit.Replace {
		return
	}
	if r.starts[submit.Key] != result.Rollout {
		r.w.violate("I3", "trigger %s was accepted as %s, and %q was started", submit.Key, result.Rollout, r.starts[submit.Key])
	}
}

// checkNew is I15: no trigger starts what is stable already and runs the same way,
// whatever ran when it came.
func (r *record) checkNew(before *rollout.State, c rollout.Command, result rollout.Result) {
	submit, ok := c.(rollout.Submit)
	if !ok || !submit.IfNew || result.Refused != nil || result.Repeat {
		return
	}
	svc := before.Services[submit.Spec.Service]
	if svc != nil && svc.Active == nil && svc.Stable != nil && svc.Stable.ID == submit.To.ID && alike(svc.Spec, submit.Spec) {
		r.w.violate("I15", "%s rolls out what is stable already", result.Rollout)
	}
}

// alike tells whether specs say the same but for the image's name.
func alike(a, b rollout.Spec) bool {
	a.Image, b.Image = "", ""
	one, _ := json.Marshal(a) // one that does not encode is like no other
	other, _ := json.Marshal(b)
	return len(one) > 0 && bytes.Equal(one, other)
}

// checkAssignments is what the state says to hosts: nothing new under an old
// epoch (I2), stable everywhere until promotion (I7), a canary only while the
// rollout moves, and a broadcast that says what the assignments say (I5).
func (r *record) checkAssignments(before, after *rollout.State) {
	for _, name := range after.Names() {
		svc := after.Services[name]
		wave, _ := after.Wave(name)
		for _, h := range r.w.hosts {
			a, ok := after.Assignment(name, h.name, nil)
			if was, had := before.Assignment(name, h.name, nil); had && ok && was.Epoch == a.Epoch && !reflect.DeepEqual(was, a) {
				r.w.violate("I2", "at epoch %d %s was first told one thing, then another, about %s", a.Epoch, h.name, name)
			}
			if ok {
				r.checkAssignment(svc, h.name, a, wave)
			}
		}
	}
}

func (r *record) checkAssignment(svc *rollout.Service, host string, a rollout.Assignment, wave rollout.Wave) {
	w, run := r.w, svc.Active
	place := -1
	if run != nil {
		place = slices.Index(run.Hosts, host)
	}
	moving := run != nil && (run.Phase == rollout.Progressing || run.Phase == rollout.Paused)
	switch {
	case a.Epoch != svc.Epoch || wave.Epoch != svc.Epoch:
		w.violate("I2", "%s is at epoch %d; %s is told %d, the broadcast says %d", svc.Name, svc.Epoch, host, a.Epoch, wave.Epoch)
	case svc.Stable != nil && a.Stable == nil:
		w.violate("I7", "%s is to run without a stable revision of %s", host, svc.Name)
	case run != nil && run.From != nil && run.Phase != rollout.Promoting && a.Stable != nil && a.Stable.ID != run.From.ID && svc.Held[host].ID != a.Stable.ID:
		w.violate("I7", "%s is to leave %s while %s is %s", host, run.From.ID, run.ID, run.Phase)
	case a.Canary != nil && (!moving || place < 0 || place >= run.Wave()):
		w.violate("I5", "%s is to run a canary of %s, where none belongs", host, svc.Name)
	case a.Canary != nil && a.Weight > run.Spec.Steps[run.Step].Weight, a.Canary != nil && run.Parked && a.Weight > 0:
		w.violate("I5", "%s is to give a canary of %s %s", host, svc.Name, rollout.Percent(a.Weight))
	case a.Canary != nil && (wave.Canary != a.Canary.ID || wave.Weight != a.Weight):
		w.violate("I5", "the broadcast of %s says %s for %s, %s is told %s", svc.Name, rollout.Percent(wave.Weight), wave.Canary, host, rollout.Percent(a.Weight))
	case run != nil && run.From != nil && run.Phase == rollout.RollingBack && wave.Canary == run.To.ID && wave.Weight > 0 && svc.Stable.ID != run.To.ID:
		w.violate("I5", "the broadcast still allows the canary of %s, which is taken back", run.ID)
	}
}

// noteReturn has the hosts looked at when the canary must be gone from traffic.
func (r *record) noteReturn(service string, run rollout.Rollout) {
	w := r.w
	if run.From == nil {
		return
	}
	at := w.now
	for _, h := range w.hosts {
		w.after(lowerWithin, nil, func() { w.checkLowered(h, service, run, at, lowerWithin) })
		w.after(cutOffWithin, nil, func() { w.checkLowered(h, service, run, at, cutOffWithin) })
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Bounds of I5: of a host that hears, and of one that does not. Late beats of
// the old leader may keep the lease for half a minute more.
const (
	lowerWithin  = 250 * time.Millisecond
	cutOffWithin = lease + 40*time.Second
)
