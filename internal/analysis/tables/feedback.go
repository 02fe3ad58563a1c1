package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/analysis/traffic"
)

// complaintRuns is how often users who are as content with canary as with stable
// are played, complaintFinds those who are not.
const (
	complaintRuns  = 1000
	complaintFinds = 50
)

// complaints is what users of a service say: 100 requests a second in all.
type complaints struct {
	rate, canary float64       // users who complain, by request
	share        float64       // of requests that canary serves
	messages     float64       // that a user who complains sends on average, 1 if 0
	late         time.Duration // how long after the request, on average
	mob          bool          // users complain in bouts about both, five times as often for a minute in ten
}

func (c complaints) name() string {
	text := percent(c.rate)
	if c.canary != c.rate {
		text += " → " + percent(c.canary)
	}
	text += ", share " + percent(c.share)
	if c.messages > 1 {
		text += fmt.Sprintf(", %g messages each", c.messages)
	}
	if c.late > 0 {
		text += ", " + c.late.String() + " later"
	}
	if c.mob {
		text += ", in bouts about both"
	}
	return text
}

// run plays users for so long. Of found, the first judge alone is used.
func (c complaints) run(seed uint64, length time.Duration) found {
	rng := rand.New(rand.NewPCG(seed, 4))
	panel := analysis.NewPanel(analysis.Gates{
		Errors: analysis.RateGate{Conduct: analysis.Conduct{Name: "errors", Observe: true}},
		Rates:  []analysis.RateGate{{Conduct: analysis.Conduct{Name: "feedback"}, MaxIncrease: halfPoint, MinRequests: 100}},
	})
	var sums [2]analysis.Counts // of stable and canary
	var waiting [2]int64
	var f found
	for at := time.Duration(0); at < length; {
		panel.ObserveApart(analysis.Report{
			Host: "users", At: at, CanaryInstances: 1, Pooled: true,
			Signals: map[string]analysis.Signal{"feedback": {Canary: sums[1], Stable: map[string]analysis.Counts{"users": sums[0]}}},
		})
		if v, known := panel.Verdict(at).Finding("feedback"); known {
			for l, alpha := range []float64{.01, .05} {
				f.note(0, 0, l, proven(v.Worse, alpha), at)
				f.note(0, 1, l, proven(min(v.Worse, v.Beyond), alpha), at)
			}
		}
		for range 5 {
			at += time.Second
			for track := range sums {
				n, said := c.second(rng, track, at, &waiting[track])
				sums[track].Requests += n
				sums[track].Errors += said
			}
		}
	}
	return f
}

// second is one second of a track: its requests, and what its users say then.
func (c complaints) second(rng *rand.Rand, track int, at time.Duration, waiting *int64) (requests, said int64) {
	const perSecond = 100
	mean, rate := perSecond*(1-c.share), c.rate
	if track == 1 {
		mean, rate = perSecond*c.share, c.canary
	}
	if c.mob && at%(10*time.Minute) < time.Minute {
		rate *= 5
	}
	requests = traffic.Poisson(rng, mean)
	*waiting += traffic.Binomial(rng, requests, rate)
	now := *waiting
	if c.late > 0 {
		now = traffic.Binomial(rng, *waiting, time.Second.Seconds()/c.late.Seconds())
	}
	*waiting -= now
	for range now { // a geometric number of messages
		said++
		for c.messages > 1 && rng.Float64() > 1/c.messages {
			said++
		}
	}
	return requests, said
}

func content() []complaints {
	return []complaints{
		{rate: .001, canary: .001, share: .05},
		{rate: .001, canary: .001, share: .5},
		{rate: .01, canary: .01, share: .05},
		{rate: .001, canary: .001, share: .05, messages: 3},
		{rate: .001, canary: .001, share: .5, messages: 3},
		{rate: .001, canary: .001, share: .05, late: time.Minute},
		{rate: .001, canary: .001, share: .5, mob: true},
	}
}

func discontent() []complaints {
	return []complaints{
		{rate: .001, canary: .003, share: .05},
		{rate: .001, canary: .01, share: .05},
		{rate: .001, canary: .01, share: .5},
		{rate: .001, canary: .05, share: .05},
		{rate: .01, canary: .03, share: .05},
		{rate: .001, canary: .01, share: .05, messages: 3},
		{rate: .001, canary: .01, share: .05, late: time.Minute},
	}
}

func feedbackTable(s *studio) string {
	var b strings.Builder
	b.WriteString("| users complain about both alike | no increase allowed | +0.5 points allowed |\n|---|---|---|\n")
	for _, c := range content() {
		fs := s.complain(c, s.times(complaintRuns), span)
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c.name(), sharesOf(fs, 0, 0), sharesOf(fs, 0, 1))
	}
	b.WriteString("\n| users complain more about canary | no increase allowed | +0.5 points allowed |\n|---|---|---|\n")
	for _, c := range discontent() {
		fs := s.complain(c, s.times(complaintFinds), patience)
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c.name(), median(fs, 0, 0), median(fs, 0, 1))
	}
	return b.String()
}

func (s *studio) complain(c complaints, n int, length time.Duration) []found {
	fs := each(s, n, func(seed uint64) found { return c.run(seed, length) })
	s.progress.Printf("%s: %d runs", c.name(), n)
	return fs
}

// feedbackCheck plays content users, and some who are very much not.
func feedbackCheck(s *studio) error {
	var wrong []error
	n := s.times(60)
	for _, c := range content() {
		fs := s.complain(c, n, span)
		for level, alpha := range []float64{.01, .05} {
			if x := firedOf(fs, 0, 0, level); x > most(n, alpha) {
				wrong = append(wrong, fmt.Errorf("%s: %d of %d good versions failed at alpha %g %%", c.name(), x, n, 100*alpha))
			}
		}
	}
	c := complaints{rate: .001, canary: .05, share: .05}
	if x := firedOf(s.complain(c, n, span), 0, 1, onePercent); x < n {
		wrong = append(wrong, fmt.Errorf("%s: only %d of %d found", c.name(), x, n))
	}
	return errors.Join(wrong...)
}
