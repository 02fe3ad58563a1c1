package analysis

import (
	"math"
	"slices"
	"strconv"
	"time"
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
	// tooClose is the part of what is allowed beyond stable's rate that a canary has to have more of for
	// its detection to be foretold.
	tooClose = 1.1
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

// Detects forecasts when a canary is failed at a stage that is bad in this part of its requests from
// the first on, errors coming one by one. It plays the stage to a judge some times, made of these numbers.
// Of one that is within what is allowed it tells nothing: it is not failed, but by chance.
func Detects(config Config, s Stage, bad float64, numbers Numbers) Forecast {
	if c := config.withDefaults(); c.MaxIncrease > 0 && bad <= s.Rate+c.margin()*tooClose {
		return Forecast{}
	}
	return s.rehearse(config, bad, numbers, func(s scores, _ int64) (e, limit float64, decided bool) {
		e = s.fail()
		return e, s.failLimit, e >= s.failLimit
	})
}

// Passes forecasts, as Detects does, when a stage lets a canary pass that is as good as stable.
func Passes(config Config, s Stage, numbers Numbers) Forecast {
	hosts := turnout{served: max(1, s.Hosts)}
	return s.rehearse(config, s.Rate, numbers, func(s scores, n int64) (e, limit float64, decided bool) {
		return s.safe, s.safeLimit, s.outcome(n, config.MinRequests, hosts) == Pass
	})
}

// Private

// question is what a rehearsal waits for: the evidence, the limit, and whether that is it.
type question func(s scores, canary int64) (e, limit float64, decided bool)

func (s Stage) rehearse(config Config, bad float64, numbers Numbers, asked question) Forecast {
	if s.Hosts < 1 || s.PerSecond <= 0 || s.Share <= 0 || bad > 1 {
		return Forecast{}
	}
	work := s.work()
	var all []run
	for spent := 0.; len(all) < leastRuns || len(all) < mostRuns && spent < effort*work; {
		r := newRehearsal(config, s, bad)
		r.numbers, r.mirrored = numbers(len(all)/2), len(all)%2 == 1
		all = append(all, r.play(asked, runEffort*work))
		spent += float64(r.draws)
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

// rehearsal plays one stage to a judge.
type rehearsal struct {
	stage Stage
	judge *Judge
	// Every other rehearsal is the mirror image of the one before: what came late in it comes early, so
	// that fewer give as good a median.
	numbers  func() float64
	mirrored bool
	one      laws // of one host's requests in a tick
	others   laws // of those of the others in its group

	merged float64       // hosts that a group stands for
	tick   time.Duration // between draws
	now    time.Duration
	draws  int // made so far
	groups []*group
	taught time.Duration // when blocks of the long scale were last taught
}

// group is hosts of a stage that are played as one. What follows from the sizes of one host's windows,
// one of its hosts is drawn for: when they close, and what is remembered of stable.
type group struct {
	name   string
	table  Table // of all, in the open window
	one    Table // of the one
	since  time.Duration
	memory memory

	bad   float64       // requests of canary in the bout that goes on
	began time.Duration // it
}

func newRehearsal(config Config, s Stage, bad float64) *rehearsal {
	r := &rehearsal{stage: s, judge: NewJudge(config)}
	r.tick = r.judge.window
	// The rarer track's requests come so far apart, and a window waits for some: it is not looked at all
	// the time.
	const slow = 2
	apart := 1 / (s.PerSecond * min(s.Share, max(1-s.Share, .25)))
	for _, tick := range []time.Duration{2, 3, 4, 6, 12} { // parts of a minute
		if tick *= r.judge.window; tick.Seconds() <= apart && tick <= longest {
			r.tick = tick
		}
	}
	groups := min(max(fewGroups, int(fewGroups*slow*apart/r.judge.window.Seconds())), mostGroups, s.Hosts)
	r.merged = float64(s.Hosts) / float64(groups)
	all := s.PerSecond * r.tick.Seconds()
	r.one = lawsOf(all*s.Share, all*(1-s.Share), bad, s.Rate)
	rest := r.merged - 1
	r.others = lawsOf(rest*all*s.Share, rest*all*(1-s.Share), bad, s.Rate)
	for i := range groups {
		r.groups = append(r.groups, &group{name: strconv.Itoa(i)})
	}
	return r
}

// play goes on until the question is answered, or for as long as a run may.
func (r *rehearsal) play(asked question, effort float64) run {
	var out run
	next, restart := 0, restartEvery
	last := min(max(shortestRun, int(effort)/len(r.groups)), longestRun)
	for tick := 1; tick <= last; tick++ {
		r.advance()
		if r.now >= restart {
			r.judge.addStart(r.now)
			restart = r.now + restartEvery
		}
		if tick < next && tick != last && tick != last/2 {
			continue
		}
		if tick >= finelyLooked {
			next = tick + int(math.Ceil(float64(tick)*coarsely))
		}
		e, limit, decided := asked(r.judge.scores(), r.judge.step.canary.Requests)
		if decided {
			out.decided = r.now
			return out
		}
		out.end = standing{at: r.now, evidence: e, lack: max(0, limit-e)}
		if tick <= last/2 {
			out.half = out.end
		}
	}
	return out
}

// advance serves the requests of a tick.
func (r *rehearsal) advance() {
	r.now += r.tick
	r.draws += len(r.groups)
	for _, g := range r.groups {
		one := r.draw(&r.one)
		g.one = g.one.plus(one)
		g.table = g.table.plus(one)
		if r.merged > 1 {
			g.table = g.table.plus(r.draw(&r.others))
		}
		if g.due(r.now - g.since) {
			r.weigh(g)
		}
	}
}

// laws are how many requests come in a tick: of each track, those that are bad and those that are not.
type laws struct{ canaryBad, canaryGood, stableBad, stableGood poisson }

func lawsOf(canary, stable, canaryBad, stableBad float64) laws {
	return laws{
		newPoisson(canary * canaryBad), newPoisson(canary * (1 - canaryBad)),
		newPoisson(stable * stableBad), newPoisson(stable * (1 - stableBad)),
	}
}

func (r *rehearsal) draw(l *laws) Table {
	t := Table{CanaryX: l.canaryBad.draw(r.uniform()), StableX: l.stableBad.draw(r.uniform())}
	t.CanaryN = t.CanaryX + l.canaryGood.draw(r.uniform())
	t.StableN = t.StableX + l.stableGood.draw(r.uniform())
	return t
}

func (r *rehearsal) uniform() float64 {
	u := r.numbers()
	if r.mirrored {
		return 1 - u
	}
	return u
}

// due tells whether a group's window closes; see cutter.due.
func (g *group) due(age time.Duration) bool {
	return age >= longest || g.one.CanaryN >= enough && g.one.StableN >= enough ||
		g.one.StableN < enough && g.one.CanaryN >= enoughAlone
}

// weigh turns a group's window into evidence, and teaches what the hosts' stable instances show by then.
func (r *rehearsal) weigh(g *group) {
	t := g.table
	past := g.memory
	if g.one.StableN > 0 {
		g.memory = past.after(g.one.StableN, g.one.StableX)
	}
	serving := r.serving(g.one.StableN)
	of := func(instances int) int { return int(math.Round(float64(instances) * r.merged)) }
	c := r.judge.control(sight{r.now, t, of(r.stage.Canary), of(serving)}, past, g.memory)
	c.moment = momentOf(r.now, t, r.stage.Canary, serving, c.high)
	c.moment.limit *= g.hit(r.now, t.CanaryX, r.merged) // each host has its own
	r.judge.errors.observe(g.name, t, c)
	r.judge.step.canary = r.judge.step.canary.plus(Counts{t.CanaryN, t.CanaryX})
	if g == r.groups[0] {
		r.teach(r.now - g.since)
	}
	g.table, g.one, g.since = Table{}, Table{}, r.now
}

// hit is on how many of the group's hosts, in expectation, those requests of canary were bad that have been
// bad in the bout that goes on.
func (g *group) hit(now time.Duration, bad int64, merged float64) float64 {
	if now-g.began > boutLength {
		g.bad = 0
	}
	if g.bad == 0 {
		g.began = now
	}
	g.bad += float64(bad)
	return max(1, merged*(1-math.Pow(1-1/merged, g.bad)))
}

// serving draws how many of a host's stable instances share so many requests.
func (r *rehearsal) serving(requests int64) int {
	const grain = 1 << 53 // of a number in [0, 1)
	k := int64(max(1, r.stage.Stable))
	if requests > 8*k || k > 64 {
		return int(min(requests, k)) // one without any is hardly likely
	}
	n := 0
	var have uint64
	for range requests {
		if one := uint64(1) << (int64(r.numbers()*grain) % k); have&one == 0 {
			have |= one
			n++
		}
	}
	return n
}

// teach lets the judge learn what windows of this length of all stable instances show in expectation if
// errors do not cluster.
func (r *rehearsal) teach(window time.Duration) {
	s := r.stage
	var m moments
	block := window * time.Duration(r.judge.spread.long)
	complete := r.now-r.taught >= block
	for _, h := range []struct {
		hosts int
		rate  float64
	}{{s.Hosts, s.PerSecond * (1 - s.Share)}, {s.Others, s.PerSecond}} {
		m.den[0] += float64(h.hosts) * s.informs(h.rate*window.Seconds())
		if complete {
			m.den[1] += float64(h.hosts) * s.informs(h.rate*block.Seconds())
		}
	}
	if complete {
		r.taught = r.now
	}
	r.judge.spread.learn(int64(r.now/r.judge.window), m)
}

// informs is how much a host's stable instances, with so many requests in all, tell of how they cluster:
// the sum of what moments.record adds to den, in expectation.
func (s Stage) informs(requests float64) float64 {
	k := float64(s.Stable)
	if k < 2 || requests <= 0 {
		return 0
	}
	n := requests / k
	v := (1 - 1/k) / k * requests * s.Rate * (1 - s.Rate)
	return k * v * (n - 1 + math.Exp(-n))
}

func (t Table) plus(o Table) Table {
	return Table{t.CanaryN + o.CanaryN, t.CanaryX + o.CanaryX, t.StableN + o.StableN, t.StableX + o.StableX}
}
