package analysis

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/serin-rollouts/serin/internal/latency"
)

// story is a panel and what befalls it, drawn at random.
type story struct {
	gates  Gates
	rounds [][]Report     // of a moment each
	told   []Told         // one a round
	steps  map[int]Step   // that begin before a round
	gone   map[int]string // hosts excluded before a round
	at     func(int) time.Duration
}

func everyGate() Gates {
	return Gates{
		Errors: RateGate{Conduct: Conduct{Name: "errors"}, MaxIncrease: 100, MinRequests: 50},
		Latency: []LatencyGate{
			{Conduct: Conduct{Name: "p90"}, Quantile: 9000, MaxIncrease: 2000},
			{Conduct: Conduct{Name: "all", Optional: true}, MinRequests: 100},
		},
		Rates:      []RateGate{{Conduct: Conduct{Name: "logins", Observe: true, OnSilence: FailOnSilence}, Noun: "logins", MaxIncrease: NoIncrease}},
		Usage:      &UsageGate{Conduct: Conduct{Name: "saturation"}, MaxMemory: 5000, MaxThrottled: 1000, MaxRestarts: 1},
		Conditions: []ConditionGate{{Conduct: Conduct{Name: "queue", OnSilence: FailOnSilence}, Failures: 5}},
	}
}

func drawStory(t *rapid.T) story {
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	hosts := rapid.IntRange(1, 5).Draw(t, "hosts")
	every := time.Duration(rapid.IntRange(1, 9).Draw(t, "every")) * time.Second
	s := story{
		gates: everyGate(), steps: map[int]Step{0: {}}, gone: map[int]string{},
		at: func(k int) time.Duration { return time.Minute + time.Duration(k)*every },
	}
	bad := rapid.SampledFrom([]float64{.01, .02, .2}).Draw(t, "errors")
	slow := rapid.SampledFrom([]float64{1, 1, 2}).Draw(t, "slower")
	apart := rapid.IntRange(-3, hosts-1).Draw(t, "host that is apart")
	groups := rapid.Bool().Draw(t, "hosts against hosts")
	all := make([]*source, hosts)
	for k := range all {
		all[k] = newSource("host-"+strconv.Itoa(k), random)
		if apart < 0 || apart == k {
			all[k].bad, all[k].slow = bad, slow
		}
		if groups {
			all[k].now.Before = map[string]Sides{"": {Canary: Counts{800, 8}, Stable: Counts{int64(random.IntN(3000)), 5}}}
		}
		all[k].restarts = rapid.SampledFrom([]int{0, 0, 0, 0, 1, 4}).Draw(t, "restarts")
	}
	for k := range rapid.IntRange(1, 60).Draw(t, "rounds") {
		var round []Report
		for _, h := range all {
			if random.IntN(10) > 0 {
				round = append(round, h.report(s.at(k)))
			}
		}
		s.rounds = append(s.rounds, round)
		s.told = append(s.told, Told{At: s.at(k), Held: random.IntN(4) > 0, Text: "depth " + strconv.Itoa(k)})
		if k > 0 && random.IntN(25) == 0 {
			s.steps[k] = Step{Baseline: Counts{int64(random.IntN(3) * 1000), 7}}
		}
		if k > 5 && hosts > 2 && len(s.gone) == 0 && random.IntN(25) == 0 {
			s.gone[k] = all[0].name
			all = all[1:]
		}
	}
	return s
}

// tell feeds a panel; in each round the reports come in the order that order gives them.
func (s story) tell(p *Panel, order func([]Report) []Report, after func(now time.Duration)) {
	for k, round := range s.rounds {
		if host, is := s.gone[k]; is {
			p.Exclude(host)
			p.Restart(s.at(k), Step{})
		}
		if step, is := s.steps[k]; is {
			p.Restart(s.at(k), step)
		}
		for _, r := range order(round) {
			p.Observe(r)
		}
		if k%3 == 0 {
			p.Unanswered("queue", "no data for stable.queue", s.at(k))
		} else {
			p.Tell("queue", s.told[k])
		}
		after(s.at(k))
	}
}

// source is a host that makes up reports of everything.
type source struct {
	name     string
	random   *rand.Rand
	bad      float64 // share of canary's errors
	slow     float64
	restarts int
	now      Report
	sketches [2]*latency.Sketch
	lines    [2]int64
}

func newSource(name string, random *rand.Rand) *source {
	return &source{
		name: name, random: random, bad: .01, slow: 1, sketches: [2]*latency.Sketch{latency.New(), latency.New()},
		now: Report{Host: name, Incarnation: "1", CanaryInstances: 1, Usage: []Usage{
			{Canary: true, Instance: "c", Memory: 100 << 20, Limit: 1 << 30}, {Instance: "s", Memory: 90 << 20, Limit: 1 << 30},
		}},
	}
}

func (h *source) report(at time.Duration) Report {
	n := []int{20 + h.random.IntN(50), 200 + h.random.IntN(100)}
	canary, stable := h.now.Canary, h.now.Stable["s"]
	canary = canary.plus(Counts{int64(n[0]), h.count(n[0], h.bad)})
	stable = stable.plus(Counts{int64(n[1]), h.count(n[1], .01)})
	for track, slow := range []float64{h.slow, 1} {
		for range n[track] {
			h.sketches[track].Add(int64(slow * (1000 + 20_000*h.random.ExpFloat64())))
		}
		h.lines[track] += int64(n[track])
	}
	h.now.At, h.now.Canary, h.now.Stable = at, canary, map[string]Counts{"s": stable}
	h.now.Latencies = []Latency{
		{Canary: true, Requests: canary.Requests, Lines: h.lines[0], Sketch: h.sketches[0].Encode()},
		{Instance: "s", Requests: stable.Requests, Lines: h.lines[1], Sketch: h.sketches[1].Encode()},
	}
	h.now.Signals = map[string]Signal{"logins": {Canary: Counts{canary.Requests, canary.Errors / 2}, Stable: h.now.Stable}}
	h.now.Usage = slices.Clone(h.now.Usage)
	for k := range h.now.Usage {
		u := &h.now.Usage[k]
		u.Periods += 50
		u.Throttled += h.count(50, .1)
		u.Memory += int64(h.random.IntN(5 << 20))
	}
	h.now.Usage[0].Restarts = h.restarts
	return h.now
}

func (h *source) count(n int, p float64) int64 {
	x := int64(0)
	for range n {
		if h.random.Float64() < p {
			x++
		}
	}
	return x
}

func inOrder(r []Report) []Report { return r }

// TestRepeat: a verdict that has travelled as JSON is judged again by its sums, and comes out the
// same in every number and word, with all kinds of gates. Verdicts that decide carry their sums.
func TestRepeat(t *testing.T) {
	decided := map[Outcome]int{}
	rapid.Check(t, func(t *rapid.T) {
		s := drawStory(t)
		p := NewPanel(s.gates)
		s.tell(p, inOrder, func(now time.Duration) {
			if len(s.rounds) > 5 && now < s.at(len(s.rounds)-5) {
				return
			}
			late := time.Duration(rapid.IntRange(0, 90).Draw(t, "late")) * time.Second
			v := p.Verdict(now + late)
			decides := v.Outcome != Wait || v.Outlier != ""
			if carries := v.Findings[0].Sums != nil; carries != decides {
				t.Fatalf("carries sums: %t; %s, outlier %q", carries, v.Outcome, v.Outlier)
			}
			decided[v.Outcome]++
			p.attach(&v)
			again := repeated(t, v)
			if !decides {
				v = v.WithoutSums()
			}
			if !reflect.DeepEqual(again, v) {
				t.Fatalf("judged (-) and repeated (+):\n%s", cmp.Diff(v, again))
			}
		})
	})
	if decided[Wait] == 0 || decided[Fail] == 0 {
		t.Errorf("not all has been seen: %v", decided)
	}
}

// TestRepeatPass: of a gate on errors and one on latency that pass.
func TestRepeatPass(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	gates := everyGate()
	gates.Rates, gates.Usage, gates.Conditions = nil, nil, nil
	p := NewPanel(gates)
	p.Restart(0, Step{})
	hosts := []*source{newSource("a", random), newSource("b", random), newSource("c", random)}
	var v Verdict
	for at := time.Duration(0); at < 20*time.Minute && v.Outcome == Wait; at += time.Second {
		for _, h := range hosts {
			p.Observe(h.report(at))
		}
		v = p.Verdict(at)
	}
	if v.Outcome != Pass {
		t.Fatalf("%s: %s", v.Outcome, v.Reason)
	}
	again, err := v.Repeat()
	if err != nil || !reflect.DeepEqual(again, v) {
		t.Fatalf("%v\n%s", err, cmp.Diff(v, again))
	}
	v.Findings[0].Worse++
	if reflect.DeepEqual(again, v) {
		t.Error("a changed number is not seen")
	}
	v.Findings[0].Worse--
	v.Findings[0].Sums.Rate.Worse.Total[1] += 1 << 24
	if again, err := v.Repeat(); err != nil || again.Findings[0].Worse == v.Findings[0].Worse {
		t.Errorf("a nat more changes nothing: %v", err)
	}
}

// TestRepeatRefuses: sums that make no sense, and none at all.
func TestRepeatRefuses(t *testing.T) {
	if _, err := (Verdict{}).Repeat(); !errors.Is(err, ErrNoSums) {
		t.Errorf("no findings: %v", err)
	}
	if _, err := (Verdict{Findings: []Finding{{Gate: "a"}}}).Repeat(); !errors.Is(err, ErrNoSums) {
		t.Errorf("no sums: %v", err)
	}
	for name, s := range map[string]Sums{
		"of no kind":            {},
		"too many numbers":      {Rate: &RateSums{Worse: Evidence{Total: make([]int64, points+2)}}},
		"index out of range":    {Rate: &RateSums{Odds: Evidence{Total: []int64{-1, 1}}}},
		"too many hosts":        {Rate: &RateSums{Served: mostStrangers + 1}},
		"fewer hosts than":      {Rate: &RateSums{Worse: Evidence{Hosts: 0, Parts: map[string]Part{"a": {}}}}},
		"thresholds":            {Latency: &LatencySums{Quantile: 9000}},
		"of CPU periods":        {Usage: &UsageSums{Throttled: RateSums{Waiting: -1}}},
		"a host's sum":          {Rate: &RateSums{Beyond: Evidence{Hosts: 1, Parts: map[string]Part{"a": {Sum: []int64{99, 1}}}}}},
		"what a host's gain is": {Rate: &RateSums{Beyond: Evidence{Hosts: 1, Parts: map[string]Part{"a": {Gain: []int64{99, 1}}}}}},
	} {
		if _, err := (Verdict{Findings: []Finding{{Gate: "a", Sums: &s}}}).Repeat(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestPanelOrder: panels that hear the same reports in other orders within each round give equal
// verdicts; and so does a panel that hears them again later.
func TestPanelOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawStory(t)
		shuffle := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 2))
		var first []Verdict
		p := NewPanel(s.gates)
		s.tell(p, inOrder, func(now time.Duration) { first = append(first, p.Verdict(now)) })
		for name, order := range map[string]func([]Report) []Report{
			"again": inOrder,
			"backwards": func(r []Report) []Report {
				r = slices.Clone(r)
				slices.Reverse(r)
				return r
			},
			"shuffled": func(r []Report) []Report {
				r = slices.Clone(r)
				shuffle.Shuffle(len(r), func(i, k int) { r[i], r[k] = r[k], r[i] })
				return r
			},
		} {
			other, k := NewPanel(s.gates), 0
			s.tell(other, order, func(now time.Duration) {
				if v := other.Verdict(now); !reflect.DeepEqual(v, first[k]) {
					t.Fatalf("%s, round %d:\n%s", name, k, cmp.Diff(first[k], v))
				}
				k++
			})
		}
	})
}

// TestSumsAreSmall: with as many gates as a rollout may have, and each of the kind that needs most,
// the sums leave room in 64 KiB for the rest of an event. What the gate that decides follows from is
// always there, and the others' findings are taken as they are.
func TestSumsAreSmall(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	gates := everyGate()
	gates.Errors.Observe = true
	for k := range 11 {
		gates.Latency = append(gates.Latency, LatencyGate{Conduct: Conduct{Name: "all-" + strconv.Itoa(k), Observe: k < 10}})
	}
	p := NewPanel(gates)
	p.Restart(0, Step{})
	var hosts []*source
	for k := range 4 {
		h := newSource("a-host-with-a-rather-long-name-"+strconv.Itoa(k), random)
		h.slow = 1.3
		hosts = append(hosts, h)
	}
	var v Verdict
	for at := time.Duration(0); v.Outcome != Fail; at += 5 * time.Second {
		for _, h := range hosts {
			p.Observe(h.report(at))
		}
		if v = p.Verdict(at); at > time.Hour {
			t.Fatal(v.Reason)
		}
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	left := v.Left()
	if len(text) > 60<<10 || len(text) < 30<<10 || len(left) == 0 || slices.Contains(left, v.Gate) {
		t.Errorf("%d bytes; %v are left out, %s decides", len(text), left, v.Gate)
	}
	if again, err := v.Repeat(); err != nil || !reflect.DeepEqual(again, v) {
		t.Errorf("%v\n%s", err, cmp.Diff(v, again))
	}
}

// TestRepeatOutlier does so for a verdict that names a host.
func TestRepeatOutlier(t *testing.T) {
	p := errorsOnly()
	v := rates(p, 7, 5, 10*time.Minute, func(k int) (float64, float64) { return []float64{.01, .01, .3, .01, .01}[k], .01 })
	if v.Outlier == "" || v.Findings[0].Sums == nil {
		t.Fatalf("outlier %q, sums %v", v.Outlier, v.Findings[0].Sums)
	}
	if again := repeated(t, v); !reflect.DeepEqual(again, v) {
		t.Errorf("judged (-) and repeated (+):\n%s", cmp.Diff(v, again))
	}
}

// repeated judges a verdict again that has travelled as JSON.
func repeated(t rapid.TB, v Verdict) Verdict {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back Verdict
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	again, err := back.Repeat()
	if err != nil {
		t.Fatal(err)
	}
	return again
}
