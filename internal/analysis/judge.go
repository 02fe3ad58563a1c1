package analysis

import (
	"maps"
	"math"
	"slices"
	"time"
)

// restartEvery is the time between starting points of the roll-back evidence.
const restartEvery = 5 * time.Minute

// Judge compares canary with stable over one rollout of one service. It is a value machine:
// reports in, verdicts out, no clock and no randomness of its own. It is not safe for concurrent
// use.
type Judge struct {
	config Config
	window time.Duration
	hosts  map[string]*host
	spread dispersion
	errors metric

	began   bool
	later   bool          // as in Step
	restart time.Duration // when the next starting point is due
	step    stepTotals
	refused int64
}

// stepTotals are plain sums over the closed windows of a step.
type stepTotals struct {
	canary, stable Counts
	windows        int64
	spread         float64 // sum over canary requests of their overdispersion
	groups         groups
}

// host is what is remembered of one host.
type host struct {
	cut       *cutter[Counts]
	block     block
	stable    memory
	hasCanary bool // reports canary instances
	pooled    bool
	groups    bool  // tracks are served by different hosts, with this past
	before    Sides // in common
	pasts     int   // how many have been heard
	served    bool  // canary has served in a window of this step
}

// NewJudge returns a judge without evidence. Config's zero fields take their defaults.
func NewJudge(config Config) *Judge {
	config = config.withDefaults()
	return &Judge{
		config: config,
		window: config.Window,
		hosts:  make(map[string]*host),
		spread: newDispersion(config.longBlock()),
		errors: newMetric(),
	}
}

// Restart begins a step at the leader's time now, with new limits. What was learned for a
// roll-back stays, and so does how errors cluster; evidence of safety, the totals and the odds
// ratio shown start afresh. Windows that are open are closed and belong to the step before.
// Config.Window is ignored: windows keep the length that they had.
func (j *Judge) Restart(now time.Duration, config Config) {
	for _, name := range slices.Sorted(maps.Keys(j.hosts)) {
		h := j.hosts[name]
		j.weigh(name, h, h.cut.cut(max(now, h.cut.heard)))
		h.served = false
	}
	j.config = config.withDefaults()
	j.step = stepTotals{}
	j.errors.restartStep()
	j.addStart(now)
}

// Observe takes in a report. A repeated one changes nothing. One that makes no sense, or is older
// than what was heard from its host, is refused; the verdict counts those.
func (j *Judge) Observe(r Report) {
	if !r.sane() {
		j.refused++
		return
	}
	if !j.began {
		j.began, j.restart = true, r.At+restartEvery
	}
	if r.At >= j.restart {
		j.addStart(r.At)
	}
	h := j.hosts[r.Host]
	if h == nil {
		h = &host{cut: newCutter(r.counts())}
		if j.later {
			h.cut.rebase(r.counts())
		}
		j.hosts[r.Host] = h
	} else if !h.cut.hear(r.counts()) {
		j.refused++
		return
	}
	h.hasCanary, h.pooled = r.CanaryInstances > 0, r.Pooled
	h.holdAgainst(r.Before)
	if h.cut.due(h.cut.heard, j.window) {
		j.weigh(r.Host, h, h.cut.cut(h.cut.heard))
	}
}

// holdAgainst takes in the past of a report's hosts; nil if tracks share theirs.
func (h *host) holdAgainst(before map[string]Sides) {
	if before != nil && (!h.groups || before[""] != h.before) {
		h.pasts++
	}
	h.groups, h.before = before != nil, before[""]
}

// addStart adds a starting point to the roll-back evidence, unless there is nothing to forgive.
func (j *Judge) addStart(now time.Duration) {
	j.restart = now + restartEvery
	if j.errors.worse.total != (vector{}) || j.errors.beyond.total != (vector{}) {
		j.errors.restart()
	}
}

// weigh turns a closed window into evidence, and then learns from it.
func (j *Judge) weigh(name string, h *host, w window[Counts]) {
	t := table(w)
	if t.CanaryN == 0 && t.StableN == 0 {
		return
	}
	tick := int64(w.at / j.window)
	past := h.stable
	if t.StableN > 0 {
		h.stable = h.stable.after(t.StableN, t.StableX)
	}
	c := j.control(sight{w.at, t, w.instances, w.serving()}, past, h.stable)
	c.moment.free = c.moment.free || h.pooled
	if h.groups {
		c.nature = unlikeness(h.before, c.pair, j.config.levelOfPast(h.pasts))
		j.step.groups.note(c.nature, h.before)
	}
	j.errors.observe(name, t, c)
	if w.whole {
		j.spread.learn(tick, h.block.observe(w.stable, j.spread.long))
	}
	h.served = h.served || t.CanaryN > 0
	j.step.windows++
	j.step.spread += math.Round(c.single*1024) / 1024 * float64(t.CanaryN)
	j.step.canary = j.step.canary.plus(Counts{t.CanaryN, t.CanaryX})
	j.step.stable = j.step.stable.plus(Counts{t.StableN, t.StableX})
}

// sight is what a closed host-window shows: when it closed, its table, and how many instances of
// canary, and of stable that had requests, stand behind it.
type sight struct {
	at             time.Duration
	table          Table
	canary, stable int
}

// control gathers what a window is held against: only the past, and stable's own part of it.
func (j *Judge) control(s sight, past, now memory) control {
	c := control{
		nature: alike(), margin: j.config.margin(), safe: j.config.safeMargin(),
		past: past.before(), high: now.high(), low: now.low(), known: now.slow.n > 0,
	}
	if s.table.StableN == 0 && j.config.Baseline.Requests > 0 {
		c.low, c.high = bounds(j.config.Baseline.settled())
		c.known = true
	}
	phi := j.spread.factors(int64(s.at/j.window), s.table, s.canary, s.stable)
	c.pair, c.single = phi.pair, phi.single
	c.moment = momentOf(s.at, s.table, s.canary, s.stable, c.high)
	return c
}
