package analysis

import (
	"strconv"
	"time"
)

// tooClose is the part of what is allowed beyond stable's rate that a canary has to have more of for its
// detection to be foretold.
const tooClose = 1.1

// Detects forecasts when a canary is failed at a stage that is bad in this part of its requests from
// the first on, errors coming one by one. It plays the stage to a judge some times, made of these numbers.
// Of one that is within what is allowed it tells nothing: it is not failed, but by chance.
func Detects(config Config, s Stage, bad float64, numbers Numbers) Forecast {
	if c := config.withDefaults(); bad > 1 || c.MaxIncrease > 0 && bad <= s.Rate+c.margin()*tooClose {
		return Forecast{}
	}
	return s.ofErrors(config, bad, numbers, failing)
}

// Passes forecasts, as Detects does, when a stage lets a canary pass that is as good as stable.
func Passes(config Config, s Stage, numbers Numbers) Forecast {
	return s.ofErrors(config, s.Rate, numbers, s.passing(config))
}

// Private

func (s Stage) ofErrors(config Config, bad float64, numbers Numbers, asked question) Forecast {
	return s.rehearse(config.withDefaults().Window, numbers, func(p *playing) rehearsed {
		return newRehearsal(config, p, bad)
	}, asked)
}

// rehearsal plays one stage to a judge of bad requests.
type rehearsal struct {
	*playing
	schooling

	judge  *Judge
	one    laws // of one host's requests in a tick
	others laws // of those of the others in its group
	each   []*group
}

// group is hosts of a stage that are played as one. What follows from the sizes of one host's windows,
// one of its hosts is drawn for: when they close, and what is remembered of stable.
type group struct {
	name   string
	table  Table // of all, in the open window
	one    Table // of the one
	since  time.Duration
	memory memory
	hits   hits
}

func newRehearsal(config Config, p *playing, bad float64) *rehearsal {
	r := &rehearsal{playing: p, judge: NewJudge(config)}
	canary, stable := p.perTick()
	r.one = lawsOf(canary, stable, bad, p.stage.Rate)
	rest := p.merged - 1
	r.others = lawsOf(rest*canary, rest*stable, bad, p.stage.Rate)
	for i := range p.groups {
		r.each = append(r.each, &group{name: strconv.Itoa(i)})
	}
	return r
}

func (r *rehearsal) addStart(now time.Duration) { r.judge.addStart(now) }

func (r *rehearsal) standing() (s scores, canary int64) {
	return r.judge.scores(), r.judge.step.canary.Requests
}

func (r *rehearsal) advance() {
	for _, g := range r.each {
		one := r.draw(&r.one)
		g.one = g.one.plus(one)
		g.table = g.table.plus(one)
		if r.merged > 1 {
			g.table = g.table.plus(r.draw(&r.others))
		}
		if due(r.now-g.since, g.one.CanaryN, g.one.StableN) {
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

// weigh turns a group's window into evidence, and teaches what the hosts' stable instances show by then.
func (r *rehearsal) weigh(g *group) {
	t := g.table
	past := g.memory
	if g.one.StableN > 0 {
		g.memory = past.after(g.one.StableN, g.one.StableX)
	}
	serving := r.serving(g.one.StableN)
	c := r.judge.control(sight{r.now, t, r.of(r.stage.Canary), r.of(serving)}, past, g.memory)
	c.moment = momentOf(r.now, t, r.stage.Canary, serving, c.high)
	c.moment.limit *= g.hits.on(r.now, t.CanaryX, r.merged) // each host has its own
	r.judge.errors.observe(g.name, t, c)
	r.judge.step.canary = r.judge.step.canary.plus(Counts{t.CanaryN, t.CanaryX})
	if g == r.each[0] {
		spread := &r.judge.spread
		m := r.lesson(r.playing, r.now-g.since, spread.long, []float64{r.stage.Rate})
		spread.learn(int64(r.now/r.judge.window), m[0])
	}
	g.table, g.one, g.since = Table{}, Table{}, r.now
}

func (t Table) plus(o Table) Table {
	return Table{t.CanaryN + o.CanaryN, t.CanaryX + o.CanaryX, t.StableN + o.StableN, t.StableX + o.StableX}
}
