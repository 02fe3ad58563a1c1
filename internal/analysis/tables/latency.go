package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/analysis/peers"
	"github.com/serin-rollouts/serin/internal/analysis/traffic"
)

const (
	// slowAlarmRuns and slowRuns are how often healthy and slower canaries are
	// played: each request of a run is drawn. fewAlarmRuns is for healthy ones that
	// take long and are least likely to alarm.
	slowAlarmRuns = 1000
	fewAlarmRuns  = 200
	slowRuns      = 100
	// cold is when a canary's requests begin to count: it is warm, and a round
	// of reports has told so.
	cold = 35 * time.Second
)

// timed is a service whose requests take a while, and a canary of it.
type timed struct {
	name           string
	share          float64
	stable, canary traffic.Service
}

// lead is how long stable is watched before canary gets traffic, so that even
// the thresholds far out are known.
func (t timed) lead() time.Duration {
	if t.share >= .5 {
		return 40 * time.Minute
	}
	return 3 * time.Minute
}

func (t timed) scene() traffic.Scene {
	s := scene(t.share)
	s.ShareAt = func(_ int, at time.Duration) float64 {
		if at <= t.lead() {
			return 0
		}
		return t.share
	}
	s.Rate = traffic.Fixed(.01, .01)
	s.StableTimes, s.CanaryTimes = t.stable.Containers(), t.canary.Containers()
	return s
}

func lognormal() traffic.Service { return traffic.Service{Median: 100, Sigma: .5} }

// twoModes has nine fast requests for each slow one.
func twoModes() traffic.Service {
	return traffic.Service{Median: 20, Sigma: .3, SlowShare: .1, SlowMedian: 300, SlowSigma: .3}
}

// alike are canaries that are as fast as stable.
func alike(share float64) []timed {
	noise, pauses, lasting, all := lognormal(), lognormal(), lognormal(), lognormal()
	noise.Noise = .1
	pauses.PauseShare = 1. / 60
	lasting.Persistent = .03
	all.Noise, all.Persistent, all.PauseShare = .05, .03, 1./60
	var scenes []timed
	for _, c := range []struct {
		name    string
		service traffic.Service
	}{
		{"lognormal", lognormal()},
		{"two modes", twoModes()},
		{"containers differ by 10 % from window to window", noise},
		{"pauses for garbage: 3 in 10 requests × 8 in each 60th window", pauses},
		{"containers differ by 3 % for good", lasting},
		{"5 % noise, 3 % for good, pauses", all},
	} {
		scenes = append(scenes, timed{fmt.Sprintf("%s, share %s", c.name, percent(share)), share, c.service, c.service})
	}
	return scenes
}

// scarce are the simplest and the hardest of them at a share of 1 %, each run of
// which takes five times as many requests.
func scarce() []timed {
	all := alike(.01)
	return []timed{all[0], all[len(all)-1]}
}

// slower are canaries that are slower than stable, and what the method took of
// their requests when it was first described: with nothing allowed, and 10 %.
type slower struct {
	timed

	none, tenth speed
}

// speed is in how many requests a regression is found, in the median and in 95
// of 100 runs; never: not to be seen.
type speed struct{ median, late int64 }

func slowed() []slower {
	body, more, tail := lognormal(), lognormal(), lognormal()
	body.Median, more.Median = 110, 150
	tail.SlowShare, tail.SlowMedian, tail.SlowSigma = .025, 600, .1
	mode := twoModes()
	mode.SlowMedian = 600
	unseen := speed{never, never}
	return []slower{
		{timed{"p50 +50 %, share 1 %", .01, lognormal(), more}, speed{70, 90}, speed{90, 150}},
		{timed{"p99 × 2, share 1 %", .01, lognormal(), tail}, speed{400, 750}, speed{470, 900}},
		{timed{"p50 +10 %, share 5 %", .05, lognormal(), body}, speed{760, 1360}, unseen},
		{timed{"p50 +10 %, share 50 %", .5, lognormal(), body}, speed{1440, 2740}, unseen},
		{timed{"p50 +50 %, share 5 %", .05, lognormal(), more}, speed{70, 100}, speed{100, 150}},
		{timed{"p50 +50 %, share 50 %", .5, lognormal(), more}, speed{100, 170}, speed{150, 260}},
		{timed{"p99 × 2, share 5 %", .05, lognormal(), tail}, speed{400, 770}, speed{500, 930}},
		{timed{"p99 × 2, share 50 %", .5, lognormal(), tail}, speed{700, 1410}, speed{930, 1770}},
		{timed{"slow one of two modes × 2, share 5 %", .05, twoModes(), mode}, speed{200, 380}, speed{270, 470}},
		{timed{"slow one of two modes × 2, share 50 %", .5, twoModes(), mode}, speed{330, 630}, speed{440, 850}},
	}
}

// aim is what a gate on latency compares, and how much it allows.
type aim struct {
	quantile int // basis points; 0: the whole distribution
	increase int
}

// newTimed returns a panel of a gate on errors and of those on latency with these
// aims, in this order.
func newTimed(aims ...aim) *panel {
	gates := analysis.Gates{
		Errors: analysis.RateGate{Conduct: analysis.Conduct{Name: "errors"}, MaxIncrease: halfPoint, MinRequests: 100},
	}
	for i, a := range aims {
		gates.Latency = append(gates.Latency, analysis.LatencyGate{
			Conduct: analysis.Conduct{Name: fmt.Sprintf("latency-%d", i)}, Quantile: a.quantile, MaxIncrease: a.increase, MinRequests: 100,
		})
	}
	return &panel{panel: analysis.NewPanel(gates)}
}

// p99 is the aim of a gate on the quantile most used, with a fifth allowed.
func p99() aim { return aim{quantile: 9900, increase: margin20} }

// clocks plays how long requests took to the peers that judge times. They see
// what a metrics server would: quantiles of the minutes.
type clocks struct {
	at             time.Duration
	canary, stable []float64
	p50, p99       peers.Kayenta
	flagger        peers.Flagger
	bands          *peers.Bands
}

func (c *clocks) look(f *traffic.Fleet, _ []analysis.Report) {
	if c.at == f.Now() {
		return
	}
	c.at = f.Now()
	canary, stable := f.Times(true), f.Times(false)
	if len(canary) == 0 || len(stable) == 0 {
		return
	}
	c.bands.Observe(canary, stable)
	c.canary, c.stable = append(c.canary, canary...), append(c.stable, stable...)
	if c.at%time.Minute != 0 {
		return
	}
	slices.Sort(c.canary)
	slices.Sort(c.stable)
	p99 := of(c.canary, .99)
	c.p50.Minute(of(c.canary, .5), of(c.stable, .5))
	c.p99.Minute(p99, of(c.stable, .99))
	c.flagger.Minute(p99 <= 500)
	c.canary, c.stable = c.canary[:0], c.stable[:0]
}

// of returns the q-quantile of sorted values.
func of(sorted []float64, q float64) float64 { return sorted[int(q*float64(len(sorted)))] }

// asks is a peer that clocks plays to.
type asks struct {
	*clocks

	whether func(alpha float64) bool
}

func (a asks) fires(alpha float64) bool { return a.whether(alpha) }

// castOfTimes is all judges of times.
func castOfTimes() []watcher {
	alphas := levels()
	p := newTimed(aim{increase: analysis.NoIncrease}, aim{increase: 1000}, p99())
	errs, none, tenth, tail := gate{p, 0}, gate{p, 1}, gate{p, 2}, gate{p, 3}
	c := &clocks{bands: peers.NewBands(alphas[:]...)}
	return []watcher{
		none, tenth, tail,
		together{errs, tenth},
		asks{c, c.p50.Fires},
		asks{c, c.p99.Fires},
		asks{c, c.flagger.Fires},
		asks{c, c.bands.Fires},
	}
}

const timesHead = "| serin, no increase allowed | serin, +10 % allowed | serin, p99 +20 % allowed | serin, errors and latency together | Kayenta p50, each minute | Kayenta p99, each minute | Flagger p99 ≤ 500 ms, 5 failed | Howard-Ramdas bands |\n|---|---|---|---|---|---|---|---|---|\n"

// alarmRuns is how often it is played when it is as fast as stable. Where
// containers differ for good, alarms are likeliest.
func (t timed) alarmRuns() int {
	if t.share == .05 || t.stable.Persistent > 0 || t.share > .05 && t.stable == lognormal() {
		return slowAlarmRuns
	}
	return fewAlarmRuns
}

func slowAlarmsTable(s *studio) string {
	var b strings.Builder
	b.WriteString("| canary is as fast as stable | runs " + strings.Replace(timesHead, "|---", "|---|---", 1))
	for _, t := range slices.Concat(scarce(), alike(.05), alike(.5)) {
		n := s.times(t.alarmRuns())
		fmt.Fprintf(&b, "| %s | %d |", t.name, n)
		for w, rs := range s.runs(t.name, n, play{t.scene(), t.lead() + span, castOfTimes}) {
			share := func(level int) float64 { return 100 * float64(fired(rs, level)) / float64(n) }
			switch w {
			case 3, 4, 5, 6: // they know no other alpha, or are asked at the default
				fmt.Fprintf(&b, " %.1f |", share(onePercent))
			default:
				fmt.Fprintf(&b, " %.1f / %.1f |", share(onePercent), share(fivePercent))
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func slowTable(s *studio) string {
	var b strings.Builder
	b.WriteString("| canary is slower " + timesHead)
	for _, t := range slowed() {
		fmt.Fprintf(&b, "| %s |", t.name)
		for w, rs := range s.runs(t.name, s.times(slowRuns), play{t.scene(), t.lead() + patience, castOfTimes}) {
			start, level := t.lead(), onePercent
			if w < 4 {
				start, level = start+cold, ofRollout
			}
			fmt.Fprintf(&b, " %s |", took(since(rs, start, t.scene().PerSecond), level))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// slowCheck plays slower canaries, and some as fast as stable, to the product's
// judge alone.
func slowCheck(s *studio) error {
	var wrong []error
	for _, t := range slowed() {
		if t.share != .05 || t.tenth.median == never {
			continue
		}
		p := play{t.scene(), t.lead() + patience, func() []watcher { return []watcher{gate{newTimed(aim{increase: 1000}), 1}} }}
		rs := since(s.runs(t.name, s.times(20), p)[0], t.lead()+cold, p.scene.PerSecond)
		// A fifth over the figure is allowed, and another for so few runs.
		if m := quantile(rs, ofRollout, .5); m > t.tenth.median*3/2 {
			wrong = append(wrong, fmt.Errorf("%s: median of %s canary requests, limit %d", t.name, requests(m), t.tenth.median*3/2))
		}
	}
	n := s.times(20)
	for _, t := range alike(.05) {
		p := play{t.scene(), t.lead() + span/2, func() []watcher { return []watcher{gate{newTimed(aim{increase: 1000}), 1}} }}
		if failed := fired(s.runs(t.name, n, p)[0], onePercent); failed > most(n, .01) {
			wrong = append(wrong, fmt.Errorf("%s: %d of %d good versions failed", t.name, failed, n))
		}
	}
	return errors.Join(wrong...)
}

// margin20 is a fifth, in basis points.
const margin20 = 2000

// slowSafeTable plays canaries as fast as stable until a step may pass, by the
// whole distribution and by one quantile.
func slowSafeTable(s *studio) string {
	var b strings.Builder
	b.WriteString("| canary is as fast as stable | whole distribution, +20 % allowed | p99, +20 % allowed |\n|---|---|---|\n")
	for _, t := range slices.Concat(scarce(), alike(.05), alike(.5)) {
		p := play{t.scene(), t.lead() + patience, func() []watcher {
			both := newTimed(aim{increase: margin20}, p99())
			return []watcher{safe{both, 1}, safe{both, 2}}
		}}
		fmt.Fprintf(&b, "| %s |", t.name)
		for _, rs := range s.runs(t.name+" safe", s.times(slowRuns), p) {
			fmt.Fprintf(&b, " %s |", took(since(rs, t.lead()+cold, p.scene.PerSecond), onePercent))
		}
		b.WriteString("\n")
	}
	return b.String()
}
