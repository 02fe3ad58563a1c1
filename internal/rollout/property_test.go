package rollout_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestInvariants drives the core with a fleet that follows late, reports late
// and dies, with operators and triggers at the worst time, with leaders that
// forget all evidence and with commands that arrive long after they were
// decided. After every action the promises must hold; at the end everything
// heals and the fleet must come to rest.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newModelFleet(rapid.IntRange(1, 8).Draw(t, "hosts"))
		if rapid.Bool().Draw(t, "installed") {
			f.install(t)
		}
		t.Repeat(map[string]func(*rapid.T){
			"":         f.check,
			"submit":   f.submit,
			"operate":  f.operate,
			"deliver":  f.deliver,
			"work":     f.work,
			"report":   f.report,
			"judge":    f.judge,
			"look":     f.look,
			"wait":     f.wait,
			"decide":   func(t *rapid.T) { f.propose(t, f.decide(t)...) },
			"hesitate": func(t *rapid.T) { f.late = append(f.late, f.decide(t)...) },
			"late":     f.deliverLate,
			"failover": f.failover,
			"freeze":   f.freeze,
		})
		f.heal(t)
	})
}

// modelHost is a host as far as the core can see it.
type modelHost struct {
	accepted rollout.Assignment
	settled  bool
	deaths   int
}

type modelFleet struct {
	names    []string
	hosts    map[string]*modelHost
	state    *rollout.State
	log      []rollout.Entry
	evidence rollout.Evidence
	now      time.Duration
	late     []rollout.Command
	submits  int
	before   map[string]rollout.Rollout // the running rollouts before the last entry
}

func newModelFleet(n int) *modelFleet {
	f := &modelFleet{hosts: map[string]*modelHost{}, state: rollout.NewState(), evidence: rollout.Evidence{}}
	for i := range n {
		name := fmt.Sprintf("h%d", i)
		f.names = append(f.names, name)
		f.hosts[name] = &modelHost{}
	}
	return f
}

func (f *modelFleet) propose(t *rapid.T, commands ...rollout.Command) {
	for _, c := range commands {
		f.before = map[string]rollout.Rollout{}
		for name, svc := range f.state.Services {
			if svc.Active != nil {
				f.before[name] = *svc.Active
			}
		}
		published, was := f.state.Clone(), asJSON(t, f.state)
		entry := rollout.Entry{Stamp: rollout.Stamp{At: f.now, By: "model"}, Command: c}
		f.log = append(f.log, entry)
		f.state = f.state.Clone()
		result := f.state.Apply(uint64(len(f.log)), entry)
		if got := asJSON(t, published); got != was {
			t.Fatalf("applying changed a published state:\n%s\n%s", was, got)
		}
		if result.Refused != nil && result.Refused.Code == rollout.CodeStale && asJSON(t, f.state.Services) != asJSON(t, published.Services) {
			t.Fatalf("I1: a stale %T changed the services", c)
		}
		f.checkTransitions(t)
		f.checkFreeze(t, published, c, result)
	}
}

var follows = map[rollout.Phase][]rollout.Phase{
	rollout.Preparing:   {rollout.Preparing, rollout.Progressing, rollout.RollingBack},
	rollout.Progressing: {rollout.Progressing, rollout.Paused, rollout.Promoting, rollout.RollingBack},
	rollout.Paused:      {rollout.Paused, rollout.Progressing, rollout.Promoting, rollout.RollingBack},
	rollout.Promoting:   {rollout.Promoting, rollout.Succeeded},
	rollout.RollingBack: {rollout.RollingBack, rollout.RolledBack, rollout.Aborted},
}

// checkTransitions is I1: no phase is skipped or entered twice, steps go one by
// one, and what ends has a cause.
func (f *modelFleet) checkTransitions(t *rapid.T) {
	for name, old := range f.before {
		now, ok := f.state.Find(old.ID)
		if !ok {
			t.Fatalf("I3: %s is gone", old.ID)
		}
		if !slices.Contains(follows[old.Phase], now.Phase) {
			t.Fatalf("I1: %s went from %s to %s", old.ID, old.Phase, now.Phase)
		}
		if over := len(now.Excluded) - max(1, len(f.names)/10); over > 0 {
			t.Fatalf("%s left out %d hosts of %d", old.ID, len(now.Excluded), len(f.names))
		}
		if over := len(now.Lost) - max(1, now.Spec.MaxLost.Of(len(f.names))); over > 0 || len(now.Hosts) == 0 {
			t.Fatalf("%s lost %d hosts of %d", old.ID, len(now.Lost), len(f.names))
		}
		for _, x := range now.Excluded {
			if _, held := f.state.Services[name].Held[x.Host]; now.Phase == rollout.Promoting && old.Phase != rollout.Promoting && !held {
				t.Fatalf("%s was excluded from %s, yet is promoted with it", x.Host, old.ID)
			}
		}
		if now.Phase == rollout.Progressing && now.Step != old.Step && now.Step != old.Step+1 {
			t.Fatalf("I1: %s went from step %d to %d", old.ID, old.Step, now.Step)
		}
		if now.Kept != nil && now.Phase == rollout.Succeeded && asJSON(t, f.state.Services[name].Spec.Steps) != asJSON(t, now.Kept.Steps) && f.state.Services[name].Active == nil {
			t.Fatalf("%s went back, and its path stays with the service", old.ID)
		}
		if (now.Phase == rollout.RolledBack || now.Phase == rollout.Aborted) && now.Cause == "" {
			t.Fatalf("I4: %s ended without a cause", old.ID)
		}
		if svc := f.state.Services[name]; now.Phase == rollout.RolledBack && svc.Stable != nil && svc.Stable.ID == now.To.ID {
			t.Fatalf("I10: %s was rolled back, yet is stable", old.ID)
		}
	}
}

func (f *modelFleet) submit(t *rapid.T) {
	f.submits++
	steps := rapid.SampledFrom([][]rollout.Step{
		nil,
		{{Hosts: rollout.HostCount{Count: 1}, Weight: 100}, {Hosts: rollout.HostCount{Share: rollout.Full}, Weight: rollout.Full}},
		{{Hosts: rollout.HostCount{Share: 5000}, Weight: 5000, Approve: true}, {Hosts: rollout.HostCount{Share: rollout.Full}, Weight: rollout.Full, Hold: time.Minute}},
	}).Draw(t, "steps")
	spec := rollout.Spec{
		Service: "web", Image: fmt.Sprintf("web:%d", f.submits), Container: rollout.Container{Port: 80}, Steps: steps,
		Strategy:  rapid.SampledFrom([]rollout.Strategy{rollout.Canary, rollout.BlueGreen, rollout.Rolling}).Draw(t, "strategy"),
		OnFailure: rapid.SampledFrom([]rollout.OnFailure{rollout.RollBackOnFailure, rollout.PauseOnFailure}).Draw(t, "on_failure"),
		Gates: rollout.Gates{
			Errors:  &rollout.ErrorsGate{MaxIncrease: 50},
			OneHost: rapid.SampledFrom([]rollout.OneHost{rollout.ExcludeHost, rollout.PauseForHost, rollout.FailForHost}).Draw(t, "one_host"),
		},
	}
	if rapid.Bool().Draw(t, "auto") {
		spec.Steps, spec.Strategy, spec.Pace, spec.Auto = nil, rollout.Canary, rollout.AutoPace, &rollout.Auto{Regression: 100, Exposure: 50}
	}
	spec = spec.WithDefaults()
	if problem := spec.Validate(); problem != nil {
		t.Fatalf("model spec: %v", problem)
	}
	key := fmt.Sprintf("k%d", rapid.IntRange(max(1, f.submits-1), f.submits).Draw(t, "key"))
	replace := rapid.Bool().Draw(t, "replace")
	f.propose(t, rollout.Submit{
		Key: key, Spec: spec, To: rollout.NewRevision(spec, spec.Image+"@sha256:x"), Hosts: f.names, Replace: replace,
		Back: rapid.IntRange(0, 3).Draw(t, "back") == 0, Override: rapid.IntRange(0, 3).Draw(t, "override") == 0,
	})
}

// freeze freezes or thaws the fleet or its service.
func (f *modelFleet) freeze(t *rapid.T) {
	name := rapid.SampledFrom([]string{rollout.Fleet, "web"}).Draw(t, "frozen")
	span := time.Duration(rapid.IntRange(0, 3).Draw(t, "minutes")) * 7 * time.Minute
	f.propose(t, rapid.SampledFrom([]rollout.Command{
		rollout.Freeze{Service: name, For: span, Reason: "an incident"},
		rollout.Thaw{Service: name},
	}).Draw(t, "command"))
}

// checkFreeze: nothing begins while it is frozen out, ways back do.
func (f *modelFleet) checkFreeze(t *rapid.T, before *rollout.State, c rollout.Command, result rollout.Result) {
	frozen := len(before.Freezes("web", f.state.Clock)) > 0
	submit, _ := c.(rollout.Submit)
	passes := submit.Back || submit.Override
	for _, e := range result.Events {
		svc := f.state.Services["web"]
		if e.Kind == rollout.KindSubmitted && frozen && !passes && svc.Active.Kept == nil && svc.Active.Override == "" {
			t.Fatalf("%s began while it was frozen", e.Rollout)
		}
	}
	if r := result.Refused; r != nil && r.Code == rollout.CodeFrozen && !result.Repeat && (!frozen || passes) {
		t.Fatalf("refused, though nothing is in its way: %v", r)
	}
	if svc := f.state.Services["web"]; svc != nil && svc.Next != nil && !svc.Next.Back && !svc.Next.Override && frozen {
		t.Fatal("something waits to begin that a freeze keeps out")
	}
}

func (f *modelFleet) target() (rollout.Target, bool) {
	svc := f.state.Services["web"]
	if svc == nil || svc.Active == nil {
		return rollout.Target{}, false
	}
	return rollout.Target{Service: "web", Rollout: svc.Active.ID, Epoch: svc.Epoch}, true
}

func (f *modelFleet) operate(t *rapid.T) {
	target, ok := f.target()
	if !ok {
		t.Skip("nothing runs")
	}
	f.propose(t, rapid.SampledFrom([]rollout.Command{
		rollout.Pause{Target: target},
		rollout.Resume{Target: target},
		rollout.Approve{Target: target},
		rollout.Advance{Target: target},
		rollout.Promote{Target: target},
		rollout.Abort{Target: target},
		rollout.Release{Service: "web", Host: rapid.SampledFrom(f.names).Draw(t, "released")},
	}).Draw(t, "command"))
}

// deliver brings the current assignment to one host; the host refuses one that
// is older than what it has accepted.
func (f *modelFleet) deliver(t *rapid.T) {
	f.deliverTo(rapid.SampledFrom(f.names).Draw(t, "host"))
}

func (f *modelFleet) deliverTo(name string) {
	h := f.hosts[name]
	a, ok := f.state.Assignment("web", name, nil)
	if !ok || a.Epoch <= h.accepted.Epoch {
		return
	}
	if a.Rollout != h.accepted.Rollout {
		h.deaths = 0
	}
	h.accepted, h.settled = a, false
}

func (f *modelFleet) work(t *rapid.T) {
	h := f.hosts[rapid.SampledFrom(f.names).Draw(t, "host")]
	if h.accepted.Canary != nil && rapid.IntRange(0, 9).Draw(t, "luck") == 0 {
		h.deaths++
		h.settled = false
		return
	}
	h.settled = true
}

func (f *modelFleet) report(t *rapid.T) {
	f.reportOf(rapid.SampledFrom(f.names).Draw(t, "host"))
}

func (f *modelFleet) reportOf(name string) {
	e, h := f.evidence["web"], f.hosts[name]
	if e.Hosts == nil {
		e = rollout.ServiceEvidence{Hosts: map[string]rollout.HostEvidence{}, ZeroMillis: -1}
	}
	e.Hosts[name] = rollout.HostEvidence{
		Epoch: h.accepted.Epoch, Settled: h.settled, HasImage: true, Weight: h.accepted.Weight, Deaths: h.deaths, Death: "exit code 1",
		SeenAt: f.now,
	}
	e.HeardAt = f.now
	e.SettledAt = f.settledAt(e)
	f.evidence["web"] = e
}

// failover leaves nothing but the state: the new leader begins to listen.
func (f *modelFleet) failover(*rapid.T) {
	f.evidence = rollout.Evidence{"web": {Hosts: map[string]rollout.HostEvidence{}, ZeroMillis: -1, SettledAt: -1, Since: f.now}}
}

func (f *modelFleet) settledAt(e rollout.ServiceEvidence) time.Duration {
	svc := f.state.Services["web"]
	if svc == nil || svc.Active == nil {
		return -1
	}
	for _, name := range svc.Active.Hosts[:svc.Active.Wave()] {
		if h := e.Hosts[name]; h.Epoch != svc.Epoch || !h.Settled {
			return -1
		}
	}
	return f.now
}

func (f *modelFleet) judge(t *rapid.T) {
	e, ok := f.evidence["web"]
	if !ok {
		t.Skip("no evidence")
	}
	e.Verdict.Outcome = rapid.SampledFrom([]analysis.Outcome{analysis.Wait, analysis.Pass, analysis.Fail}).Draw(t, "outcome")
	e.Verdict.Outlier = ""
	if rapid.IntRange(0, 2).Draw(t, "alone") == 0 {
		e.Verdict.Outcome, e.Verdict.Outlier = analysis.Wait, rapid.SampledFrom(f.names).Draw(t, "outlier")
	}
	e.Verdict.Canary.Requests = rapid.Int64Range(0, 1_000_000).Draw(t, "requests")
	f.evidence["web"] = e
}

func (f *modelFleet) wait(t *rapid.T) {
	f.now += time.Duration(rapid.IntRange(1, 900).Draw(t, "seconds")) * time.Second
}

// decide looks; a second look at the same must be the same, and silent after
// silence.
func (f *modelFleet) decide(t *rapid.T) []rollout.Command {
	commands, look := rollout.Decide(f.state, f.evidence, f.now)
	again, lookAgain := rollout.Decide(f.state, f.evidence, f.now)
	if asJSON(t, commands) != asJSON(t, again) || look != lookAgain {
		t.Fatalf("two looks differ: %s at %v, %s at %v", asJSON(t, commands), look, asJSON(t, again), lookAgain)
	}
	if len(commands) == 0 && look <= f.now {
		t.Fatalf("no command, yet the next look is at once: the leader would spin")
	}
	if _, running := f.target(); running && len(commands) == 0 && look == rollout.Never {
		t.Fatalf("I4: a running rollout waits without a deadline: %s", asJSON(t, f.state))
	}
	return commands
}

// deliverLate applies commands that a deposed leader decided long ago.
func (f *modelFleet) deliverLate(t *rapid.T) {
	f.propose(t, f.late...)
	f.late = nil
}

// check looks at what must hold at every moment.
func (f *modelFleet) check(t *rapid.T) {
	svc := f.state.Services["web"]
	if svc == nil {
		return
	}
	for _, name := range f.names {
		a, ok := f.state.Assignment("web", name, nil)
		r := svc.Active
		if r == nil || r.Phase == rollout.Promoting {
			if ok && a.Canary != nil {
				t.Fatalf("I10: a canary is wanted on %s though none is in flight", name)
			}
			continue
		}
		held, isHeld := svc.Held[name]
		if isHeld && (a.Stable == nil || a.Stable.ID != held.ID) {
			t.Fatalf("%s is held at %s, but is to run %v", name, held.ID, a.Stable)
		}
		if r.From != nil && !isHeld && (a.Stable == nil || a.Stable.ID != r.From.ID) {
			t.Fatalf("I7: stable is not kept warm on %s in %s", name, r.Phase)
		}
		if slices.ContainsFunc(r.Excluded, func(x rollout.Exclusion) bool { return x.Host == name }) && a.Canary != nil {
			t.Fatalf("%s is excluded, yet has a canary", name)
		}
		if slices.Contains(r.Lost, name) && (a.Canary != nil || slices.Contains(r.Hosts, name)) {
			t.Fatalf("%s is lost, yet takes part", name)
		}
		if a.Canary != nil && a.Canary.ID == a.Stable.ID {
			t.Fatalf("%s has one revision on both tracks", name)
		}
		if a.Weight > 0 && a.Canary == nil {
			t.Fatalf("weight without a canary on %s", name)
		}
		if wave, _ := f.state.Wave("web"); a.Weight > wave.Weight || a.Canary != nil && a.Canary.ID != wave.Canary {
			t.Fatalf("the broadcast would lower %s below its assignment", name)
		}
	}
	for i, e := range f.state.Outbox {
		if e.Seq != f.state.Outbox[0].Seq+uint64(i) {
			t.Fatalf("I11: events have a gap before %d", e.Seq)
		}
	}
}

// install puts a first revision on the fleet, so that rollouts have something
// to go back to.
func (f *modelFleet) install(t *rapid.T) {
	f.submit(t)
	for _, running := f.target(); running; _, running = f.target() {
		f.follow()
		f.propose(t, f.decide(t)...)
		f.now += 10 * time.Minute
	}
}

// look is what mostly happens: all hosts follow, and the leader decides.
func (f *modelFleet) look(t *rapid.T) {
	f.follow()
	f.judge(t)
	f.propose(t, f.decide(t)...)
}

// follow lets every host be as it should, and say so.
func (f *modelFleet) follow() {
	for _, name := range f.names {
		f.deliverTo(name)
		f.hosts[name].settled = true
		f.reportOf(name)
	}
}

// heal lets everything follow and expects rest (I4, I10), then replays the log.
func (f *modelFleet) heal(t *rapid.T) {
	for round := 0; ; round++ {
		f.follow()
		f.propose(t, f.decide(t)...)
		f.check(t)
		if _, running := f.target(); !running {
			break
		}
		f.now += 10 * time.Minute
		if round > 40 {
			t.Fatalf("I4: the rollout does not end: %s", asJSON(t, f.state))
		}
	}
	f.checkConverged(t)
	replayed := rollout.NewState()
	for i, entry := range f.log {
		replayed.Apply(uint64(i+1), entry)
	}
	if got, want := asJSON(t, replayed), asJSON(t, f.state); got != want {
		t.Fatalf("I9: replaying the log gives another state:\n%s\n%s", want, got)
	}
}

func (f *modelFleet) checkConverged(t *rapid.T) {
	svc := f.state.Services["web"]
	if svc == nil {
		return
	}
	for _, name := range f.names {
		f.deliverTo(name)
		a := f.hosts[name].accepted
		want := svc.Stable
		if held, ok := svc.Held[name]; ok {
			want = &held
		}
		if a.Canary != nil || a.Weight != 0 || (a.Stable == nil) != (want == nil) ||
			(a.Stable != nil && a.Stable.ID != want.ID) {
			t.Fatalf("I10: %s does not converge: %+v", name, a)
		}
	}
}

func asJSON(t *rapid.T, v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
