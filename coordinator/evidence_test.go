package coordinator

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// atFirstStep returns a service with a rollout on three hosts, at its first step
// in epoch 5.
func atFirstStep(steps ...rollout.Step) *rollout.Service {
	from := rollout.Revision{ID: "old"}
	spec := rollout.Spec{Service: checkout, Steps: steps}
	spec.Gates.Errors = &rollout.ErrorsGate{Conduct: rollout.Conduct{Name: "errors"}, MaxIncrease: 100}
	return &rollout.Service{
		Name: checkout, Epoch: 5, Stable: &from,
		Active: &rollout.Rollout{
			ID: "checkout-1", Service: checkout, Spec: spec, From: &from, To: rollout.Revision{ID: "new"},
			Hosts: []string{"a", "b", "c"}, Phase: rollout.Progressing, StepAt: time.Second,
		},
	}
}

func twoHosts() rollout.Step {
	return rollout.Step{Hosts: rollout.HostCount{Count: 2}, Weight: 1000, Hold: time.Minute}
}

// then returns the service after a transition in the given epoch.
func then(svc *rollout.Service, epoch uint64, change func(*rollout.Rollout)) *rollout.Service {
	next, active := *svc, *svc.Active
	change(&active)
	next.Epoch, next.Active = epoch, &active
	return &next
}

func TestSettledWhenTheWholeWaveIsInTheCurrentEpoch(t *testing.T) {
	w := newWatch(atFirstStep(twoHosts()), 0, time.Second)
	hear := func(host string, epoch uint64, settled bool, at time.Duration, want time.Duration) {
		t.Helper()
		w.hear(host, wire.ServiceHealth{Service: checkout, Epoch: epoch, Settled: settled, Incarnation: "1"}, at)
		if got := w.evidence(at).SettledAt; got != want {
			t.Errorf("after %s at %s: settled at %s, want %s", host, at, got, want)
		}
	}
	hear("a", 5, true, 2*time.Second, -1)
	hear("c", 5, true, 3*time.Second, -1) // not of the wave
	hear("b", 4, true, 4*time.Second, -1) // settled in what was before
	hear("b", 5, false, 5*time.Second, -1)
	hear("b", 5, true, 6*time.Second, 6*time.Second)
	hear("b", 5, false, 7*time.Second, 6*time.Second) // Decide asks the hosts themselves, too
}

func TestApprovalDoesNotBeginTheHoldAgain(t *testing.T) {
	svc := atFirstStep(twoHosts())
	w := newWatch(svc, 0, time.Second)
	for _, host := range []string{"a", "b"} {
		w.hear(host, wire.ServiceHealth{Epoch: 5, Settled: true, Incarnation: "1"}, 2*time.Second)
	}
	approved := then(svc, 6, func(r *rollout.Rollout) { r.Approved = true })
	w.sync(approved)
	if got := w.evidence(3 * time.Second).SettledAt; got != 2*time.Second {
		t.Errorf("after the approval the hold counts from %s, want 2s", got)
	}
	resumed := then(approved, 8, func(r *rollout.Rollout) { r.StepAt = 9 * time.Second })
	w.sync(resumed)
	if got := w.evidence(9 * time.Second).SettledAt; got != -1 {
		t.Errorf("after pause and resume the hold counts from %s, want from when it is settled again", got)
	}
}

// After a failed gate the canary waits without traffic; who resumes wants it
// tried anew, and not paused again for what it did before.
func TestResumeAfterAFailedGateJudgesAnew(t *testing.T) {
	svc := atFirstStep(twoHosts())
	w := newWatch(svc, 0, time.Second)
	now, n := 2*time.Second, int64(0)
	for range 12 {
		for _, host := range []string{"a", "b"} {
			w.hear(host, wire.ServiceHealth{
				Epoch: 5, Incarnation: "1", CanaryInstances: 1,
				CanaryCounts: analysis.Counts{Requests: n, Errors: n / 2},
				StableCounts: map[string]analysis.Counts{"a1": {Requests: 9 * n}},
			}, now)
		}
		now, n = now+5*time.Second, n+100
	}
	if v := w.evidence(now).Verdict; v.Outcome != analysis.Fail {
		t.Fatalf("half of the answers are errors, yet: %s: %s", v.Outcome, v.Reason)
	}
	parked := then(svc, 6, func(r *rollout.Rollout) { r.Phase, r.Parked = rollout.Paused, true })
	w.sync(parked)
	w.sync(then(parked, 7, func(r *rollout.Rollout) {
		r.Phase, r.Parked, r.StepAt = rollout.Progressing, false, now
	}))

	if v := w.evidence(now).Verdict; v.Outcome != analysis.Wait {
		t.Errorf("just resumed: %s: %s", v.Outcome, v.Reason)
	}
}

// What was served before counts neither against the canary nor for it: to a leader that takes over
// in the second step, where equal versions look unequal over both, and after a failure that a person
// has overruled.
func TestOnlyWhatIsServedFromNowOnIsJudged(t *testing.T) {
	all := rollout.Step{Hosts: rollout.HostCount{Share: rollout.Full}, Weight: 100}
	svc := atFirstStep(all, all)
	svc.Active.Hosts = nil
	for k := range 40 {
		svc.Active.Hosts = append(svc.Active.Hosts, strconv.Itoa(k))
	}
	takenOver := func() *watch {
		return newWatch(then(svc, 6, func(r *rollout.Rollout) { r.Step = 1 }), 0, time.Second)
	}
	resumed := func() *watch {
		w := newWatch(then(svc, 6, func(r *rollout.Rollout) { r.Phase, r.Parked = rollout.Paused, true }), 0, time.Second)
		w.sync(then(svc, 7, func(r *rollout.Rollout) { r.StepAt = time.Minute }))
		return w
	}
	for name, watching := range map[string]func() *watch{"taken over": takenOver, "resumed": resumed} {
		for _, canary := range []analysis.Counts{{Requests: 1000, Errors: 1}, {Requests: 11_000, Errors: 301}} {
			w := watching()
			for _, host := range w.rollout.Hosts {
				w.hear(host, wire.ServiceHealth{
					Epoch: w.epoch, Incarnation: "1", CanaryInstances: 1, CanaryCounts: canary,
					StableCounts: map[string]analysis.Counts{"s": {Requests: 98_000 + canary.Requests, Errors: 98 + canary.Errors}},
				}, 2*time.Minute)
			}
			if v := w.evidence(2 * time.Minute).Verdict; v.Outcome != analysis.Wait || v.Canary.Requests != 0 {
				t.Errorf("%s: %s by %d requests: %s", name, v.Outcome, v.Canary.Requests, v.Reason)
			}
		}
	}
}

func TestZeroMillisCountsToTheLastHostOfTheWave(t *testing.T) {
	for name, c := range map[string]struct {
		took time.Duration // of the leader that watches
		want int64
	}{"own decision": {0, 250}, "predecessor's": {10 * time.Second, -1}} {
		svc := atFirstStep(twoHosts())
		w := newWatch(svc, c.took, time.Second)
		w.sync(then(svc, 7, func(r *rollout.Rollout) { r.Phase, r.PhaseAt = rollout.RollingBack, 10*time.Second }))
		for _, report := range []struct {
			host   string
			epoch  uint64
			weight int
			after  time.Duration
		}{{"a", 5, 0, 50}, {"a", 7, 0, 100}, {"b", 7, 1000, 150}, {"b", 7, 0, 250}, {"a", 7, 0, 400}} {
			if report.after <= 250 && w.evidence(0).ZeroMillis != -1 {
				t.Errorf("%s: known before the last host reported", name)
			}
			at := 10*time.Second + report.after*time.Millisecond
			w.hear(report.host, wire.ServiceHealth{Epoch: report.epoch, Weight: report.weight}, at)
		}
		if got := w.evidence(0).ZeroMillis; got != c.want {
			t.Errorf("%s: %d ms, want %d", name, got, c.want)
		}
	}
}

func TestBaselineGrowsWithWhatStableServed(t *testing.T) {
	svc := atFirstStep(twoHosts())
	svc.Active.Baseline = rollout.Baseline{Requests: 1000, Errors: 3}
	w := newWatch(svc, 0, 0)
	for i := range int64(20) {
		w.hear("a", wire.ServiceHealth{
			Epoch: 5, Incarnation: "1", CanaryInstances: 1,
			CanaryCounts: analysis.Counts{Requests: 10 * i},
			StableCounts: map[string]analysis.Counts{"a1": {Requests: 90 * i, Errors: i}},
		}, time.Duration(i)*time.Second)
	}
	if got := w.evidence(20 * time.Second).Baseline; got.Requests < 1000+90*10 || got.Errors <= 3 {
		t.Errorf("baseline %+v", got)
	}
}

func TestPoolSumsBothSides(t *testing.T) {
	p := newPool()
	report := func(host string, k int, inWave bool, life string, canary, stable int64) {
		p.add(host, k, inWave, wire.ServiceHealth{
			Incarnation: life, CanaryCounts: analysis.Counts{Requests: canary},
			StableCounts: map[string]analysis.Counts{"a1": {Requests: stable}},
		})
	}
	report("a", 0, true, "1", 100, 7) // where counting begins
	report("b", 1, false, "1", 0, 50)
	report("a", 0, true, "1", 130, 9)
	report("b", 1, false, "1", 0, 90)
	report("a", 0, true, "2", 5, 0) // its counters began again
	got := p.report(time.Minute, 2)
	if got.Canary.Requests != 35 || got.Stable["host-1"].Requests != 40 || got.CanaryInstances != 2 {
		t.Errorf("pooled: %+v", got)
	}
	before := got.Incarnation
	p.restart(false)
	report("a", 0, true, "2", 25, 0)
	if got := p.report(time.Minute, 2); got.Canary.Requests != 20 || got.Incarnation == before {
		t.Errorf("after a restart: %+v", got)
	}
}

// TestPoolKeepsThePast: what hosts counted while all ran stable is told by side,
// the same by whoever heard only the end of it, and without what came later.
func TestPoolKeepsThePast(t *testing.T) {
	hosts := map[string]int{"a": 0, "b": 1, "c": 2}
	play := func(from int64) *pool {
		p := newPool()
		report := func(host string, n int64) {
			h := wire.ServiceHealth{
				Incarnation: "1-shop-2", StableCounts: map[string]analysis.Counts{"s": {Requests: 10 * n, Errors: n}},
				Signals: map[string]analysis.Signal{"orders": {Stable: map[string]analysis.Counts{"s": {Requests: n}}}},
			}
			p.meet(host, h.Incarnation, "shop-2")
			p.add(host, hosts[host], hosts[host] == 0, h)
		}
		for n := from; n <= 5; n++ {
			for host := range hosts {
				report(host, n)
			}
		}
		p.restart(false)
		report("b", 100)
		return p
	}
	want := map[string]analysis.Sides{
		served:   {Canary: analysis.Counts{Requests: 50, Errors: 5}, Stable: analysis.Counts{Requests: 100, Errors: 10}},
		"orders": {Canary: analysis.Counts{Requests: 5}, Stable: analysis.Counts{Requests: 10}},
	}
	for _, from := range []int64{1, 4} {
		if diff := cmp.Diff(want, play(from).before(hosts, 1)); diff != "" {
			t.Errorf("heard from report %d on:\n%s", from, diff)
		}
	}
	if got := play(1).before(map[string]int{"b": 0, "c": 1}, 1)[served]; got.Canary.Requests != 50 || got.Stable.Requests != 50 {
		t.Errorf("without a host that was left out: %+v", got)
	}
}

func TestFleetKeepsTheLatestReport(t *testing.T) {
	f := newFleet(0)
	for i, c := range []struct {
		started  string
		run      uint64 // 0: from a release that does not count them
		sequence uint64
		at       time.Duration
		want     bool
	}{
		{"a", 0, 5, 0, true},
		{"a", 0, 4, 0, false},
		{"a", 0, 6, 0, true},
		{"b", 8, 1, 0, true},
		{"c", 7, 9, 0, false}, // the run before, overtaken by the new one's first report
		{"b", 8, 2, 0, true},
		{"d", 0, 1, 0, true}, // a release before this one again
		{"e", 9, 1, time.Second, true},
		{"f", 3, 1, time.Second, false},
		{"f", 3, 2, time.Second + liveFor, true}, // its count was lost, and nothing is heard of the other
	} {
		h := wire.Health{Host: "a", Started: c.started, Run: c.run, Sequence: c.sequence, Labels: map[string]string{"role": "web"}}
		if _, _, got := f.hear(h, c.at); got != c.want {
			t.Errorf("report %d: taken %t", i, got)
		}
	}
	web := rollout.Selector{Labels: map[string]string{"role": "web"}}
	if got := f.live(web, time.Second+liveFor+10*time.Second); len(got) != 1 {
		t.Errorf("live: %v", got)
	}
	if got := f.live(web, time.Second+liveFor+10*time.Second+liveFor); len(got) != 0 {
		t.Errorf("live after a long silence: %v", got)
	}
}

func TestInboxTakesTheHostItsSubjectNames(t *testing.T) {
	b := newInbox()
	for subject, host := range map[string]string{"web-01_example_com": "web-01.example.com", "web-02": "web-01.example.com"} {
		data, err := wire.EncodeHealth(wire.Health{Host: host, Started: "1", Sequence: 1, Nonce: 1})
		if err != nil {
			t.Fatal(err)
		}
		b.receive(bus.Msg{Subject: bus.HealthSubject(subject), Data: data})
	}
	b.receive(bus.Msg{Subject: bus.HealthSubject("web-03"), Data: []byte("nonsense")})
	if taken := b.take(); len(taken) != 1 || b.dropped.Load() != 2 {
		t.Errorf("%d taken, %d dropped", len(taken), b.dropped.Load())
	}
}

func TestKeys(t *testing.T) {
	at := time.Unix(7, 9)
	for got, want := range map[string]string{
		keyOfID("checkout", "ci#9"):                         "id:checkout:ci#9",
		keyOfPlace(bus.Trigger{StreamSeq: 17, At: at}):      "stream:17@7000000009",
		keyOfID("checkout", string(make([]byte, 200)))[:12]: "id:checkout:",
	} {
		if got != want {
			t.Errorf("key %q, want %q", got, want)
		}
	}
	if contentHash("a", []byte("bc")) == contentHash("ab", []byte("c")) {
		t.Error("service and content run together")
	}
	if len(keyOfID("checkout", string(make([]byte, 200)))) > 100 {
		t.Error("a long id makes a long key")
	}
}

// What a host counted as one of the fleet does not count once more for itself: not
// when the canary is parked, nor when only the wave is left of the fleet.
func TestAHostIsJudgedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*rollout.Rollout)
		before int64 // of what was served before the change
	}{
		"parked": {func(r *rollout.Rollout) { r.Phase, r.Parked = rollout.Paused, true }, 1},
		"others lost": {func(r *rollout.Rollout) {
			r.Hosts, r.StepAt, r.StepEpoch = r.Hosts[:1], time.Minute, 6
		}, 0},
	} {
		svc := atFirstStep(rollout.Step{Hosts: rollout.HostCount{Count: 1}, Weight: rollout.Full})
		w := newWatch(then(svc, 4, func(r *rollout.Rollout) { r.Phase = rollout.Preparing }), 0, 0)
		w.sync(svc) // the evidence is heard from its beginning
		epoch, served := uint64(5), int64(0)
		report := func(seconds int) {
			for range seconds {
				served += 10
				at := time.Duration(served) * 100 * time.Millisecond
				w.hear("a", wire.ServiceHealth{Epoch: epoch, Incarnation: "1", CanaryInstances: 1, CanaryCounts: analysis.Counts{Requests: served}}, at)
				for _, host := range []string{"b", "c"} {
					w.hear(host, wire.ServiceHealth{Epoch: epoch, Incarnation: "1", StableCounts: map[string]analysis.Counts{"s": {Requests: served}}}, at)
				}
			}
		}
		report(60)
		before := served
		epoch = 6
		w.sync(then(svc, epoch, c.change))
		report(60)
		got := w.evidence(3 * time.Minute).Verdict.Canary.Requests
		if least, most := c.before*before/2, c.before*before+served-before; got < least || got > most {
			t.Errorf("%s: judged by %d requests of the canary; there were %d before and %d after", name, got, before, served-before)
		}
	}
}

// A pass is of now: where nothing arrives any more, nobody goes on by what was.
func TestSilenceOfAllHosts(t *testing.T) {
	w := newWatch(atFirstStep(twoHosts()), 0, time.Second)
	at := time.Second
	for n := int64(1); w.evidence(at).Verdict.Outcome != analysis.Pass; n++ {
		if n == 1000 {
			t.Fatal(w.evidence(at).Verdict.Reason)
		}
		at += time.Second
		for _, host := range []string{"a", "b"} {
			w.hear(host, wire.ServiceHealth{
				Service: checkout, Epoch: 5, Settled: true, Incarnation: "1", CanaryInstances: 1,
				CanaryCounts: analysis.Counts{Requests: 10 * n}, StableCounts: map[string]analysis.Counts{"s": {Requests: 50 * n}},
			}, at)
		}
	}
	silent := at + analysis.Silence
	if next := w.nextSilence(at); next != silent {
		t.Errorf("looks again at %s, want %s", next, silent)
	}
	if v := w.evidence(silent - 1).Verdict; v.Outcome != analysis.Pass {
		t.Errorf("%s: %s", v.Outcome, v.Reason)
	}
	if v := w.evidence(silent).Verdict; v.Outcome != analysis.Wait || !strings.Contains(v.Reason, "nothing has been heard of errors for 1m0s") {
		t.Errorf("%s: %s", v.Outcome, v.Reason)
	}
	if next := w.nextSilence(silent); next != rollout.Never {
		t.Errorf("looks again at %s though nothing can change", next)
	}
}
