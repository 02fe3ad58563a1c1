package main

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/analysis/traffic"
)

// groupRuns is how often hosts are compared with hosts where canary is as good
// as stable, groupFinds where it is not.
const (
	groupRuns  = 1600
	groupFinds = 160
)

// groups is a fleet some of whose hosts run canary alone, beside hosts that run
// stable alone.
type groups struct {
	hosts, wave  int
	rate, canary float64       // of errors: stable's on the usual host, and canary's there
	unlike       float64       // standard deviation of the logarithm of the hosts' rates
	past         time.Duration // for how long all have been watched on stable
	bursts       bool          // 5 s of 50 % each 10 min on each host, besides
}

// perHost is the requests of a host in a second.
const perHost = 20

func (g groups) name() string {
	text := fmt.Sprintf("%s errors, %d of %d hosts", percent(g.rate), g.wave, g.hosts)
	if g.unlike > 0 {
		text += fmt.Sprintf(", rates differ by × %.2g", math.Exp(g.unlike))
	}
	if g.bursts {
		text += ", bursts"
	}
	return text
}

// played is a run of groups.
type played struct {
	groups

	rng   *rand.Rand
	rates []float64
	moods []traffic.Mood
	sums  []analysis.Counts
}

func (g groups) play(seed uint64) *played {
	p := &played{groups: g, rng: rand.New(rand.NewPCG(seed, 3)), sums: make([]analysis.Counts, g.hosts)}
	for range g.hosts {
		p.rates = append(p.rates, min(.9, g.rate*math.Exp(g.unlike*p.rng.NormFloat64())))
		if g.bursts {
			p.moods = append(p.moods, traffic.Bursts(10*time.Minute, 5*time.Second, .5)())
		}
	}
	return p
}

// serve lets all hosts serve for a second, the wave's by canary or not.
func (p *played) serve(canary bool) {
	for k := range p.sums {
		rate := p.rates[k]
		if canary && k < p.wave {
			rate = min(1, rate*p.canary/p.rate)
			if p.canary >= 1 { // it fails everything, on any host
				rate = 1
			}
		}
		if p.moods != nil {
			rate = p.moods[k](p.rng, time.Second, rate)
		}
		n := traffic.Poisson(p.rng, perHost)
		p.sums[k].Requests += n
		p.sums[k].Errors += traffic.Binomial(p.rng, n, rate)
	}
}

// report is that of the hosts together, as the leader makes it. Those of the
// wave are canary's, the others stable's containers.
func (p *played) report(at time.Duration) analysis.Report {
	r := analysis.Report{Host: "fleet", At: at, CanaryInstances: p.wave, Pooled: p.wave >= 3, Stable: make(map[string]analysis.Counts)}
	for k, c := range p.sums {
		if k < p.wave {
			r.Canary.Requests, r.Canary.Errors = r.Canary.Requests+c.Requests, r.Canary.Errors+c.Errors
		} else {
			r.Stable[fmt.Sprint("host-", k)] = c
		}
	}
	return r
}

// before is what the hosts have counted so far, by side.
func (p *played) before() map[string]analysis.Sides {
	var s analysis.Sides
	r := p.report(0)
	s.Canary = r.Canary
	for _, c := range r.Stable {
		s.Stable.Requests += c.Requests
		s.Stable.Errors += c.Errors
	}
	return map[string]analysis.Sides{"": s}
}

// The judges of groups: as if hosts were alike, and by their past.
const (
	asAlike = iota
	byPast
)

// found is when each judge fired: with no allowance and with half a point, at
// 1 % and at 5 %; 0 is never.
type found [2][2][2]time.Duration

// run plays groups for so long.
func (g groups) run(seed uint64, length time.Duration) found {
	p := g.play(seed)
	for range int(g.past / time.Second) {
		p.serve(false)
	}
	before := p.before()
	clear(p.sums)
	var judges [2]*analysis.Judge
	for k := range judges {
		judges[k] = analysis.NewJudge(analysis.Config{MaxIncrease: halfPoint, Past: 100})
	}
	var f found
	for at := time.Duration(0); at < length; {
		for k, j := range judges {
			r := p.report(at)
			if k == byPast {
				r.Before = before
			}
			j.Observe(r)
			v := j.Finding(at)
			for l, alpha := range []float64{.01, .05} {
				f.note(k, 0, l, proven(v.Worse, alpha), at)
				f.note(k, 1, l, proven(min(v.Worse, v.Beyond), alpha), at)
			}
		}
		for range 5 {
			p.serve(true)
			at += time.Second
		}
	}
	return f
}

func (f *found) note(judge, allowed, level int, fires bool, at time.Duration) {
	if fires && f[judge][allowed][level] == 0 {
		f[judge][allowed][level] = at
	}
}

// alikeGroups are those whose canary is as good as stable.
func alikeGroups() []groups {
	var all []groups
	for _, unlike := range []float64{0, .25, .5, 1} {
		for _, past := range []time.Duration{0, time.Minute, 10 * time.Minute} {
			all = append(all, groups{hosts: 5, wave: 1, rate: .01, canary: .01, unlike: unlike, past: past})
		}
	}
	return append(all,
		groups{hosts: 20, wave: 2, rate: .01, canary: .01, unlike: .5, past: 10 * time.Minute},
		groups{hosts: 20, wave: 10, rate: .01, canary: .01, unlike: .5, past: 10 * time.Minute},
		groups{hosts: 5, wave: 1, rate: .001, canary: .001, unlike: .5, past: 10 * time.Minute},
		groups{hosts: 5, wave: 1, rate: .001, canary: .001, unlike: .25, past: 10 * time.Minute, bursts: true},
	)
}

// worseGroups are those whose canary is worse.
func worseGroups() []groups {
	var all []groups
	for _, x := range []struct{ rate, canary float64 }{{.01, .02}, {.01, .05}, {.001, .05}, {.01, 1}} {
		for _, past := range []time.Duration{0, time.Minute, 10 * time.Minute} {
			all = append(all, groups{hosts: 5, wave: 1, rate: x.rate, canary: x.canary, unlike: .25, past: past})
		}
	}
	return all
}

func groupsTable(s *studio) string {
	var b strings.Builder
	b.WriteString("| canary is as good as stable | past | as if hosts were alike, no increase | +0.5 points | by their past, no increase | +0.5 points |\n|---|---|---|---|---|---|\n")
	for _, g := range alikeGroups() {
		n := s.times(groupRuns)
		fs := each(s, n, func(seed uint64) found { return g.run(seed, span) })
		fmt.Fprintf(&b, "| %s | %s |", g.name(), g.past)
		for judge := range 2 {
			for allowed := range 2 {
				fmt.Fprintf(&b, " %s |", sharesOf(fs, judge, allowed))
			}
		}
		b.WriteString("\n")
		s.progress.Printf("%s, past %s: %d runs", g.name(), g.past, n)
	}
	b.WriteString("\n| stable → canary | past | as if hosts were alike, no increase | +0.5 points | by their past, no increase | +0.5 points |\n|---|---|---|---|---|---|\n")
	for _, g := range worseGroups() {
		n := s.times(groupFinds)
		fs := each(s, n, func(seed uint64) found { return g.run(seed, span) })
		fmt.Fprintf(&b, "| %s → %s | %s |", g.name(), percent(g.canary), g.past)
		for judge := range 2 {
			for allowed := range 2 {
				fmt.Fprintf(&b, " %s |", median(fs, judge, allowed))
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// firedOf counts the runs in which a judge fired.
func firedOf(fs []found, judge, allowed, level int) int {
	n := 0
	for _, f := range fs {
		if f[judge][allowed][level] > 0 {
			n++
		}
	}
	return n
}

func sharesOf(fs []found, judge, allowed int) string {
	var parts []string
	over := false
	for level, alpha := range []float64{.01, .05} {
		n := firedOf(fs, judge, allowed, level)
		parts = append(parts, fmt.Sprintf("%.2g", 100*float64(n)/float64(len(fs))))
		over = over || n > most(len(fs), alpha)
	}
	if over {
		return "**" + strings.Join(parts, " / ") + "**"
	}
	return strings.Join(parts, " / ")
}

// median writes when half of the runs had fired at 1 %, and how many had in all.
func median(fs []found, judge, allowed int) string {
	var at []time.Duration
	for _, f := range fs {
		if t := f[judge][allowed][onePercent]; t > 0 {
			at = append(at, t)
		}
	}
	if 2*len(at) <= len(fs) {
		return fmt.Sprintf("never, %.0f %%", 100*float64(len(at))/float64(len(fs)))
	}
	slices.Sort(at)
	return fmt.Sprintf("%s, %.0f %%", at[len(fs)/2], 100*float64(len(at))/float64(len(fs)))
}

// groupsCheck plays hosts that differ, and a version that fails everything.
func groupsCheck(s *studio) error {
	var wrong []error
	n := s.times(60)
	for _, g := range alikeGroups() {
		fs := each(s, n, func(seed uint64) found { return g.run(seed, span/2) })
		for level, alpha := range []float64{.01, .05} {
			for allowed := range 2 {
				if x := firedOf(fs, byPast, allowed, level); x > most(n, alpha) {
					wrong = append(wrong, fmt.Errorf("%s, past %s: %d of %d good versions failed at alpha %g %%", g.name(), g.past, x, n, 100*alpha))
				}
			}
		}
	}
	for _, g := range worseGroups() {
		if g.canary < 1 {
			continue
		}
		fs := each(s, n, func(seed uint64) found { return g.run(seed, time.Minute) })
		if x := firedOf(fs, byPast, 1, onePercent); x < n {
			wrong = append(wrong, fmt.Errorf("%s, past %s: only %d of %d versions that fail everything were found", g.name(), g.past, x, n))
		}
	}
	return errors.Join(wrong...)
}
