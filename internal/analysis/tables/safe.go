package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/analysis/traffic"
)

// step is a step of a rollout whose canary is as good as stable.
type step struct {
	rate   float64 // of errors, of both
	share  float64
	margin int // basis points; 0: none allowed
}

// edge is by how much a canary may be worse that passes as often as chance lets it: where nothing is
// allowed a tenth of a point is told from nothing.
func (t step) edge() int { return max(10, t.margin) }

// config is the margin as the product's judge takes it.
func (t step) config() int {
	if t.margin == 0 {
		return analysis.NoIncrease
	}
	return t.margin
}

func steps() []step {
	var all []step
	for _, margin := range []int{0, 50, 100, 200} {
		for _, rate := range []float64{0, .001, .01, .05} {
			for _, share := range []float64{.05, .5} {
				all = append(all, step{rate, share, margin})
			}
		}
	}
	return all
}

func (t step) name() string {
	return fmt.Sprintf("+%g points, %s errors, share %s", float64(t.margin)/100, percent(t.rate), percent(t.share))
}

// pass plays the step with a canary that is worse by so much, until it passes.
func (t step) pass(increase float64, length time.Duration) play {
	s := scene(t.share)
	s.Rate = traffic.Fixed(t.rate, t.rate+increase)
	return play{s, length, func() []watcher { return []watcher{safe{newPanel(t.config(), 0), 0}} }}
}

func safeTable(s *studio) string {
	var b strings.Builder
	b.WriteString("| allowed | errors of both | share | canary requests until a pass, median / p95 | as planned | passes within 20 min at the very margin, % |\n|---|---|---|---|---|---|\n")
	for _, t := range steps() {
		good := s.runs(t.name(), s.times(300), t.pass(0, 2*patience))[0]
		n := s.times(1000)
		bad := s.runs(t.name()+" at the margin", n, t.pass(float64(t.edge())/1e4, span))[0]
		// A canary instance has five requests in a window of five seconds.
		plan := analysis.Plan(analysis.Config{MaxIncrease: t.config(), MinRequests: 100}, stableSoFar(t.rate), 5)
		fmt.Fprintf(&b, "| +%g points | %s | %s | %s | %s | %.1f |\n", float64(t.margin)/100, percent(t.rate), percent(t.share),
			took(good, onePercent), planned(plan), 100*float64(fired(bad, onePercent))/float64(n))
	}
	return b.String()
}

// planned writes a plan.
func planned(n int64) string {
	if n == 0 {
		return "no telling"
	}
	return requests(n)
}

// stableSoFar is what a plan would know of stable: a hundred thousand requests.
func stableSoFar(rate float64) analysis.Counts {
	const requests = 100_000
	return analysis.Counts{Requests: requests, Errors: int64(requests * rate)}
}

// safeCheck plays versions at the very margin, few of which may pass, and good
// ones, all of which must.
func safeCheck(s *studio) error {
	var wrong []error
	n := s.times(60)
	for _, t := range steps() {
		if t.margin != 100 || t.rate > .01 {
			continue
		}
		if passed := fired(s.runs(t.name()+" at the margin", n, t.pass(float64(t.margin)/1e4, span/2))[0], onePercent); passed > most(n, .05) {
			wrong = append(wrong, fmt.Errorf("%s: %d of %d versions at the margin passed", t.name(), passed, n))
		}
		if t.rate > .001 {
			continue
		}
		if passed := fired(s.runs(t.name(), n, t.pass(0, patience))[0], onePercent); passed < n {
			wrong = append(wrong, fmt.Errorf("%s: only %d of %d good versions passed within %s", t.name(), passed, n, patience))
		}
	}
	return errors.Join(wrong...)
}
