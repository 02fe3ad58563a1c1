package check

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// steered is a run of one service on three hosts in which all is well: an install of
// v1, and a rollout of v2 in three steps, of which the first two wait for a person. One
// is approved when it waits, the other before; then the rollout goes on without h2, and
// a person goes all the way, and lets h2 follow.
func steered() *history.Record {
	r := &history.Record{Hosts: []string{"h1", "h2", "h3"}, Took: 60 * time.Second}
	entry(r, 1, by("", rollout.KindSubmitted, rollout.Preparing, 1, "id:shop:a"))
	entry(r, 2, by("serin", rollout.KindStep, rollout.Progressing, 1, ""))
	entry(r, 3, by("serin", rollout.KindPromoting, rollout.Promoting, 1, ""))
	entry(r, 4, by("serin", rollout.KindSucceeded, rollout.Succeeded, 1, ""))
	for i := range r.End.Events {
		r.End.Events[i].Rollout, r.End.Events[i].To, r.End.Events[i].From, r.End.Events[i].Steps = "shop-1", "v1", "", 1
		r.Events[i].Event = r.End.Events[i]
	}
	entry(r, 11, by("", rollout.KindSubmitted, rollout.Preparing, 1, "id:shop:b"))
	entry(r, 12, by("serin", rollout.KindStep, rollout.Progressing, 1, ""))
	waits := by("serin", rollout.KindPaused, rollout.Paused, 1, "")
	waits.Cause = rollout.CauseApproval
	entry(r, 14, waits)
	entry(r, 16, by("chaos-1", rollout.KindApproved, rollout.Paused, 1, ""), by("chaos-1", rollout.KindStep, rollout.Progressing, 2, ""))
	entry(r, 18, by("chaos-2", rollout.KindApproved, rollout.Progressing, 2, ""))
	entry(r, 19, by("serin", rollout.KindStep, rollout.Progressing, 3, ""))
	without := by("serin", rollout.KindExcluded, rollout.Progressing, 3, "")
	without.Host, without.Fleet = "h2", 2
	entry(r, 20, without)
	promoted := by("chaos-3", rollout.KindPromoting, rollout.Promoting, 3, "")
	promoted.Fleet = 2
	entry(r, 22, promoted)
	entry(r, 23, by("serin", rollout.KindSucceeded, rollout.Succeeded, 3, ""))
	released := rollout.Event{Kind: rollout.KindReleased, Service: "shop", Host: "h2", By: "chaos-4", Text: "released"}
	entry(r, 26, released)
	r.Plans = []history.Plan{{ID: "a", Service: "shop", Version: "v1"}, {ID: "b", Service: "shop", Version: "v2", Approvals: []int{1, 2}}}
	call := func(verb history.Verb, id string, at int) history.Op {
		op := command(verb, at)
		op.ID = id
		return op
	}
	all, release := call(history.Promote, "chaos-3", 22), call(history.Release, "chaos-4", 26)
	all.Full = true
	release.Host, release.Rollout, release.Reply.Rollout = "h2", "", ""
	trigger := func(id, version, begun string, at int) history.Op {
		return history.Op{Verb: history.Trigger, Service: "shop", ID: id, Version: version, Called: seconds(at - 1), Back: seconds(at), Reply: api.Reply{OK: true, Rollout: begun}}
	}
	r.Ops = []history.Op{
		trigger("a", "v1", "shop-1", 1), trigger("b", "v2", "shop-2", 11),
		call(history.Promote, "chaos-1", 16), call(history.Promote, "chaos-2", 18), all, release,
		lookAt(15, history.View{Running: "shop-2", Stable: "v1", Phase: rollout.Paused, Step: 1, NeedsApproval: true}),
		lookAt(17, history.View{Running: "shop-2", Stable: "v1", Phase: rollout.Progressing, Step: 2, NeedsApproval: true}),
		lookAt(21, history.View{Running: "shop-2", Stable: "v1", Phase: rollout.Progressing, Step: 3}),
		lookAt(24, history.View{Stable: "v2", Phase: rollout.Succeeded, Step: 3, Held: []string{"h2"}}),
		lookAt(28, history.View{Stable: "v2", Phase: rollout.Succeeded, Step: 3}),
	}
	return r
}

// The places of steered's operations.
const (
	opFirst = iota + 2
	opSecond
	opAll
	opRelease
	lookWaiting
	lookMoving
	lookLast
	lookHeld
	lookReleased
)

// TestSteered: what people do by hand at the right time breaks no promise, and is counted.
func TestSteered(t *testing.T) {
	r := steered()
	for _, v := range slices.Concat(Linear(r), Commands(r), Events(r)) {
		t.Error(v)
	}
	if got, want := carried(r), (byCommand{approvals: 2, promotions: 1, releases: 1}); got != want {
		t.Errorf("counted are %+v, want %+v", got, want)
	}
}

// TestUnsteered: a run in which nobody did any of it says so.
func TestUnsteered(t *testing.T) {
	var all []string
	for _, a := range Unchecked(Amounts(quiet())) {
		all = append(all, a.Of)
	}
	for _, want := range []string{
		"approvals that were given", "steps that were taken by hand", "promotions by hand, all the way",
		"approvals, promotions and releases that came to nothing",
	} {
		if !slices.Contains(all, want) {
			t.Errorf("%q is not among what was not checked: %q", want, all)
		}
	}
}

// TestCommandsCanFail: what must not become of an approval, a promotion or a release is
// found.
func TestCommandsCanFail(t *testing.T) {
	const noOrder, lost = "no order", "the log does not have it"
	for name, c := range map[string]struct {
		says string
		harm func(*history.Record)
	}{
		"a step is approved twice": {noOrder, func(r *history.Record) {
			insert(r, 9, 18, by(another, rollout.KindApproved, rollout.Progressing, 2, ""))
			likewise(r, opSecond)
		}},
		"an approval counts for the next step": {noOrder, func(r *history.Record) {
			remove(r, 9)
			r.Ops = slices.Delete(r.Ops, opSecond, opSecond+1)
		}},
		"an approval by hand is of a step before": {noOrder, func(r *history.Record) { r.End.Events[9].Step, r.Events[9].Step = 1, 1 }},
		"an approval of what wants none": {noOrder, func(r *history.Record) {
			r.Plans[1].Approvals, r.Ops[lookMoving].Seen.NeedsApproval = []int{1}, false
		}},
		"an approval is lost":             {lost, func(r *history.Record) { likewise(r, opSecond) }},
		"an approval has come to nothing": {noOrder, func(r *history.Record) { r.Ops[lookLast].Seen.Step, r.Ops[lookLast].Seen.NeedsApproval = 2, true }},
		"it is asked for when it was given": {noOrder, func(r *history.Record) {
			r.Ops[lookMoving].Called, r.Ops[lookMoving].Back = seconds(18)+2*time.Millisecond, seconds(18)+3*time.Millisecond
		}},
		"it was given, and is waited for":   {noOrder, func(r *history.Record) { r.End.Events[8].Index, r.Events[8].Index = 99, 99 }},
		"it is not asked for":               {noOrder, func(r *history.Record) { r.Ops[lookMoving].Seen.NeedsApproval = false }},
		"nobody has approved":               {"nobody has asked", func(r *history.Record) { r.End.Events[9].By, r.Events[9].By = "serin", "serin" }},
		"one call approves two steps":       {"carried out 2 times", func(r *history.Record) { r.End.Events[9].By, r.Events[9].By = "chaos-1", "chaos-1" }},
		"approved before anybody called":    {noOrder, func(r *history.Record) { r.Ops[opSecond].Called, r.Ops[opSecond].Back = seconds(24), seconds(25) }},
		"an approval that was refused":      {"was refused", func(r *history.Record) { r.Ops[opSecond].Reply = api.Reply{Code: rollout.CodePhase} }},
		"an approval that is waited for":    {noOrder, func(r *history.Record) { refused(r, opFirst, 15, rollout.CodePhase) }},
		"a full promotion that is possible": {noOrder, func(r *history.Record) { refused(r, opAll, 17, rollout.CodePhase) }},
		"a pause that is possible": {noOrder, func(r *history.Record) {
			refused(r, opFirst, 17, rollout.CodePhase)
			r.Ops[len(r.Ops)-1].Verb = history.Pause
		}},
		"a step is skipped by hand": {noOrder, func(r *history.Record) { r.End.Events[8].Step, r.Events[8].Step = 3, 3 }},
		"promoted at a step before": {noOrder, func(r *history.Record) {
			r.Ops[opAll].Full, r.Ops[lookLast].Seen.Step = false, 2
			remove(r, 10)
			remove(r, 10)
		}},
		"another rollout than was meant": {"something else", func(r *history.Record) { r.Ops[opSecond].Rollout = "shop-1" }},
		"another verb than was meant":    {"something else", func(r *history.Record) { r.Ops[opSecond].Verb = history.Pause }},
		"promotes what goes back": {noOrder, func(r *history.Record) {
			r.End.Events[11].Kind, r.End.Events[11].Phase = rollout.KindRollingBack, rollout.RollingBack
			r.Events[11] = history.Event{At: r.Events[11].At, Event: r.End.Events[11]}
			r.Ops[lookLast].Seen.Phase = rollout.RollingBack
		}},
		"says that it promotes what goes back": {lost, func(r *history.Record) { *r = *quiet(); r.Ops = append(r.Ops, command(history.Promote, 20)) }},
		"released, and was not held": {noOrder, func(r *history.Record) {
			r.End.Events[14].Host, r.Events[14].Host, r.Ops[opRelease].Host = "h1", "h1", "h1"
			r.Ops[lookReleased].Seen.Held = []string{"h2"}
		}},
		"released, and still held":       {noOrder, func(r *history.Record) { r.Ops[lookReleased].Seen.Held = []string{"h2"} }},
		"held, and nobody knows":         {noOrder, func(r *history.Record) { r.Ops[lookHeld].Seen.Held = nil }},
		"held, and nothing was":          {noOrder, func(r *history.Record) { r.Ops[lookLast].Seen.Held = []string{"h2"} }},
		"a release is lost":              {lost, func(r *history.Record) { remove(r, 14) }},
		"a release that is possible":     {noOrder, func(r *history.Record) { refused(r, opRelease, 24, rollout.CodeUnknown) }},
		"a release of what runs without": {noOrder, func(r *history.Record) { refused(r, opRelease, 28, rollout.CodePhase) }},
	} {
		r := steered()
		c.harm(r)
		found := slices.Concat(Linear(r), Commands(r))
		if !slices.ContainsFunc(found, func(v Violation) bool { return v.Promise == I15 && strings.Contains(v.What, c.says) }) {
			t.Errorf("%s: want %q, got %v", name, c.says, found)
		}
	}
}

// TestCommandsThatCameToNothing: a command that was refused, or that nobody answered,
// need not have been carried out; one that nobody answered may have been.
func TestCommandsThatCameToNothing(t *testing.T) {
	for name, change := range map[string]func(*history.Record){
		"not answered, and carried out": func(r *history.Record) {
			r.Ops[opSecond].Unknown, r.Ops[opAll].Unknown, r.Ops[opRelease].Unknown = true, true, true
		},
		"not answered, and not carried out": func(r *history.Record) { likewise(r, opSecond).Unknown = true },
		"somebody came first":               func(r *history.Record) { refused(r, opSecond, 18, rollout.CodeStale) },
		"hosts have not taken the step":     func(r *history.Record) { refused(r, opFirst, 21, rollout.CodePhase) },
		"after its end":                     func(r *history.Record) { refused(r, opAll, 30, rollout.CodePhase) },
		"not held any more":                 func(r *history.Record) { refused(r, opRelease, 30, rollout.CodeUnknown) },
		"it goes on without the host":       func(r *history.Record) { refused(r, opRelease, 21, rollout.CodePhase) },
	} {
		r := steered()
		change(r)
		for _, v := range slices.Concat(Linear(r), Commands(r)) {
			t.Errorf("%s: %v", name, v)
		}
	}
}

// TestMayBeHeld: a rollout that has all hosts takes along who was held back. If one was
// not there when it began, it may have been that one.
func TestMayBeHeld(t *testing.T) {
	for name, c := range map[string]struct {
		hosts int
		held  []string
		legal bool
	}{
		"all, and none is held":            {3, nil, true},
		"all, and it is held":              {3, []string{"h2"}, false},
		"two, and none is held":            {2, nil, true},
		"two, and it is held":              {2, []string{"h2"}, true},
		"two, and one is that was not":     {2, []string{"h1"}, false},
		"two, and one is that was not too": {2, []string{"h1", "h2"}, false},
	} {
		r := steered()
		remove(r, 14)
		r.Ops = slices.Delete(r.Ops, lookReleased, lookReleased+1)
		r.Ops = slices.Delete(r.Ops, opRelease, opRelease+1)
		for i, k := range []rollout.Kind{rollout.KindSubmitted, rollout.KindStep, rollout.KindPromoting, rollout.KindSucceeded} {
			e := by("serin", k, []rollout.Phase{rollout.Preparing, rollout.Progressing, rollout.Promoting, rollout.Succeeded}[i], 1, "")
			e.Rollout, e.From, e.To, e.Steps, e.Fleet = "shop-3", "v2", "v3", 1, c.hosts
			if i == 0 {
				e.Key = "id:shop:c"
			}
			entry(r, 30+i, e)
		}
		r.Plans = append(r.Plans, history.Plan{ID: "c", Service: "shop", Version: "v3"})
		begins := r.Ops[1]
		begins.ID, begins.Version, begins.Reply.Rollout, begins.Called, begins.Back = "c", "v3", "shop-3", seconds(29), seconds(30)
		look := lookAt(40, history.View{Stable: "v3", Phase: rollout.Succeeded, Step: 1, Held: c.held})
		look.Seen.Last, look.Seen.To = "shop-3", "v3"
		r.Ops = append(r.Ops, begins, look)
		if all := slices.Concat(Linear(r), Commands(r)); (len(all) == 0) != c.legal {
			t.Errorf("%s: legal %v, want %v: %v", name, len(all) == 0, c.legal, all)
		}
	}
}

// TestPromotedByHand: a version that is bad by design may become stable if a person says
// so, and not otherwise.
func TestPromotedByHand(t *testing.T) {
	r := steered()
	r.Plans[1].Ill = "errs"
	if all := Outcomes(r); len(all) > 0 {
		t.Errorf("by hand: %v", all)
	}
	r.Ops[opAll].ID = "chaos-9"
	if len(Outcomes(r)) == 0 {
		t.Error("by serin: nothing is wrong")
	}
}

// TestHeldBack: a host that is held back has the version that it is held at, and no other.
func TestHeldBack(t *testing.T) {
	r := quiet()
	r.End.Services[0].Stable = &api.Revision{ID: "rev2", Version: "v2"}
	if len(Converged(r)) == 0 || len(Tidy(r)) == 0 {
		t.Error("a host that does not follow is not found")
	}
	r.End.Services[0].Held = []api.HeldHost{{Host: "h1", Revision: "rev1", Version: "v1"}}
	for _, v := range slices.Concat(Converged(r), Tidy(r)) {
		t.Error(v)
	}
	r.End.Services[0].Held[0].Revision = "rev3"
	if len(Converged(r)) == 0 || len(Tidy(r)) == 0 {
		t.Error("a host that is held at another version is not found")
	}
}

// TestHeldHostAnswers: who is held back at a version answers by it, although another
// rollout of that goes back; when a later one has taken the host along it does not.
func TestHeldHostAnswers(t *testing.T) {
	r := steered()
	goesBack := func(id string, at int) {
		for i, k := range []rollout.Kind{rollout.KindSubmitted, rollout.KindRollingBack, rollout.KindRolledBack} {
			e := by("serin", k, []rollout.Phase{rollout.Preparing, rollout.RollingBack, rollout.RolledBack}[i], 1, "")
			e.Rollout, e.From, e.To = id, "v2", "v1"
			entry(r, at+i, e)
		}
	}
	goesBack("shop-3", 30)
	r.Requests = []history.Request{{At: seconds(40), Host: "h2", Service: "shop", Version: "v1", Status: 200}}
	for _, v := range Traffic(r) {
		t.Error(v)
	}
	r.Requests[0].Host = "h1"
	if len(Traffic(r)) == 0 {
		t.Error("another host answers, too")
	}
	r.End.Events, r.Events = r.End.Events[:15], r.Events[:15]
	for i, k := range []rollout.Kind{rollout.KindSubmitted, rollout.KindPromoting, rollout.KindSucceeded} {
		e := by("serin", k, []rollout.Phase{rollout.Preparing, rollout.Promoting, rollout.Succeeded}[i], 1, "")
		e.Rollout, e.From, e.To, e.Fleet = "shop-3", "v2", "v3", 3
		entry(r, 27+i, e)
	}
	goesBack("shop-4", 30)
	r.Requests[0].Host = "h2"
	if len(Traffic(r)) == 0 {
		t.Error("it answers by what it had")
	}
}

// by is an event of the rollout of v2, by somebody.
func by(who string, k rollout.Kind, p rollout.Phase, step int, key string) rollout.Event {
	return rollout.Event{By: who, Kind: k, Phase: p, Step: step, Steps: 3, Key: key, Service: "shop", Rollout: "shop-2", From: "v1", To: "v2", Fleet: 3, Text: string(k)}
}

// entry adds an entry of the log that was seen at some second.
func entry(r *history.Record, at int, events ...rollout.Event) {
	index := uint64(len(r.End.Events)) + 1
	for _, e := range events {
		e.Seq, e.Index = uint64(len(r.End.Events))+1, index
		r.End.Events = append(r.End.Events, e)
		r.Events = append(r.Events, history.Event{At: seconds(at), Event: e})
	}
}

// insert puts an entry of one event before the i-th event; remove takes that away.
func insert(r *history.Record, i, at int, e rollout.Event) {
	e.Index = 99
	r.End.Events = slices.Insert(r.End.Events, i, e)
	r.Events = slices.Insert(r.Events, i, history.Event{At: seconds(at), Event: e})
	renumber(r)
}

func remove(r *history.Record, i int) {
	r.End.Events, r.Events = slices.Delete(r.End.Events, i, i+1), slices.Delete(r.Events, i, i+1)
	renumber(r)
}

func renumber(r *history.Record) {
	for i := range r.End.Events {
		r.End.Events[i].Seq, r.Events[i].Seq = uint64(i)+1, uint64(i)+1
	}
}

func lookAt(at int, v history.View) history.Op {
	v.Last, v.To = "shop-2", "v2"
	return history.Op{Client: 1, Verb: history.Look, Service: "shop", Called: seconds(at), Back: seconds(at) + time.Millisecond, Seen: v}
}

// another is the name of a call that likewise adds.
const another = "chaos-5"

// likewise adds a call like the i-th, by another name.
func likewise(r *history.Record, i int) *history.Op {
	op := r.Ops[i]
	op.ID = another
	r.Ops = append(r.Ops, op)
	return &r.Ops[len(r.Ops)-1]
}

// refused adds a call like the i-th which is refused.
func refused(r *history.Record, i, at int, code rollout.Code) {
	op := likewise(r, i)
	op.Called, op.Back, op.Reply = seconds(at)+5*time.Millisecond, seconds(at)+6*time.Millisecond, api.Reply{Code: code}
}
