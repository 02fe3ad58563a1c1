package event

import (
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// payload is rollout.Event with its verdict as observers read it. The fields
// of the same name in the embedded event give way to it.
type payload struct {
	rollout.Event
	Verdict *verdict `json:"verdict,omitempty"`
}

// counts are requests, and those of them that were answered with an error.
type counts struct {
	Requests int64 `json:"requests"`
	Errors   int64 `json:"errors"`
}

// verdict is analysis.Verdict: rates in parts per million, odds in thousandths,
// evidence in thousandths of a nat.
type verdict struct {
	Outcome     string `json:"outcome"` // wait, pass or fail
	At          int64  `json:"at_ns"`   // on the fleet's clock
	Canary      counts `json:"canary"`
	Stable      counts `json:"stable"`
	CanaryPPM   int64  `json:"canary_ppm"`
	StablePPM   int64  `json:"stable_ppm"`
	MaxIncrease int    `json:"max_increase_bp"`
	Windows     int64  `json:"windows"`
	Hosts       int    `json:"hosts"`
	Refused     int64  `json:"refused,omitempty"`
	Host        string `json:"host,omitempty"`
	Odds        int64  `json:"odds"`
	OddsLow     int64  `json:"odds_low"`
	OddsHigh    int64  `json:"odds_high"`
	Worse       int64  `json:"worse"`
	Beyond      int64  `json:"beyond"`
	FailLimit   int64  `json:"fail_limit"`
	Safe        int64  `json:"safe"`
	SafeLimit   int64  `json:"safe_limit"`
	Needed      int64  `json:"needed,omitempty"`
	Reason      string `json:"reason"`
}

func toPayload(e rollout.Event) payload {
	p := payload{Event: e}
	if v := e.Verdict; v != nil {
		p.Verdict = &verdict{
			Outcome: v.Outcome.String(), At: int64(v.At), Canary: counts(v.Canary), Stable: counts(v.Stable),
			CanaryPPM: v.CanaryPPM, StablePPM: v.StablePPM, MaxIncrease: v.MaxIncrease,
			Windows: v.Windows, Hosts: v.Hosts, Refused: v.Refused, Host: v.Host,
			Odds: v.Odds, OddsLow: v.OddsLow, OddsHigh: v.OddsHigh,
			Worse: v.Worse, Beyond: v.Beyond, FailLimit: v.FailLimit,
			Safe: v.Safe, SafeLimit: v.SafeLimit, Needed: v.Needed, Reason: v.Reason,
		}
	}
	return p
}

func (p payload) event() rollout.Event {
	e := p.Event
	if v := p.Verdict; v != nil {
		e.Verdict = &analysis.Verdict{
			Outcome: outcome(v.Outcome), At: time.Duration(v.At), Canary: analysis.Counts(v.Canary), Stable: analysis.Counts(v.Stable),
			CanaryPPM: v.CanaryPPM, StablePPM: v.StablePPM, MaxIncrease: v.MaxIncrease,
			Windows: v.Windows, Hosts: v.Hosts, Refused: v.Refused, Host: v.Host,
			Odds: v.Odds, OddsLow: v.OddsLow, OddsHigh: v.OddsHigh,
			Worse: v.Worse, Beyond: v.Beyond, FailLimit: v.FailLimit,
			Safe: v.Safe, SafeLimit: v.SafeLimit, Needed: v.Needed, Reason: v.Reason,
		}
	}
	return e
}

func outcome(name string) analysis.Outcome {
	for _, o := range []analysis.Outcome{analysis.Pass, analysis.Fail} {
		if o.String() == name {
			return o
		}
	}
	return analysis.Wait
}
