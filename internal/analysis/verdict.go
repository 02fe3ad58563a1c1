package analysis

import (
	"fmt"
	"math"
	"time"
)

// Outcome is what a verdict comes to.
type Outcome int

// The outcomes. Wait is the zero value: nothing is proven either way.
const (
	Wait Outcome = iota
	Pass
	Fail
)

// String returns the outcome's name in lower case.
func (o Outcome) String() string {
	switch o {
	case Wait:
		return "wait"
	case Pass:
		return "pass"
	case Fail:
		return "fail"
	}
	return "unknown"
}

// MarshalText writes the outcome's name; a value that is none is an error.
func (o Outcome) MarshalText() ([]byte, error) {
	if o < Wait || o > Fail {
		return nil, fmt.Errorf("no outcome %d", o)
	}
	return []byte(o.String()), nil
}

// UnmarshalText reads an outcome's name; any other is an error.
func (o *Outcome) UnmarshalText(text []byte) error {
	for _, known := range []Outcome{Wait, Pass, Fail} {
		if string(text) == known.String() {
			*o = known
			return nil
		}
	}
	return fmt.Errorf("no outcome %q", text)
}

// Finding is what one gate says at one moment. It holds integers and text only, so that it can
// stand in a replicated log and in events.
type Finding struct {
	// Gate is the gate's name: "errors", "latency p99", or what the spec calls it.
	Gate string `json:"gate,omitempty"`
	// Observe: reported, never acted on.
	Observe bool    `json:"observe,omitempty"`
	Outcome Outcome `json:"outcome"`
	// At is the time that the verdict was asked for, on the fleet's clock.
	At time.Duration `json:"at_ns"`
	// Canary and Stable are the totals over the step's closed windows. They are for people: the
	// tests never pool hosts or windows. Of latency, Errors are the requests that were slower than
	// the threshold, and canary's those that were so by more than is allowed.
	Canary      Counts `json:"canary"`
	Stable      Counts `json:"stable"`
	CanaryPPM   int64  `json:"canary_ppm"`
	StablePPM   int64  `json:"stable_ppm"`
	MaxIncrease int    `json:"max_increase_bp"`   // basis points allowed; of latency, of stable's
	Windows     int64  `json:"windows"`           // host-windows closed in the step
	Hosts       int    `json:"hosts"`             // hosts on which canary has served in the step
	Refused     int64  `json:"refused,omitempty"` // reports that were not counted, in the whole rollout
	Host        string `json:"host,omitempty"`    // the one host that the difference comes from, if one stands out

	// Unlike is there where hosts are compared with hosts: how many times stable's odds canary's may
	// be by its hosts alone, in thousandths. Worse and Beyond are held against that. Past is how many
	// requests these hosts had counted while all of them ran stable, that it was read from; 0: none,
	// and the most is assumed.
	Unlike int64 `json:"unlike,omitempty"`
	Past   int64 `json:"past,omitempty"`

	// Quantile is the one that a finding on latency is about, in basis points: the gate's, or of
	// several the one that says most. Threshold is stable's, learned from its past, in
	// microseconds; CanaryMicros and StableMicros are what it was in the step, 0 if not known.
	// CoveragePPM is how much of the requests HAProxy's log told of lately.
	Quantile     int   `json:"quantile_bp,omitempty"`
	Threshold    int64 `json:"threshold_us,omitempty"`
	CanaryMicros int64 `json:"canary_us,omitempty"`
	StableMicros int64 `json:"stable_us,omitempty"`
	CoveragePPM  int64 `json:"coverage_ppm,omitempty"`

	// Odds are canary's odds of an error over stable's, in thousandths: the likeliest value of
	// the grid, and a 95 % confidence sequence. 10 means 0.01 or less, 1000000 1000 or more. Of
	// latency they are the odds of being slower, as Canary and Stable count it.
	Odds     int64 `json:"odds"`
	OddsLow  int64 `json:"odds_low"`
	OddsHigh int64 `json:"odds_high"`

	// Worse, Beyond and Safe are logarithms of e-values in thousandths of a nat, each with the
	// limit at which it decides: that canary's odds are higher than stable's, that its rate is
	// beyond the margin, that it is within the margin. Fail needs the first two (only the first
	// if no increase is allowed), Pass the third. Of latency the first two are one: the margin is
	// in the thresholds.
	Worse     int64 `json:"worse"`
	Beyond    int64 `json:"beyond"`
	FailLimit int64 `json:"fail_limit"`
	Safe      int64 `json:"safe"`
	SafeLimit int64 `json:"safe_limit"`
	// Needed is about how many more canary requests a decision will take; 0 if unknown.
	Needed int64  `json:"needed,omitempty"`
	Reason string `json:"reason"`

	// CanaryMemory and StableMemory are what a container holds on average, in bytes; Restarts is
	// how often canary's were started again, or killed for want of memory. Of saturation only.
	CanaryMemory int64 `json:"canary_memory,omitempty"`
	StableMemory int64 `json:"stable_memory,omitempty"`
	Restarts     int   `json:"restarts,omitempty"`

	// Sums are what the finding follows from. They are there in a verdict that decides something.
	Sums *Sums `json:"sums,omitempty"`
}

// calmLimit is the evidence for a roll-back above which nothing passes: an e-value of 3.
const calmLimit = 3

// Finding returns the judge's opinion at the leader's time now. It rests on closed windows only
// and changes nothing; it costs time in proportion to the hosts.
func (j *Judge) Finding(now time.Duration) Finding {
	s := j.scores()
	v := Finding{
		At:          now,
		Canary:      j.step.canary,
		Stable:      j.step.stable,
		CanaryPPM:   j.step.canary.PPM(),
		StablePPM:   j.shown().PPM(),
		MaxIncrease: j.config.MaxIncrease,
		Windows:     j.step.windows,
		Refused:     j.refused,
		Unlike:      j.step.groups.unlike,
		Past:        j.step.groups.past,
		Host:        s.host,
		Worse:       milli(s.worse),
		Beyond:      milli(s.beyond),
		FailLimit:   milli(s.failLimit),
		Safe:        milli(s.safe),
		SafeLimit:   milli(s.safeLimit),
	}
	odds, low, high := j.errors.grid.interval(&j.errors.odds, .05)
	v.Odds, v.OddsLow, v.OddsHigh = milli(odds), milli(low), milli(high)
	var who turnout
	for _, h := range j.hosts {
		who.add(h.served, h.hasCanary && now-h.cut.heard <= longest)
	}
	v.Hosts = who.served
	v.Outcome = s.outcome(v.Canary.Requests, j.config.MinRequests, who)
	if v.Outcome == Wait {
		v.Needed = j.needed(s)
	}
	v.Reason = j.reason(v, s)
	return v
}

// scores are the numbers that decide, in nats.
type scores struct {
	worse, beyond, failLimit float64
	safe, safeLimit          float64
	margin                   bool // an increase is allowed, so beyond counts
	host                     string
	against                  *broad // the evidence that beyond is of
}

// fail is the evidence for a roll-back: the weaker of the two that it needs.
func (s scores) fail() float64 {
	if !s.margin {
		return s.worse
	}
	return min(s.worse, s.beyond)
}

func (j *Judge) scores() scores {
	worse, against := j.errors.worse.aided(), j.errors.beyond.aided()
	all := worse.logE()
	s := scores{
		margin:    j.config.MaxIncrease > 0,
		worse:     all,
		beyond:    against.logE(),
		against:   against,
		failLimit: -math.Log(j.config.alpha()),
		safe:      j.errors.safety(),
		safeLimit: -math.Log(j.config.alphaSafe()),
	}
	if all <= math.Log(calmLimit) {
		return s // the rule of breadth costs most, and could only lower it
	}
	score, host, rest := worse.score()
	s.worse = score
	if all >= s.failLimit/2 && rest < all/alone {
		s.host = host
	}
	return s
}

// turnout counts the hosts on which canary has served in the step, and those on which it could and
// has not.
type turnout struct{ served, waiting int }

func (t *turnout) add(served, could bool) {
	switch {
	case served:
		t.served++
	case could:
		t.waiting++
	}
}

// broad tells whether there has been enough of it for a pass: two hosts, or the only one.
func (t turnout) broad() bool { return t.served >= 2 || t.served == 1 && t.waiting == 0 }

// outcome decides: by n canary requests, of which least are needed for a pass, on the hosts that
// turned out.
func (s scores) outcome(n, least int64, who turnout) Outcome {
	if s.fail() >= s.failLimit {
		return Fail
	}
	if who.broad() && n >= max(1, least) && s.safe >= s.safeLimit && s.calm() {
		return Pass
	}
	return Wait
}

// calm tells whether there is no more than slight evidence for a roll-back.
func (s scores) calm() bool { return s.fail() <= math.Log(calmLimit) }

// shown returns the counts that canary's rate is shown against: stable's of the step, or
// the frozen baseline where none ran.
func (j *Judge) shown() Counts {
	if j.step.stable.Requests == 0 {
		return j.config.Baseline
	}
	return j.step.stable
}

// milli rounds to thousandths, within what a JSON number holds.
func milli(x float64) int64 {
	const limit = 1e12
	return int64(math.Round(max(-limit, min(limit, x*1000))))
}
