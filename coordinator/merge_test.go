package coordinator

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// said is what a replica hears: a report, or what the log says.
type said struct {
	at     time.Duration // when it is heard
	report arrival
	state  *rollout.Service // nil: it is a report
}

// TestReplicasJudgeTheSame: replicas that hear the same reports of each host, in
// whatever order between hosts and whenever they learn of what was decided, have
// the same verdict of all gates, to the last bit and with all that it follows
// from; but for what users say, which each hears for itself.
func TestReplicasJudgeTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		course, reports := drawRollout(t)
		first, second := course[0], course[0]
		a, b := newWatch(first, 0, 0), newWatch(second, 0, 0)
		for k, w := range []*watch{a, b} {
			w.feedback = newFeedback()
			w.feedback.add(opinion{checkout, "new", "complaint"}, int64(5*k))
		}
		play(a, drawArrivals(t, "leader", course, reports, 0))
		play(b, drawArrivals(t, "follower", course, reports, 2*time.Second))
		at := reports[len(reports)-1].mark
		x, y := a.panel.Verdict(at), b.panel.Verdict(at)
		for _, v := range []*analysis.Verdict{&x, &y} {
			v.Findings = slices.DeleteFunc(v.Findings, func(f analysis.Finding) bool { return f.Gate == opinionsGate })
		}
		if diff := cmp.Diff(x, y); diff != "" {
			t.Fatalf("-first +second:\n%s", diff)
		}
		if x.Canary.Requests == 0 || !a.shared() || !b.shared() || len(x.Findings) != 7 {
			t.Fatalf("%d requests, shared: %t, %t, %d findings", x.Canary.Requests, a.shared(), b.shared(), len(x.Findings))
		}
	})
}

const opinionsGate = "complaints"

// drawRollout draws what the log says of a rollout with every kind of gate that
// reports speak to, and what its hosts report in the order of their marks.
func drawRollout(t *rapid.T) ([]*rollout.Service, []arrival) {
	all := rollout.HostCount{Share: rollout.Full}
	svc := atFirstStep(rollout.Step{Hosts: all, Weight: 1000}, rollout.Step{Hosts: all, Weight: 3000}, rollout.Step{Hosts: rollout.HostCount{Count: 2}, Weight: rollout.Full})
	svc.Active.Hosts = []string{"a", "b", "c", "d"}
	g := &svc.Active.Spec.Gates
	g.Routes = []string{"/pay"}
	for _, l := range []rollout.LatencyGate{{Quantile: 5000}, {Quantile: 9900}, {Quantile: rollout.WholeDistribution}, {Quantile: 9000, Route: "/pay"}} {
		l.Conduct, l.MaxIncrease = conduct(fmt.Sprintf("p%d%s", l.Quantile, l.Route)), 1000
		g.Latency = append(g.Latency, l)
	}
	g.Saturation = &rollout.SaturationGate{Conduct: conduct("saturation"), MaxMemory: 2000, MaxThrottled: 500, MaxRestarts: 2}
	g.Metrics = []rollout.MetricsGate{{Conduct: conduct("pay"), Bad: "failed", Total: "payments", MaxIncrease: 100}}
	g.Feedback = []rollout.FeedbackGate{{Conduct: rollout.Conduct{Name: opinionsGate, Observe: true}, MaxIncrease: 100}}
	svc.Active.Phase = rollout.Preparing
	course := []*rollout.Service{svc}
	begins := []time.Duration{0, 3 * time.Second}
	course = append(course, then(svc, 6, func(r *rollout.Rollout) { r.Phase, r.StepEpoch = rollout.Progressing, 6 }))
	for _, what := range rapid.Permutation([]string{"a step", "evidence anew", "a step", "a host leaves"}).Draw(t, "course") {
		last := course[len(course)-1]
		course = append(course, then(last, last.Epoch+3, func(r *rollout.Rollout) {
			r.StepEpoch = last.Epoch + 3
			switch what {
			case "a step":
				r.Step++
			case "a host leaves":
				k := rapid.IntRange(0, len(r.Hosts)-1).Draw(t, "who")
				r.Hosts = slices.Delete(slices.Clone(r.Hosts), k, k+1)
			default:
				r.Anew++
			}
		}))
		begins = append(begins, begins[len(begins)-1]+time.Duration(rapid.Int64Range(10, 22).Draw(t, what))*time.Second)
	}
	var reports []arrival
	for k, host := range svc.Active.Hosts {
		speaks := drawSpeaker(t, host)
		mark := 400 * time.Millisecond
		for n := int64(0); mark < 100*time.Second; n++ {
			epoch := course[0].Epoch
			for i, begin := range begins {
				if mark > begin+time.Duration(50*k)*time.Millisecond {
					epoch = course[i].Epoch
				}
			}
			h := speaks.next(n)
			h.Epoch = epoch
			reports = append(reports, arrival{mark: mark, host: host, sequence: uint64(n + 1), health: h})
			mark += time.Duration(rapid.Int64Range(450, 1200).Draw(t, "interval")) * time.Millisecond
		}
	}
	slices.SortFunc(reports, arrival.compare)
	return course, reports
}

// speaker is what a host comes to say of itself.
type speaker struct {
	bad, memory    int64              // in percent more than stable
	restarts, ooms int                // from report 40 on
	times          [4]*latency.Sketch // of canary and of stable, of all requests and of the route
	counted        [4]int64           // requests in them
}

func drawSpeaker(t *rapid.T, host string) *speaker {
	s := &speaker{
		bad: rapid.Int64Range(0, 30).Draw(t, "errors of "+host), memory: rapid.Int64Range(0, 40).Draw(t, "memory of "+host),
		restarts: rapid.IntRange(0, 2).Draw(t, "restarts of "+host), ooms: rapid.IntRange(0, 1).Draw(t, "kills of "+host),
	}
	for k := range s.times {
		s.times[k] = latency.New()
	}
	return s
}

// next is its n-th report, from 0. How long requests took is not in all.
func (s *speaker) next(n int64) wire.ServiceHealth {
	canary, restarts, ooms := 6*max(0, n-8), 0, 0
	if n >= 40 {
		restarts, ooms = s.restarts, s.ooms
	}
	h := wire.ServiceHealth{
		Service: checkout, Incarnation: "1", CanaryInstances: 1,
		CanaryCounts: analysis.Counts{Requests: canary, Errors: canary * s.bad / 100},
		StableCounts: map[string]analysis.Counts{"s1": {Requests: 30 * n, Errors: n / 3}, "s2": {Requests: 20 * n, Errors: n / 4}},
		Signals: map[string]analysis.Signal{"pay": {
			Canary: analysis.Counts{Requests: canary / 2, Errors: canary * s.bad / 300},
			Stable: map[string]analysis.Counts{"s1": {Requests: 15 * n, Errors: n / 5}},
		}},
		Usage: []analysis.Usage{
			{Canary: true, Instance: "c1", Memory: (100 + s.memory + n%7) << 20, Periods: 10 * n, Throttled: n * s.bad / 20, Restarts: restarts, OOMs: ooms},
			{Instance: "s1", Memory: (100 + n%5) << 20, Limit: 1 << 30, Periods: 10 * n, Throttled: n / 5},
		},
	}
	if n%4 != 0 {
		return h
	}
	for k, requests := range [...]int64{canary, 50 * n, canary / 3, 20 * n} {
		l := analysis.Latency{Canary: k%2 == 0, Lines: requests}
		if k%2 == 1 {
			l.Instance = "s1"
		}
		if k < 2 {
			l.Requests = requests
		} else {
			l.Route = "/pay"
		}
		for ; s.counted[k] < requests; s.counted[k]++ {
			slower := int64(0)
			if l.Canary {
				slower = 3 * s.bad
			}
			s.times[k].Add((100 + slower + s.counted[k]*37%101) * 1000)
		}
		l.Sketch = s.times[k].Encode()
		h.Latencies = append(h.Latencies, l)
	}
	return h
}

// drawArrivals draws when a replica hears what; each host's reports stay in
// order, and so does the log.
func drawArrivals(t *rapid.T, replica string, course []*rollout.Service, reports []arrival, behind time.Duration) []said {
	var all []said
	last := map[string]time.Duration{}
	for _, r := range reports {
		late := time.Duration(rapid.Int64Range(0, 900).Draw(t, "lateness")) * time.Millisecond
		last[r.host] = max(last[r.host], r.mark+late)
		all = append(all, said{at: last[r.host], report: r})
	}
	for i, svc := range course[1:] {
		began := time.Duration(0)
		for _, r := range reports {
			if r.health.Epoch == svc.Epoch {
				began = r.mark
				break
			}
		}
		late := time.Duration(rapid.Int64Range(-40, int64(behind/time.Millisecond)).Draw(t, replica+" learns of "+strconv.Itoa(i))) * time.Millisecond
		all = append(all, said{at: began + late, state: svc})
	}
	slices.SortStableFunc(all, func(x, y said) int { return int(x.at - y.at) })
	return all
}

func play(w *watch, all []said) {
	for _, x := range all {
		if x.state != nil {
			w.sync(x.state)
		} else {
			w.merge.lose(0)
			w.hearMarked(x.report, x.at)
		}
		w.fold()
	}
}

// TestMergeOrder: reports are handed on in the order of their marks, once no
// other can come before, and none of them twice.
func TestMergeOrder(t *testing.T) {
	hosts := map[string]int{"a": 0, "b": 1, "c": 2}
	second := func(x float64) time.Duration { return time.Duration(x * float64(time.Second)) }
	for name, c := range map[string]struct {
		heard []string // host mark epoch
		want  string
	}{
		"waits for all":              {[]string{"b 1.0 5", "a 1.1 5", "a 1.6 5"}, ""},
		"in the order of the marks":  {[]string{"b 1.0 5", "a 1.1 5", "a 1.6 5", "c 1.2 5", "c 1.7 5", "b 1.5 5", "b 2.0 5"}, "b1 a1.1 c1.2 b1.5"},
		"one that never speaks":      {[]string{"a 1.0 5", "b 1.0 5", "a 3.9 5", "b 3.9 5", "a 4.1 5", "b 4.2 5"}, "a1 b1 a3.9 b3.9"},
		"one that falls silent":      {[]string{"a 1.0 5", "b 1.0 5", "c 1.0 5", "a 3.0 5", "b 3.0 5", "a 4.1 5", "b 4.2 5"}, "a1 b1 c1 a3 b3"},
		"one that comes too late":    {[]string{"a 1.0 5", "b 1.0 5", "a 3.0 5", "b 3.0 5", "a 4.5 5", "b 4.5 5", "c 1.5 5", "c 2.0 5", "a 5 5", "b 5 5"}, "a1 b1 a3 b3 a4.5 b4.5"},
		"an epoch that is not known": {[]string{"a 1.0 5", "b 1.0 7", "c 1.0 5", "a 2.0 7", "b 2.0 7", "c 2.0 7"}, "a1"},
		"an epoch of nobody":         {[]string{"a 1.0 5", "b 1.0 9", "c 1.0 5", "a 3.0 5", "b 3.0 9", "c 3.0 5", "a 5.0 5", "b 5.0 9", "c 5.0 5", "a 7.0 5", "b 7.0 9", "c 7.0 5", "a 9.0 5", "b 9.0 9", "c 9.0 5", "a 11.5 5", "b 11.5 9", "c 11.5 5", "a 11.6 5", "b 11.6 9", "c 11.6 5"}, "a1 c1 a3"},
		"a clock that stands":        {[]string{"a 1.0 5", "b 1.0 5", "c 1.0 5", "a 1.0 5", "b 1.0 5", "a 2.0 5", "b 2.0 5", "c 2.0 5"}, "a1 b1 c1"},
		"a clock that was set back":  {[]string{"a 901 5", "b 901 5", "c 901 5", "a 1 5", "b 1 5", "c 1 5", "a 2 5", "b 2 5", "c 2 5"}, "a1 b1 c1"},
	} {
		m, got := newMerge(), ""
		for _, text := range c.heard {
			var host string
			var mark float64
			var epoch uint64
			if _, err := fmt.Sscan(text, &host, &mark, &epoch); err != nil {
				t.Fatal(err)
			}
			m.put(arrival{mark: second(mark), host: host, health: wire.ServiceHealth{Epoch: epoch}})
			m.release(hosts, 5, func(a arrival) {
				if got != "" {
					got += " "
				}
				got += a.host + strconv.FormatFloat(a.mark.Seconds(), 'f', -1, 64)
			})
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A replica that came late, or lost much, does not judge by what the others do.
func TestSharedEvidence(t *testing.T) {
	preparing := then(atFirstStep(twoHosts()), 4, func(r *rollout.Rollout) { r.Phase = rollout.Preparing })
	for name, c := range map[string]struct {
		svc  *rollout.Service
		more func(*watch)
		want bool
	}{
		"from the beginning":      {preparing, func(*watch) {}, true},
		"began in its middle":     {atFirstStep(twoHosts()), func(*watch) {}, false},
		"a report without a mark": {preparing, func(w *watch) { w.hear("a", wire.ServiceHealth{Epoch: 4}, time.Second) }, false},
		"one of a hundred is lost": {preparing, func(w *watch) {
			for range 99 {
				w.merge.lose(0)
			}
			w.merge.lose(1)
		}, true},
		"two of a hundred are lost": {preparing, func(w *watch) {
			for range 98 {
				w.merge.lose(0)
			}
			w.merge.lose(2)
		}, false},
		"time was set back": {preparing, func(w *watch) {
			w.hearMarked(arrival{mark: time.Hour, host: "a"}, time.Hour)
			w.hearMarked(arrival{mark: time.Minute, host: "a"}, time.Hour)
		}, false},
	} {
		w := newWatch(c.svc, 0, 0)
		c.more(w)
		if got := w.shared(); got != c.want {
			t.Errorf("%s: shared %t", name, got)
		}
	}
}

// Evidence of which a leader has not heard all decides nothing. Once it has
// begun anew, on all replicas, it has its own part of alpha.
func TestEvidenceBeginsAnew(t *testing.T) {
	svc := atFirstStep(twoHosts())
	w := newWatch(svc, 0, time.Second)
	report := func(epoch uint64, at time.Duration, n int64) {
		for _, host := range svc.Active.Hosts {
			w.hearMarked(arrival{mark: at, host: host, health: wire.ServiceHealth{
				Epoch: epoch, Incarnation: "1", CanaryInstances: 1,
				CanaryCounts: analysis.Counts{Requests: n, Errors: n / 2}, StableCounts: map[string]analysis.Counts{"s": {Requests: 9 * n}},
			}}, at)
		}
		w.fold()
	}
	w.adopt(true, time.Second)
	for n := range int64(60) {
		report(5, time.Duration(n)*time.Second, 20*n)
	}
	if v := w.evidence(time.Minute).Verdict; !w.owed || v.Outcome != analysis.Wait {
		t.Fatalf("owed %t, %s: %s", w.owed, v.Outcome, v.Reason)
	}
	w.sync(then(svc, 8, func(r *rollout.Rollout) { r.Anew, r.StepEpoch = 1, 8 }))
	if v := w.evidence(time.Minute).Verdict; w.owed || v.Outcome != analysis.Wait || v.Canary.Requests != 0 {
		t.Fatalf("owed %t, %s: %s", w.owed, v.Outcome, v.Reason)
	}
	for n := range int64(60) {
		report(8, time.Minute+time.Duration(n)*time.Second, 1200+20*n)
	}
	v := w.evidence(2 * time.Minute).Verdict
	if v.Outcome != analysis.Fail || v.Canary.Requests > 3540 || !w.shared() {
		t.Errorf("%s by %d requests, shared %t: %s", v.Outcome, v.Canary.Requests, w.shared(), v.Reason)
	}
	if got := w.rollout.Judging(w.attempt).Alpha; got != 500 {
		t.Errorf("it may spend %d, want half of the last tenth of 10000", got)
	}
}
