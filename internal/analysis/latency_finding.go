package analysis

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// finding returns the judge's opinion, as Judge.Finding does.
func (j *latencyJudge) finding(now time.Duration) Finding {
	s, band := j.scores()
	b := &j.bands[band]
	v := Finding{
		At: now, Canary: b.canary, Stable: b.stable, CanaryPPM: b.canary.PPM(), StablePPM: b.stable.PPM(),
		MaxIncrease: j.gate.MaxIncrease, Windows: j.step.windows, Refused: j.refused, Host: s.host,
		Worse: milli(s.worse), Beyond: milli(s.beyond), FailLimit: milli(s.failLimit),
		Safe: milli(s.safe), SafeLimit: milli(s.safeLimit),
		Unlike: j.step.groups.unlike, Past: j.step.groups.past,
		Quantile:     b.quantile,
		CanaryMicros: j.step.shown[band].canary, StableMicros: j.step.shown[band].stable,
	}
	if band < j.cuts.known {
		v.Threshold = j.cuts.edges[band].Micros()
	}
	odds, low, high := j.grid.interval(&b.odds, .05)
	v.Odds, v.OddsLow, v.OddsHigh = milli(odds), milli(low), milli(high)
	var who turnout
	for _, h := range j.hosts {
		who.add(h.served, h.hasCanary && now-h.cut.heard <= longest)
	}
	v.Hosts = who.served
	coverage, told := j.coverage(now)
	if told {
		v.CoveragePPM = coverage
	}
	if told && float64(coverage) < leastCoverage*1e6 {
		v.Reason = fmt.Sprintf("HAProxy's log told of %d %% of the requests; %.0f %% are needed", coverage/10_000, leastCoverage*100)
		return v
	}
	v.Outcome = s.outcome(j.bands[0].canary.Requests, j.config.MinRequests, who)
	if v.Outcome == Wait {
		v.Needed = j.needed(s)
	}
	v.Reason = j.reason(v, s, band)
	return v
}

// scores returns the numbers that decide, and the band that is to be shown: the one with most
// evidence for a roll-back if there is much, otherwise the last to become safe.
func (j *latencyJudge) scores() (s scores, band int) {
	s = scores{
		margin: j.gate.MaxIncrease > 0, failLimit: -math.Log(j.config.alpha()), safe: math.Inf(1),
		safeLimit: -math.Log(j.config.alphaSafe()),
	}
	pools, terms := make([]*broad, len(j.bands)), make([]float64, len(j.bands))
	worst := 0
	for k := range j.bands {
		b := &j.bands[k]
		pools[k] = b.worse.aided()
		terms[k] = pools[k].logE()
		if terms[k] > terms[worst] {
			worst = k
		}
		if e := b.safer.logE(); b.vital && e < s.safe {
			band, s.safe = k, e
		}
	}
	all := mean(terms)
	s.worse, s.beyond = all, all
	if s.calm() {
		return s, band // the rule of breadth costs most, and could only lower it
	}
	worse, host, rest := scoreOf(pools)
	if s.worse, s.beyond = worse, worse; !s.calm() {
		band = worst
	}
	if all >= s.failLimit/2 && rest < all/alone {
		s.host = host
	}
	return s, band
}

// needed forecasts the canary requests to the nearer decision: to a failure if a band looks worse
// than safety allows, otherwise until all that a pass needs are safe; 0 if there is no telling.
func (j *latencyJudge) needed(s scores) int64 {
	pass, fail, slow := int64(0), int64(farAway), false
	share := math.Log(float64(len(j.bands)))
	for k := range j.bands {
		b := &j.bands[k]
		if b.canary.Requests == 0 && b.vital {
			return 0
		}
		ratio, _, _ := j.grid.interval(&b.odds, .05)
		if ratio >= saferOdds {
			n := b.forecast(s.failLimit+share+2*mixtureCost-best(&b.worse.aided().pool), math.Log(ratio))
			fail, slow = min(fail, cmp.Or(n, farAway)), slow || b.vital
		} else if b.vital {
			pass = max(pass, b.forecast(s.safeLimit+mixtureCost-best(&b.safer), math.Log(saferOdds/ratio)))
		}
	}
	switch {
	case fail < farAway:
		return fail
	case slow:
		return 0
	}
	return max(pass, j.config.MinRequests-j.bands[0].canary.Requests)
}

// forecast returns the canary requests until so much evidence has gathered, if the logarithm of
// the odds ratio is so far from the null's; 0 if that is out of reach.
func (b *band) forecast(target, distance float64) int64 {
	return forecast(target, b.value()*distance*distance/2)
}

// value returns how much a canary request tells of the logarithm of the odds ratio: its share of
// the conditional law's variance, over phi.
func (b *band) value() float64 {
	nc, ns := float64(b.canary.Requests), float64(b.stable.Requests)
	p := 1 - b.share()
	other := 1.0
	if ns > 0 {
		p, other = shrunk(b.stable, p), ns/(nc+ns)
	}
	return p * (1 - p) * other * nc / max(nc, b.phi)
}

// reason tells a finding in one line for people.
func (j *latencyJudge) reason(v Finding, s scores, band int) string {
	if j.cuts.known == 0 {
		return fmt.Sprintf("learning how long stable takes: %d of %d requests", j.learner.seen, j.bands[0].needs())
	}
	if v.Canary.Requests == 0 {
		return "no canary requests counted yet"
	}
	allowed := "allowed +" + strconv.FormatFloat(float64(j.gate.MaxIncrease)/100, 'f', -1, 64) + " %"
	if j.gate.MaxIncrease == 0 {
		allowed = "no increase allowed"
	}
	parts := []string{j.compared(v, band), allowed}
	return strings.Join(append(parts, s.conclusion(v, j.config.MinRequests, false)...), "; ")
}

// compared tells the quantiles, or how many requests were slower if those are not known.
func (j *latencyJudge) compared(v Finding, band int) string {
	name := "p" + strconv.FormatFloat(float64(v.Quantile)/100, 'f', -1, 64)
	if v.CanaryMicros > 0 {
		change := math.Round(100 * (float64(v.CanaryMicros)/float64(max(1, v.StableMicros)) - 1))
		return fmt.Sprintf("%s %s on canary, %s on stable (%+.0f %%)", name, long(v.CanaryMicros), long(v.StableMicros), change)
	}
	if band >= j.cuts.known {
		return fmt.Sprintf("%s of stable not known yet: %d of %d requests", name, j.learner.seen, j.bands[band].needs())
	}
	beyond, _ := j.factors()
	over := long(j.cuts.edges[band].Over(beyond).Micros())
	said := fmt.Sprintf("%s: over %s took %s on canary", name, over, share(v.Canary))
	if v.Stable.Requests == 0 {
		return said + ", no stable traffic"
	}
	return said + fmt.Sprintf(", over %s %s on stable", long(v.Threshold), share(v.Stable))
}

// long writes a time: "820 µs", "48.1 ms", "1.23 s".
func long(micros int64) string {
	switch x := float64(micros); {
	case micros < 1000:
		return fmt.Sprintf("%d µs", micros)
	case micros < 999_950:
		return digits(x/1e3) + " ms"
	default:
		return digits(x/1e6) + " s"
	}
}

// digits writes three digits.
func digits(x float64) string {
	switch {
	case x < 9.995:
		return strconv.FormatFloat(x, 'f', 2, 64)
	case x < 99.95:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 0, 64)
}
