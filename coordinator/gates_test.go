package coordinator

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

func TestPoolSumsSignalsAndTimes(t *testing.T) {
	p := newPool()
	times := func(canary bool, n int64) analysis.Latency {
		s := latency.New()
		for range n {
			s.Add(10_000)
		}
		return analysis.Latency{Canary: canary, Instance: map[bool]string{true: "", false: "a1"}[canary], Requests: n, Lines: n, Sketch: s.Encode()}
	}
	report := func(host string, k int, inWave bool, life string, canary, stable int64) {
		p.add(host, k, inWave, wire.ServiceHealth{
			Incarnation: life,
			Signals: map[string]analysis.Signal{"pay": {
				Canary: analysis.Counts{Requests: canary, Errors: 1}, Stable: map[string]analysis.Counts{"a1": {Requests: stable}},
			}},
			Latencies: []analysis.Latency{times(true, canary), times(false, stable)},
		})
	}
	report("a", 0, true, "1", 100, 7) // where counting begins
	report("b", 1, false, "1", 0, 50)
	report("a", 0, true, "1", 130, 9)
	report("b", 1, false, "1", 0, 90)
	report("a", 0, true, "2", 5, 0) // its counters began again
	got := p.report(time.Minute, 2)
	if s := got.Signals["pay"]; s.Canary.Requests != 35 || s.Canary.Errors != 1 || s.Stable["host-1"].Requests != 40 {
		t.Errorf("signals: %+v", got.Signals)
	}
	want := map[bool]int64{true: 35, false: 40}
	for _, l := range got.Latencies {
		s, err := latency.Decode(l.Sketch)
		if err != nil || l.Requests != want[l.Canary] || l.Lines != l.Requests || s.Count() != l.Requests {
			t.Errorf("latencies of canary %v: %d requests, %d lines, %v", l.Canary, l.Requests, l.Lines, err)
		}
	}
	if len(got.Latencies) != 2 {
		t.Errorf("%d latencies", len(got.Latencies))
	}
	if again := p.report(time.Minute+time.Second, 2); again.Latencies != nil {
		t.Error("latencies were told again at once")
	}
}

// withGates returns a service at its first step whose rollout has these gates besides.
func withGates(change func(*rollout.Gates)) *rollout.Service {
	svc := atFirstStep(rollout.Step{Hosts: rollout.HostCount{Count: 3}, Weight: 1000}, rollout.Step{Hosts: rollout.HostCount{Share: rollout.Full}, Weight: rollout.Full})
	svc.Active.Spec.Gates.Errors = nil
	change(&svc.Active.Spec.Gates)
	return svc
}

func conduct(name string) rollout.Conduct { return rollout.Conduct{Name: name} }

// settle lets every host be as it should.
func settle(w *watch, now time.Duration, more func(host string, h *wire.ServiceHealth)) {
	for _, host := range w.rollout.Hosts {
		h := wire.ServiceHealth{Epoch: w.epoch, Settled: true, Incarnation: "1", CanaryInstances: 1}
		if more != nil {
			more(host, &h)
		}
		w.hear(host, h, now)
	}
}

func TestConditionOnContainers(t *testing.T) {
	svc := withGates(func(g *rollout.Gates) {
		g.Metrics = []rollout.MetricsGate{{
			Conduct: conduct("queue"), Read: map[string]string{"queue": "queue_depth"},
			Condition: rollout.Condition{When: "canary.queue < 2 * stable.queue", Every: 10 * time.Second, Failures: 2},
		}}
	})
	w := newWatch(svc, 0, 0)
	say := func(now time.Duration, canary float64) {
		settle(w, now, func(_ string, h *wire.ServiceHealth) {
			h.Readings = []wire.Reading{{
				Gate: "queue", Variable: "queue",
				Canary: wire.Spread{Containers: 2, Sum: 2 * canary, Min: canary, Max: canary},
				Stable: wire.Spread{Containers: 1, Sum: 5, Min: 5, Max: 5},
			}}
		})
		w.askContainers(now)
	}
	if w.nextQuestion() != rollout.Never {
		t.Error("asks before the canary serves")
	}
	settle(w, 0, func(_ string, h *wire.ServiceHealth) { // of a stable version that does not tell it yet
		h.Readings = []wire.Reading{{Gate: "queue", Variable: "queue", Canary: wire.Spread{Containers: 1, Sum: 7, Min: 7, Max: 7}}}
	})
	w.askContainers(0)
	if v := w.evidence(0).Verdict; v.Outcome != analysis.Wait || !strings.Contains(v.Reason, "no data for stable.queue") {
		t.Errorf("%s: %s", v.Outcome, v.Reason)
	}
	w.asker.due["queue"] = 0
	say(time.Second, 7)
	if v := w.evidence(time.Second).Verdict; v.Outcome != analysis.Pass || !strings.Contains(v.Reason, "canary.queue 7, stable.queue 5") {
		t.Errorf("%s: %s", v.Outcome, v.Reason)
	}
	if next := w.nextQuestion(); next != 11*time.Second {
		t.Errorf("asks again at %v", next)
	}
	say(5*time.Second, 70) // too early to be asked
	say(11*time.Second, 70)
	if v := w.evidence(11 * time.Second).Verdict; v.Outcome != analysis.Wait {
		t.Errorf("false once: %s: %s", v.Outcome, v.Reason)
	}
	say(21*time.Second, 70)
	if v := w.evidence(21 * time.Second).Verdict; v.Outcome != analysis.Fail || v.Gate != "queue" {
		t.Errorf("false twice: %s by %q: %s", v.Outcome, v.Gate, v.Reason)
	}
}

// A source is silent when it was asked and said nothing. Until the step's hosts
// are ready, which may take minutes, nobody is asked.
func TestSilenceBeginsWithTheQuestions(t *testing.T) {
	when := rollout.Condition{When: "canary.x < 1", Every: time.Second}
	fail := rollout.Conduct{Name: "lag", OnSilence: rollout.FailOnSilence}
	for name, gates := range map[string]func(*rollout.Gates){
		"metrics": func(g *rollout.Gates) {
			g.Metrics = []rollout.MetricsGate{{Conduct: fail, Read: map[string]string{"x": "x"}, Condition: when}}
		},
		"prometheus": func(g *rollout.Gates) {
			g.Prometheus = []rollout.PrometheusGate{{Conduct: fail, Queries: map[string]string{"x": "x"}, Condition: when}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatch(withGates(gates), 0, 0)
			at := func(second int64, settled bool, want analysis.Outcome) {
				t.Helper()
				now := time.Duration(second) * time.Second
				settle(w, now, func(_ string, h *wire.ServiceHealth) { h.Settled = settled })
				w.askContainers(now)
				if v := w.evidence(now).Verdict; v.Outcome != want || v.Gate != "lag" {
					t.Errorf("after %d s: %s by %q: %s", second, v.Outcome, v.Gate, v.Reason)
				}
			}
			at(1, false, analysis.Wait)
			at(120, false, analysis.Wait)
			at(121, true, analysis.Wait)
			at(179, true, analysis.Wait)
			at(181, true, analysis.Fail)
		})
	}
}

// A host that fell silent says nothing about now.
func TestReadingsGrowOld(t *testing.T) {
	r := readings{}
	r.note("a", []wire.Reading{{Gate: "g", Variable: "x", Canary: wire.Spread{Containers: 1, Sum: 3, Min: 3, Max: 3}}}, 0)
	r.note("b", []wire.Reading{{Gate: "g", Variable: "x", Canary: wire.Spread{Containers: 1, Sum: 5, Min: 5, Max: 5}}}, 20*time.Second)
	r.note("b", nil, 25*time.Second)
	for now, want := range map[time.Duration]string{
		20 * time.Second: "canary.x 4", 40 * time.Second: "canary.x 5", 60 * time.Second: "",
	} {
		if _, got := r.values("g", now); got != want {
			t.Errorf("after %v: %q, want %q", now, got, want)
		}
	}
}

func TestQuestionsToOthers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := "ready"
		if r.URL.Path == "/api/v1/query" {
			values := map[string]string{"errs{rev=\"new\",svc=\"checkout\",t=\"canary\"}": "4", "errs{rev=\"old\",svc=\"checkout\",t=\"stable\"}": "2"}
			answer = `{"status":"success","data":{"resultType":"scalar","result":[1,"` + values[r.FormValue("query")] + `"]}}`
		}
		if _, err := io.WriteString(w, answer); err != nil {
			t.Log(err)
		}
	}))
	defer server.Close()
	gates := func(g *rollout.Gates) {
		g.Prometheus = []rollout.PrometheusGate{{
			Conduct: conduct("prom"), Address: server.URL,
			Queries:   map[string]string{"errs": `errs{rev="$revision",svc="$service",t="$track"}`},
			Condition: rollout.Condition{When: "canary.errs <= 2 * stable.errs", Every: time.Second},
		}}
		g.Checks = []rollout.CheckGate{
			{Conduct: conduct("page"), URL: server.URL + "/x", Timeout: time.Minute, Condition: rollout.Condition{When: "status == 200 && body == 'ready'"}},
			{Conduct: conduct("gone"), URL: "http://127.0.0.1:1/", Timeout: time.Minute, Condition: rollout.Condition{When: "status == 200"}},
		}
	}
	w := newWatch(withGates(gates), 0, 0)
	settle(w, time.Second, nil)
	want := map[string]struct {
		held bool
		text string
	}{
		"prom": {true, "canary.errs 4, stable.errs 2"}, "page": {true, "/x answered 200 in "}, "gone": {false, "refused"},
	}
	questions := w.asker.outside(w.rollout)
	if len(questions) != len(want) {
		t.Fatalf("%d questions", len(questions))
	}
	for _, q := range questions {
		values, text, err := q.inquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held, err := q.holds.Holds(values)
		if err != nil || held != want[q.gate].held || !strings.Contains(text, want[q.gate].text) {
			t.Errorf("%s: %v %q, %v", q.gate, held, text, err)
		}
		w.answer(q, values, text, nil, 2*time.Second)
		if f, _ := w.evidence(2 * time.Second).Verdict.Finding(q.gate); (f.Outcome == analysis.Pass) != want[q.gate].held {
			t.Errorf("%s: %s: %s", q.gate, f.Outcome, f.Reason)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, q := range questions {
		if _, _, err := q.inquire(ctx); err == nil {
			t.Errorf("%s: asked in vain, and says nothing", q.gate)
		}
	}
}

// A source that does not answer is no secret of the log: the gate's finding says
// who does not, why, and for how long, also where the gate held before.
func TestSourceIsAway(t *testing.T) {
	var away atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if away.Load() {
			panic(http.ErrAbortHandler)
		}
		if _, err := io.WriteString(w, `{"status":"success","data":{"resultType":"scalar","result":[1,"4"]}}`); err != nil {
			t.Log(err)
		}
	}))
	defer server.Close()
	w := newWatch(withGates(func(g *rollout.Gates) {
		g.Prometheus = []rollout.PrometheusGate{{
			Conduct: conduct("lag"), Address: server.URL, Queries: map[string]string{"x": "x"},
			Condition: rollout.Condition{When: "canary.x < 5", Every: time.Second},
		}}
	}), 0, 0)
	settle(w, 0, nil)
	ask := func(now time.Duration, outcome analysis.Outcome, want string) {
		t.Helper()
		q := w.asker.outside(w.rollout)[0]
		values, text, err := q.inquire(t.Context())
		w.answer(q, values, text, err, now)
		f, _ := w.evidence(now).Verdict.Finding("lag")
		if f.Outcome != outcome || !strings.HasPrefix(f.Reason, want) {
			t.Errorf("after %v: %s: %s", now, f.Outcome, f.Reason)
		}
	}
	away.Store(true)
	ask(2*time.Second, analysis.Wait, "lag has no answer: "+server.URL+" does not answer: ")
	ask(42*time.Second, analysis.Wait, "lag has no answer for 40s: "+server.URL+" does not answer: ")
	away.Store(false)
	ask(43*time.Second, analysis.Pass, "lag holds: canary.x 4, stable.x 4; asked was canary.x < 5")
	away.Store(true)
	ask(44*time.Second, analysis.Pass, "lag holds: canary.x 4, stable.x 4; asked was canary.x < 5; since then no answer: ")
	ask(54*time.Second, analysis.Pass, "lag holds: canary.x 4, stable.x 4; asked was canary.x < 5; since then no answer for 10s: ")
}

// A server that is asked every second need not be connected to every second.
func TestPrometheusIsConnectedToOnce(t *testing.T) {
	var connected atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := io.WriteString(w, `{"status":"success","data":{"resultType":"scalar","result":[1,"4"]}}`); err != nil {
			t.Log(err)
		}
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connected.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	w := newWatch(withGates(func(g *rollout.Gates) {
		g.Prometheus = []rollout.PrometheusGate{{
			Conduct: conduct("prom"), Address: server.URL, Queries: map[string]string{"x": "x"},
			Condition: rollout.Condition{When: "canary.x < 5", Every: time.Second},
		}}
	}), 0, 0)
	for _, q := range w.asker.outside(w.rollout) {
		for range 3 {
			if _, _, err := q.inquire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := connected.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestFeedbackIsCompared(t *testing.T) {
	svc := withGates(func(g *rollout.Gates) {
		g.Feedback = []rollout.FeedbackGate{{Conduct: conduct("complaints"), Kinds: []string{"complaint"}, MaxIncrease: 100}}
	})
	svc.Active.To.Name = "shop/checkout:2.0"
	l := &listener{feedback: newFeedback(), ledger: still{state: &rollout.State{Services: map[string]*rollout.Service{checkout: svc}}}}
	w := newWatch(svc, 0, 0)
	w.feedback = l.feedback
	say := func(f api.Feedback) {
		data, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		l.hearFeedback(bus.Msg{Subject: bus.FeedbackSubject("checkout"), Data: data})
	}
	for i := range int64(65) {
		now := time.Duration(i) * time.Second
		settle(w, now, func(_ string, h *wire.ServiceHealth) {
			h.CanaryCounts = analysis.Counts{Requests: 10 * i}
			h.StableCounts = map[string]analysis.Counts{"a1": {Requests: 90 * i}}
		})
		say(api.Feedback{Revision: "2.0", Kind: "complaint", Count: 3})
		say(api.Feedback{Revision: "new", Kind: "praise", Count: 100})
		say(api.Feedback{Revision: "old", Kind: "complaint"})
		say(api.Feedback{Kind: "complaint"}) // of nothing
	}
	v := w.evidence(65 * time.Second).Verdict
	if f, _ := v.Finding("complaints"); v.Outcome != analysis.Fail || f.Canary.Errors < 100 || f.Stable.Errors < 30 {
		t.Errorf("%s: %s\n%+v", v.Outcome, v.Reason, f)
	}
}

// still is a ledger in which nothing happens.
type still struct {
	ledger

	state *rollout.State
}

func (s still) State() *rollout.State { return s.state }

// Whoever sends feedback hears what became of it, and what is published in vain
// is told of with the gates.
func TestFeedbackIsAnswered(t *testing.T) {
	old := rollout.Revision{ID: "r1", Image: "shop/checkout@sha256:1", Name: "shop/checkout:1.4.0"}
	fresh := rollout.Revision{ID: "r2", Image: "shop/checkout@sha256:2", Name: "shop/checkout:1.5.0"}
	svc := &rollout.Service{Name: checkout, Stable: &old, Active: &rollout.Rollout{ID: "checkout-7", Service: checkout, From: &old, To: fresh}}
	svc.Active.Spec.Gates.Feedback = []rollout.FeedbackGate{{Conduct: conduct("complaints"), Kinds: []string{"complaint", "slow"}}}
	l := &listener{feedback: newFeedback(), ledger: still{state: &rollout.State{Services: map[string]*rollout.Service{checkout: svc}}}}
	for _, c := range []struct{ subject, text, want string }{
		{"checkout", `{"revision":"1.5.0","kind":"complaint"}`, `{"ok":true,"rollout":"checkout-7"}`},
		{"checkout", `{"revision":"1.5.0","kind":"complain"}`, `{"ok":true,"message":"no gate counts the kind \"complain\"; they count complaint, slow","rollout":"checkout-7"}`},
		{"checkout", `{"revision":"1.6.0"}`, `{"ok":false,"code":"unknown","field":"revision","message":"\"1.6.0\" has no users; of checkout these have: 1.4.0 (r1), 1.5.0 (r2)"}`},
		{"checkout", `{"revision":"r1","count":"many"}`, `{"ok":false,"code":"invalid","field":"count","message":"is a string; want a int64"}`},
		{"shop", `{"revision":"1.5.0"}`, `{"ok":false,"code":"unknown","field":"subject","message":"no service \"shop\""}`},
	} {
		m := bus.Msg{Subject: bus.FeedbackSubject(c.subject), Data: []byte(c.text)}
		reply, refusal := l.takeFeedback(m)
		if refusal != nil {
			reply = api.Refused(refusal)
		}
		if got, err := json.Marshal(reply); err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v, want %s", c.text, got, err, c.want)
		}
	}
	if got := l.feedback.notes(); len(got) != 1 || got[checkout] != "2 messages were not counted; the last: count: is a string; want a int64" {
		t.Errorf("notes: %v", got)
	}
	svc.Active.To.Name = old.Name
	if refusal := whose(svc, "1.4.0"); refusal == nil || refusal.Message != `"1.4.0" may be any of 1.4.0 (r1), 1.4.0 (r2); name an id` {
		t.Errorf("a name of both: %v", refusal)
	}
	if said := l.feedback.of(checkout, fresh, old, svc.Active.Spec.Gates.Feedback[0]); said != 1 {
		t.Errorf("%d messages count", said)
	}
	l.feedback.begin(checkout)
	if said := l.feedback.of(checkout, fresh, old, svc.Active.Spec.Gates.Feedback[0]); said != 0 || len(l.feedback.notes()) != 0 {
		t.Errorf("of the rollout before: %d messages, %v", said, l.feedback.notes())
	}
}

// Of two revisions of one name it cannot be told which one is meant: what is said
// of that name would count against the canary, which has fewer requests.
func TestFeedbackOnANameOfBoth(t *testing.T) {
	old := rollout.Revision{ID: "old", Image: "shop/checkout@sha256:1", Name: "shop/checkout:latest"}
	fresh := rollout.Revision{ID: "new", Image: "shop/checkout@sha256:2", Name: "shop/checkout:latest"}
	for name, want := range map[string][2]int64{
		"latest": {0, 0}, "shop/checkout:latest": {0, 0}, "old": {0, 1}, "new": {1, 0}, "shop/checkout@sha256:2": {1, 0},
	} {
		f := newFeedback()
		f.add(opinion{checkout, name, "complaint"}, 1)
		if got := [2]int64{f.of(checkout, fresh, old, rollout.FeedbackGate{}), f.of(checkout, old, fresh, rollout.FeedbackGate{})}; got != want {
			t.Errorf("%s counts for canary and stable %v times, want %v", name, got, want)
		}
	}
}

// What an excluded host has shown is forgotten, and what it says is not heard.
func TestExcludedHostIsForgotten(t *testing.T) {
	svc := withGates(func(g *rollout.Gates) { g.Errors = &rollout.ErrorsGate{Conduct: conduct("errors"), MaxIncrease: 100} })
	w := newWatch(svc, 0, 0)
	play := func(from, to int64) time.Duration {
		for i := from; i < to; i++ {
			for k, host := range []string{"a", "b", "c"} {
				h := wire.ServiceHealth{
					Epoch: w.epoch, Settled: true, Incarnation: "1", CanaryInstances: 1,
					CanaryCounts: analysis.Counts{Requests: 20 * i}, StableCounts: map[string]analysis.Counts{"a1": {Requests: 180 * i}},
				}
				if k == 1 {
					h.CanaryCounts.Errors = 10 * i
				}
				w.hear(host, h, time.Duration(i)*time.Second)
			}
		}
		return time.Duration(to) * time.Second
	}
	now := play(0, 240) // several bursts' time
	if v := w.evidence(now).Verdict; v.Outlier != "b" || v.Outcome != analysis.Wait {
		t.Fatalf("%s, outlier %q: %s", v.Outcome, v.Outlier, v.Reason)
	}
	w.sync(then(svc, 9, func(r *rollout.Rollout) {
		r.Hosts, r.Excluded, r.StepAt = []string{"a", "c"}, []rollout.Exclusion{{Host: "b"}}, now
	}))

	now = play(240, 335)
	v := w.evidence(now).Verdict
	if v.Outlier != "" || v.Outcome != analysis.Pass || v.Canary.Errors != 0 {
		t.Errorf("%s, outlier %q: %s", v.Outcome, v.Outlier, v.Reason)
	}
}

// Conditions are asked by the leader alone: one that has just come to lead has
// not heard what came of them, and that is no silence.
func TestSilenceBeginsWithTheLeader(t *testing.T) {
	svc := withGates(func(g *rollout.Gates) {
		g.Prometheus = []rollout.PrometheusGate{{
			Conduct: rollout.Conduct{Name: "lag", OnSilence: rollout.FailOnSilence}, Queries: map[string]string{"x": "x"},
			Condition: rollout.Condition{When: "canary.x < 1", Every: time.Second},
		}}
	})
	w := newWatch(svc, 0, 0)
	settle(w, time.Second, nil)
	const leads = 5 * time.Minute
	w.first, w.own = true, false // it has heard what all have
	w.adopt(true, leads)
	for after, want := range map[time.Duration]analysis.Outcome{time.Second: analysis.Wait, analysis.Silence - 1: analysis.Wait, analysis.Silence: analysis.Fail} {
		w.stale = true
		if v := w.evidence(leads + after).Verdict; v.Outcome != want || v.Gate != "lag" {
			t.Errorf("%s after it came to lead: %s by %q: %s", after, v.Outcome, v.Gate, v.Reason)
		}
	}
}
