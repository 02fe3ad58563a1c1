package analysis

import (
	"math"
	"slices"
	"time"

	"github.com/serin-rollouts/serin/internal/latency"
)

const (
	// fewGroups is how many hosts a rehearsal plays one by one. More are put together in so many groups
	// of hosts that are alike; it is more than mostAided, so that groups aid no more than the many hosts
	// would that they stand for. Where windows take longer there are more groups, at most mostGroups: a
	// host of little traffic is limited by what a single error of its canary shows, and a group is not.
	fewGroups, mostGroups = 2 * mostAided, 100
	// leastRuns (fewestRuns if in none evidence grows) and mostRuns bound how often a rehearsal is played, and effort for how long in all, in
	// draws for a group: the longer a run, the less differs the next.
	fewestRuns, leastRuns, mostRuns, effort = 4, 10, 30, 30_000
	// shortest and longestRun bound for how many draws of each group one run goes on, which are runEffort
	// in all. What has not come to a decision by then is told from how fast its evidence grows.
	shortestRun, longestRun, runEffort = 60, 1_000, 8_000
	// finelyLooked is for how many ticks each is looked at, coarsely how much later the next look is
	// from then on, as a part.
	finelyLooked, coarsely = 16, 1. / 32
	// farTime is the time above which a forecast is no use.
	farTime = 7 * 24 * time.Hour
)

// Stage is what a step would give a judge to see: hosts that are alike.
type Stage struct {
	Hosts  int // with canary
	Others int // of the rollout, with stable alone
	// PerSecond is how many requests one such host gets, and Share canary's part of them where it is.
	PerSecond, Share float64
	// Canary and Stable are the instances of each on a host.
	Canary, Stable int
	// Rate is the part of stable's requests that are bad.
	Rate float64
	// Times is how long stable's requests take, of a gate on that; nil: nobody knows. Past is how many of
	// them the judge will have heard of when the step begins, and Warm on how many of the hosts canary has
	// had traffic by then.
	Times *latency.Sketch
	Past  int64
	Warm  int
	// Among is how many stages are asked about at a time. Of more than a few, each is played less.
	Among int
}

// Forecast is when a step is expected to be decided, from its begin and in the median: after so many
// requests to canary, and so long. Zero: there is no telling.
type Forecast struct {
	Requests int64
	After    time.Duration
}

// Numbers are sequences of numbers in [0, 1), even and independent, that requests are made of: a fresh
// one for each sequence asked for.
type Numbers func(sequence int) func() float64

// Private

// rehearsed is a judge that a stage is played to.
type rehearsed interface {
	// advance serves the requests of a tick.
	advance()
	// addStart adds a starting point to the evidence for a roll-back.
	addStart(now time.Duration)
	// standing is how the evidence stands, and of how many requests of canary.
	standing() (s scores, canary int64)
}

// question is what a rehearsal waits for: the evidence, the limit, and whether that is it.
type question func(s scores, canary int64) (e, limit float64, decided bool)

// failing waits for a failure.
func failing(s scores, _ int64) (e, limit float64, decided bool) {
	e = s.fail()
	return e, s.failLimit, e >= s.failLimit
}

// passing waits for a pass.
func (s Stage) passing(c Config) question {
	hosts := turnout{served: max(1, s.Hosts)}
	return func(s scores, n int64) (e, limit float64, decided bool) {
		return s.safe, s.safeLimit, s.outcome(n, c.MinRequests, hosts) == Pass
	}
}

// rehearse plays the stage to judges that cast makes, with windows of this length.
func (s Stage) rehearse(window time.Duration, numbers Numbers, cast func(*playing) rehearsed, asked question) Forecast {
	if s.Hosts < 1 || s.PerSecond <= 0 || s.Share <= 0 {
		return Forecast{}
	}
	work := s.work()
	var all []run
	for spent := 0.; len(all) < leastRuns || len(all) < mostRuns && spent < effort*work; {
		p := s.begin(window)
		p.numbers, p.mirrored = numbers(len(all)/2), len(all)%2 == 1
		all = append(all, p.play(cast(p), asked, runEffort*work))
		spent += float64(p.draws)
		if len(all) == fewestRuns && hopeless(all) {
			break
		}
	}
	after := medianOf(all)
	if after <= 0 || after > farTime {
		return Forecast{}
	}
	requests := math.Ceil(after.Seconds() * s.PerSecond * s.Share * float64(s.Hosts))
	if requests > farAway {
		return Forecast{}
	}
	return Forecast{Requests: int64(max(1, requests)), After: after}
}

// run is how one play of a stage went: when it was decided, 0 if it was not; else how the evidence stood
// at half of the time and at its end.
type run struct {
	decided   time.Duration
	half, end standing
}

// standing is the evidence at one moment, and what it lacks, in nats.
type standing struct {
	at             time.Duration
	evidence, lack float64
}

// work is the part of the effort that is spent on this stage, if a plan has many.
func (s Stage) work() float64 {
	const few = 6
	return min(1, few/float64(max(1, s.Among)))
}

// speed is how fast evidence has grown lately, in nats a second.
func (r run) speed() float64 {
	return (r.end.evidence - r.half.evidence) / (r.end.at - r.half.at).Seconds()
}

// hopeless tells whether nothing was decided, and evidence does not grow.
func hopeless(all []run) bool {
	return !slices.ContainsFunc(all, func(r run) bool { return r.decided > 0 || r.speed() > 0 })
}

// medianOf returns when half of the runs have been decided. Where fewer have, it goes on from how fast
// evidence has grown on average; 0 if it does not, beyond chance.
func medianOf(all []run) time.Duration {
	var times []time.Duration
	var pace, squares, lack float64 // in nats a second, and nats
	var end time.Duration
	for _, r := range all {
		if r.decided > 0 {
			times = append(times, r.decided)
			continue
		}
		end = r.end.at
		speed := r.speed()
		pace, squares, lack = pace+speed, squares+speed*speed, lack+r.end.lack
	}
	slices.Sort(times)
	if middle := len(all) / 2; middle < len(times) {
		return (times[(len(all)-1)/2] + times[middle]) / 2
	}
	n := float64(len(all) - len(times))
	chance := math.Sqrt(max(0, squares-pace*pace/n)) // of the sum
	if pace <= 2*chance || lack/pace > farTime.Seconds() {
		return 0
	}
	return end + time.Duration(lack/pace*float64(time.Second))
}
