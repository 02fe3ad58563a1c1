package api

import (
	"math"

	"github.com/serin-rollouts/serin/internal/analysis"
)

// Verdict is what the gates of a rollout come to at one moment.
type Verdict struct {
	Outcome string `json:"outcome"` // wait, pass or fail
	// Gate is the one that failed, or the first that is waited for.
	Gate   string `json:"gate,omitempty"`
	Reason string `json:"reason"`
	// Needed is about how many more canary requests it takes; 0 if unknown.
	Needed int64 `json:"needed,omitempty"`
	// Outlier is a host whose canary alone is bad, and OutlierReason how that is
	// known.
	Outlier       string `json:"outlier,omitempty"`
	OutlierReason string `json:"outlier_reason,omitempty"`
	// Canary and Stable are the step's requests, and those that were answered
	// with a server error.
	Canary Counts `json:"canary"`
	Stable Counts `json:"stable"`
	Gates  []Gate `json:"gates,omitempty"` // in the order of the rollout file
}

// The kinds of gates. A later release may know more.
const (
	KindErrors     = "errors"     // server errors among all requests
	KindRate       = "rate"       // other bad events among all
	KindLatency    = "latency"    // how long requests take
	KindSaturation = "saturation" // what containers use, and how they fare
	KindCondition  = "condition"  // an expression over readings
)

// What a gate comes to. A later release may know more.
const (
	OutcomeWait = "wait"
	OutcomePass = "pass"
	OutcomeFail = "fail"
	OutcomeSkip = "skip" // passed over: it is optional and has no data
)

// Gate is what one gate says. The numbers are those that its kind has.
type Gate struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Outcome string `json:"outcome"`
	Observe bool   `json:"observe,omitempty"` // reported, never acted on
	Reason  string `json:"reason"`            // all of it in one line
	// Canary and Stable count the step's events and the bad ones among them; of
	// latency, the requests that were slower than Threshold, and canary's those
	// that were so by more than is allowed; of saturation, CPU periods and those
	// that were throttled.
	Canary *Counts `json:"canary,omitempty"`
	Stable *Counts `json:"stable,omitempty"`
	// Quantile is the one compared, in basis points; CanaryTime and StableTime
	// are what it was, if known.
	Quantile   int    `json:"quantile_bp,omitempty"`
	Threshold  Micros `json:"threshold_us,omitempty"`
	CanaryTime Micros `json:"canary_us,omitempty"`
	StableTime Micros `json:"stable_us,omitempty"`
	// CanaryMemory and StableMemory are a container's on average, in bytes;
	// Restarts are canary's.
	CanaryMemory int64 `json:"canary_memory,omitempty"`
	StableMemory int64 `json:"stable_memory,omitempty"`
	Restarts     int   `json:"restarts,omitempty"`
	// Allowed is how much worse canary may be, in basis points: of all events, or
	// of stable's time or memory. It is nil where that is not one number.
	Allowed *int `json:"allowed_bp,omitempty"`
	// Alpha is the gate's part of the rollout's alpha, in parts per million; 0
	// for one that takes none, or where it is not known.
	Alpha int `json:"alpha_ppm,omitempty"`
	// Odds are canary's odds of a bad event over stable's with a 95 % confidence
	// sequence, and Evidence what decides; nil where nothing is estimated.
	Odds     *Odds     `json:"odds,omitempty"`
	Evidence *Evidence `json:"evidence,omitempty"`
	// Needed is about how many more canary requests the gate needs; 0 if unknown.
	Needed int64 `json:"needed,omitempty"`
	// Host is the one that the difference comes from, if one stands out.
	Host string `json:"host,omitempty"`
	// Unlike is there where hosts are compared with hosts: how many times
	// stable's odds canary's may be by its hosts alone, in thousandths; Past is
	// how many requests of theirs on stable that was read from, 0 if none.
	Unlike int64 `json:"unlike,omitempty"`
	Past   int64 `json:"past,omitempty"`
	// Hosts is on how many hosts canary has served in the step.
	Hosts int `json:"hosts,omitempty"`
	// Note is what a person should know of the gate's source besides: of feedback,
	// how many messages were not counted since the rollout began, and why not.
	Note string `json:"note,omitempty"`
}

// Odds is a ratio of odds in thousandths: the likeliest value and an interval.
// 10 means 0.01 or less, 1000000 means 1000 or more.
type Odds struct {
	Value int64 `json:"value"`
	Low   int64 `json:"low"`
	High  int64 `json:"high"`
}

// Evidence is logarithms of e-values in thousandths of a nat, with the limits
// at which they decide: that canary is beyond what is allowed, and within it.
type Evidence struct {
	Fail      int64 `json:"fail"`
	FailLimit int64 `json:"fail_limit"`
	Safe      int64 `json:"safe"`
	SafeLimit int64 `json:"safe_limit"`
}

// VerdictOf renders a verdict, as the leader has it or as an event recorded it.
func VerdictOf(v analysis.Verdict) Verdict {
	out := Verdict{
		Outcome: v.Outcome.String(), Gate: v.Gate, Reason: v.Reason, Needed: v.Needed,
		Outlier: v.Outlier, OutlierReason: v.OutlierReason,
		Canary: Counts{v.Canary.Requests, v.Canary.Errors}, Stable: Counts{v.Stable.Requests, v.Stable.Errors},
	}
	for _, f := range v.Findings {
		g := gateOf(f)
		switch acted := !f.Observe; {
		case acted && v.Outcome == analysis.Fail && v.Gate == f.Gate:
			g.Outcome = OutcomeFail // it may be silence that failed it
		case acted && v.Outcome == analysis.Pass && f.Outcome == analysis.Wait:
			g.Outcome = OutcomeSkip
		}
		out.Gates = append(out.Gates, g)
	}
	return out
}

// Odd returns how unlikely evidence of that size is by chance, as the 12000 of
// "1 in 12000".
func (e Evidence) Odd(size int64) int64 {
	const most = 1_000_000 // more is not claimed
	if e := math.Exp(float64(max(0, size)) / 1000); e < most {
		return int64(e)
	}
	return most
}

// Private

func gateOf(f analysis.Finding) Gate {
	g := Gate{
		Name: f.Gate, Kind: kindOf(f), Outcome: f.Outcome.String(), Observe: f.Observe, Reason: f.Reason,
		Needed: f.Needed, Host: f.Host, Hosts: f.Hosts, Unlike: f.Unlike, Past: f.Past,
	}
	if f.FailLimit == 0 {
		return g // nothing is estimated
	}
	g.Canary, g.Stable = &Counts{f.Canary.Requests, f.Canary.Errors}, &Counts{f.Stable.Requests, f.Stable.Errors}
	if f.Canary.Requests > 0 {
		g.Odds = &Odds{f.Odds, f.OddsLow, f.OddsHigh}
		g.Evidence = &Evidence{failing(f), f.FailLimit, f.Safe, f.SafeLimit}
	}
	switch g.Kind {
	case KindSaturation:
		g.CanaryMemory, g.StableMemory, g.Restarts = f.CanaryMemory, f.StableMemory, f.Restarts
		return g // what is allowed is three numbers
	case KindLatency:
		g.Quantile, g.Threshold = f.Quantile, Micros(f.Threshold)
		g.CanaryTime, g.StableTime = Micros(f.CanaryMicros), Micros(f.StableMicros)
	}
	allowed := max(0, f.MaxIncrease)
	g.Allowed = &allowed
	return g
}

// kindOf tells by what a finding holds: events of earlier releases say no more.
func kindOf(f analysis.Finding) string {
	switch {
	case f.Gate == KindSaturation || f.CanaryMemory > 0 || f.StableMemory > 0:
		return KindSaturation
	case f.Quantile > 0:
		return KindLatency
	case f.FailLimit == 0:
		return KindCondition
	case f.Gate == KindErrors:
		return KindErrors
	}
	return KindRate
}

// failing is the evidence for a roll-back: the weaker of the two that it needs,
// or the first alone where no increase is allowed.
func failing(f analysis.Finding) int64 {
	if f.MaxIncrease <= 0 {
		return f.Worse
	}
	return min(f.Worse, f.Beyond)
}
