package analysis

import (
	"math"
	"strings"
	"time"
)

// Verdict is what a panel's gates come to at one moment. It holds integers and text only, so that
// it can stand in a replicated log and in events.
type Verdict struct {
	Outcome Outcome `json:"outcome"`
	// At is the time that the verdict was asked for, on the fleet's clock.
	At time.Duration `json:"at_ns"`
	// Gate is the one that failed, or the first that is waited for; "" if all have passed.
	Gate   string `json:"gate,omitempty"`
	Reason string `json:"reason"`
	// Needed is about how many more canary requests a decision will take; 0 if unknown.
	Needed int64 `json:"needed,omitempty"`
	// Host is the one host that the difference comes from, if one stands out.
	Host string `json:"host,omitempty"`
	// Outlier is a host whose canary alone is bad beyond chance while the others' are not, by a
	// gate that is acted on; OutlierReason says how it is known.
	Outlier       string `json:"outlier,omitempty"`
	OutlierReason string `json:"outlier_reason,omitempty"`
	// Canary and Stable are the step's requests, and those answered with a server error.
	Canary Counts `json:"canary"`
	Stable Counts `json:"stable"`
	// Findings are what each gate says, in the order of the spec.
	Findings []Finding `json:"findings,omitempty"`
}

// Step is what a panel needs to know of the rollout's step that begins.
type Step struct {
	// Baseline holds frozen counts of stable, for a step that leaves it no traffic.
	Baseline Counts
	// Later: hosts have counted before what is judged now, in other steps or in a try that failed.
	// From one that is heard of for the first time counting begins at what it says: shares were
	// other ones then, and what was, proves nothing of now.
	Later bool
}

// Panel judges one rollout of one service by all of its gates. Like a Judge it is a value machine,
// and not safe for concurrent use.
type Panel struct {
	seats []*seat // the errors' first
}

// seat is one gate of a panel, with its judge.
type seat struct {
	Conduct

	judge judge
	began time.Duration // when the source could first have spoken in the step
	heard time.Duration // when it last spoke; before began: not in the step
}

// judge is what a panel asks of each gate.
type judge interface {
	// observe takes in a report and tells whether it said anything to this gate.
	observe(r Report) bool
	// restart begins a step.
	restart(now time.Duration, s Step)
	finding(now time.Duration) Finding
}

// NewPanel returns a panel without evidence, in its first step.
func NewPanel(gates Gates) *Panel {
	shares := gates.Shares()
	p := &Panel{}
	p.seat(gates.Errors.Conduct, newRateJudge(gates, gates.Errors, shares[gates.Errors.Name]))
	for _, g := range gates.Latency {
		p.seat(g.Conduct, newLatencyJudge(gates, g, shares[g.Name]))
	}
	for _, g := range gates.Rates {
		p.seat(g.Conduct, newRateJudge(gates, g, shares[g.Name]))
	}
	if g := gates.Usage; g != nil {
		p.seat(g.Conduct, newUsageJudge(gates, *g, shares[g.Name]))
	}
	for _, g := range gates.Conditions {
		p.seat(g.Conduct, newConditionJudge(g))
	}
	return p
}

// config is what the gates give each judge, of which one has such a share of alpha.
func (g Gates) config(share int) Config {
	return Config{
		Alpha: Together(share), Apart: Apart(share), Past: ofPast(share),
		Hosts: g.Hosts, AlphaSafe: g.AlphaSafe, Window: g.Window,
	}
}

// Shares splits Alpha over the gates that are acted on, by name, in parts per million: errors take
// half, or all if they stand alone, the others the rest in equal parts. By the union bound the
// chance that any of them fails a version that is no worse is then at most Alpha. A gate that is
// only observed takes nothing from the others; it is judged at the share that it would have. Of a
// share nine tenths are for what the hosts show together, a hundredth for reading what they differ by of
// themselves, and the rest for naming the one that is bad.
func (g Gates) Shares() map[string]int {
	alpha := Config{Alpha: g.Alpha}.withDefaults().Alpha
	var acting, observed []string
	sort := func(c Conduct) {
		if c.Observe {
			observed = append(observed, c.Name)
		} else {
			acting = append(acting, c.Name)
		}
	}
	for _, l := range g.Latency {
		sort(l.Conduct)
	}
	for _, r := range g.Rates {
		sort(r.Conduct)
	}
	if g.Usage != nil {
		sort(g.Usage.Conduct)
	}
	shares := map[string]int{g.Errors.Name: alpha}
	rest := alpha
	if !g.Errors.Observe && len(acting) > 0 {
		rest = alpha / 2
		shares[g.Errors.Name] = alpha - rest
	}
	for _, name := range append(acting, observed...) {
		shares[name] = max(1, rest/max(1, len(acting)))
	}
	return shares
}

// Observe takes in a report; what a Judge refuses is refused.
func (p *Panel) Observe(r Report) {
	for _, s := range p.seats {
		if s.judge.observe(r) {
			s.heard = max(s.heard, r.At)
		}
	}
}

// Restart begins a step at the leader's time now.
func (p *Panel) Restart(now time.Duration, step Step) {
	for _, s := range p.seats {
		s.began = now
		s.judge.restart(now, step)
	}
}

// Verdict returns what the gates come to at the leader's time now. It changes nothing.
func (p *Panel) Verdict(now time.Duration) Verdict {
	v := Verdict{At: now, Outcome: Pass}
	for k, s := range p.seats {
		f := s.judge.finding(now)
		f.Gate, f.Observe = s.Name, s.Observe
		if s.silent(now) {
			f.Reason = "nothing has been heard of " + s.Name + " for " + s.silence(now).Round(time.Second).String() + "; before: " + f.Reason
			if f.Outcome == Pass {
				f.Outcome = Wait // that was then
			}
		}
		if k == 0 {
			v.Canary, v.Stable = f.Canary, f.Stable
		}
		v.Findings = append(v.Findings, f)
	}
	for k, s := range p.seats {
		v.take(s, v.Findings[k], now)
	}
	if v.Outcome != Fail {
		v.Outlier, v.OutlierReason = p.outlier(now)
	}
	v.Reason = v.reason()
	p.carry(&v)
	return v
}

// Silences returns when the next source will count as silent, if nothing is heard of it until then:
// a verdict of before may be another one from then on. It is after now.
func (p *Panel) Silences(now time.Duration) time.Duration {
	next := time.Duration(math.MaxInt64)
	for _, s := range p.seats {
		if at := max(s.began, s.heard) + Silence; at > now {
			next = min(next, at)
		}
	}
	return next
}

// Finding returns what the named gate says.
func (v Verdict) Finding(gate string) (Finding, bool) {
	for _, f := range v.Findings {
		if f.Gate == gate {
			return f, true
		}
	}
	return Finding{}, false
}

// Private

func (p *Panel) seat(c Conduct, j judge) {
	p.seats = append(p.seats, &seat{Conduct: c, judge: j})
}

// silent tells whether the source has said nothing for so long that it counts.
func (s *seat) silent(now time.Duration) bool { return s.silence(now) >= Silence }

func (s *seat) silence(now time.Duration) time.Duration { return now - max(s.began, s.heard) }

// mute tells whether its source has had nothing to say in the step. One that is asked has to have been
// asked for that, unless nobody does.
func (s *seat) mute(now time.Duration) bool {
	if j, ok := s.judge.(*conditionJudge); ok {
		return !j.heard && (j.asked || s.silent(now))
	}
	return s.heard <= s.began
}

// outcome is what the finding comes to for the rollout: silence may replace it. A gate without which
// the rollout goes on is passed over until its source speaks in the step, and again when it falls silent.
func (s *seat) outcome(f Finding, now time.Duration) Outcome {
	switch {
	case s.Observe:
		return Pass
	case f.Outcome == Wait && s.Optional && s.mute(now):
		return Pass
	case f.Outcome != Fail && s.OnSilence == FailOnSilence && s.silent(now):
		return Fail
	case f.Outcome == Wait && s.Optional && s.silent(now):
		return Pass
	}
	return f.Outcome
}

// take lets a gate have its say: any failure is a failure, a pass needs all.
func (v *Verdict) take(s *seat, f Finding, now time.Duration) {
	out := s.outcome(f, now)
	worse := out == Fail && v.Outcome != Fail || out == Wait && v.Outcome == Pass
	if out == Wait {
		v.Needed = max(v.Needed, f.Needed)
	}
	if worse {
		v.Outcome, v.Gate, v.Host = out, s.Name, f.Host
	}
}

// reason tells the verdict in one line: of the gate that decided, or of all that passed.
func (v *Verdict) reason() string {
	if v.Gate != "" {
		f, _ := v.Finding(v.Gate)
		return f.Reason
	}
	var passed []string
	for _, f := range v.Findings {
		if !f.Observe {
			passed = append(passed, f.Reason)
		}
	}
	return strings.Join(passed, "; ")
}

// rateJudge fits a Judge into a panel.
type rateJudge struct {
	*Judge

	config Config
	signal string // whose counts are judged; "": the requests and errors themselves
}

func newRateJudge(gates Gates, g RateGate, share int) *rateJudge {
	c := gates.config(share)
	c.MaxIncrease, c.MinRequests, c.Noun = g.MaxIncrease, g.MinRequests, g.Noun
	j := &rateJudge{Judge: NewJudge(c), config: c}
	if g.Name != gates.Errors.Name {
		j.signal = g.Name
	}
	return j
}

func (j *rateJudge) observe(r Report) bool {
	if j.signal != "" {
		s, said := r.Signals[j.signal]
		if !said {
			return false
		}
		r.Canary, r.Stable = s.Canary, s.Stable
		if r.Before != nil {
			r.Before = map[string]Sides{"": r.Before[j.signal]}
		}
	}
	j.Observe(r)
	return true
}

func (j *rateJudge) restart(now time.Duration, s Step) {
	c := j.config
	if j.signal == "" {
		c.Baseline = s.Baseline
	}
	j.later = s.Later
	j.Restart(now, c)
}

func (j *rateJudge) finding(now time.Duration) Finding { return j.Finding(now) }
