package analysis

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// reason tells a verdict in one line for people: rates, allowance, and what follows.
func (j *Judge) reason(v Finding, s scores) string {
	if v.Canary.Requests == 0 {
		return "no canary requests counted yet"
	}
	parts := []string{j.rates(v), "allowed +" + points100(int64(j.config.MaxIncrease)) + " points"}
	if j.config.MaxIncrease == 0 {
		parts[1] = "no increase allowed"
	}
	alone := v.Stable.Requests == 0 && j.config.Baseline.Requests == 0
	return strings.Join(append(parts, s.conclusion(v, j.config.MinRequests, alone)...), "; ")
}

func (j *Judge) rates(v Finding) string {
	s := fmt.Sprintf("%s %s on canary, ", j.config.Noun, share(v.Canary))
	switch {
	case v.Stable.Requests > 0:
		return s + share(v.Stable) + " on stable"
	case j.config.Baseline.Requests > 0:
		return s + share(j.config.Baseline) + " on stable before"
	default:
		return s + "no stable traffic"
	}
}

// conclusion tells what follows from the scores, and where the difference comes from. A pass
// needs so many canary requests; alone says that there is nothing to compare them with.
func (s scores) conclusion(v Finding, least int64, alone bool) []string {
	var said []string
	if v.Unlike > 0 {
		said = append(said, v.groups())
	}
	said = append(said, s.claim(v, least, alone))
	if v.Host != "" && v.Outcome != Pass {
		said = append(said, "the difference comes from host "+v.Host)
	}
	return said
}

// groups tells that hosts were compared with hosts, and what was laid to those themselves.
func (v Finding) groups() string {
	by := "no past of theirs is known"
	if v.Past > 0 {
		by = "by their past of " + plural(v.Past, "request")
	}
	return "hosts are compared with hosts: " + by + ", canary's odds may be " + points100(v.Unlike/10) + " times stable's by the hosts alone"
}

func (s scores) claim(v Finding, least int64, alone bool) string {
	switch v.Outcome {
	case Fail:
		claim := "canary is beyond that: "
		if !s.margin {
			claim = "canary is worse: "
		}
		return claim + "a version that is not would look so bad at most once in " + odds(s.fail()) + " rollouts"
	case Pass:
		return "canary is within that: a version that is not would look so good at most once in " + odds(s.safe) + " steps"
	case Wait:
	}
	switch {
	case v.Canary.Requests < least && v.Needed == 0:
		if least == 1 {
			return "undecided; needs 1 canary request at least"
		}
		return fmt.Sprintf("undecided; needs %d canary requests at least", least)
	case v.Canary.Requests >= least && s.safe >= s.safeLimit && s.calm():
		return "within that where canary serves; waiting for a second host"
	case v.Needed == 1:
		return "undecided; about 1 more canary request needed"
	case v.Needed > 0:
		return "undecided; about " + strconv.FormatInt(roundUp(v.Needed), 10) + " more canary requests needed"
	case alone:
		return "undecided; there is no stable traffic to compare with"
	default:
		return "undecided; too close to the limit to say how long it will take"
	}
}

// share writes a rate and its counts: "2.31% (57 of 2468)".
func share(c Counts) string {
	return fmt.Sprintf("%s%% (%d of %d)", points100((c.PPM()+50)/100), c.Errors, c.Requests)
}

// points100 writes hundredths: 231 is "2.31".
func points100(n int64) string { return fmt.Sprintf("%d.%02d", n/100, n%100) }

// odds writes an e-value, given its logarithm, rounded down: "12000". It goes by the thousandths
// that a finding holds, so that whoever reads these comes to the same number.
func odds(logE float64) string {
	n := int64(1_000_000) // more is not claimed
	if e := math.Exp(float64(milli(logE)) / 1000); e < float64(n) {
		n = int64(e)
	}
	return strconv.FormatInt(TwoDigits(n), 10)
}

// plural counts: 1 request, 2 requests.
func plural[N int | int64](n N, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// TwoDigits rounds a count down to two leading digits: no more is claimed than is so.
func TwoDigits(n int64) int64 {
	unit := int64(1)
	for n/unit >= 100 {
		unit *= 10
	}
	return n / unit * unit
}

// roundUp rounds up to two leading digits: a forecast is no more exact.
func roundUp(n int64) int64 {
	if d := TwoDigits(n); d < n {
		unit := int64(1)
		for n/unit >= 100 {
			unit *= 10
		}
		return d + unit
	}
	return n
}
