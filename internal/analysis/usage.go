package analysis

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

const (
	// memoryFloor is what canary may need more in any case: a small app's 5 MiB are no finding.
	memoryFloor = 16 << 20
	// sustained is for how long a host's canary has to be over its allowance: a peak is none.
	sustained = 30 * time.Second
	// nearLimit is the part of its limit at which a container is about to be killed.
	nearLimit = .95
	// fewPeriods is how many CPU periods are judged at least: 10 s of work.
	fewPeriods = 100
	// overShare is the inverse of the part of canary's hosts that have to be over.
	overShare = 5
	// manyRestarts fail a version on a single one of several hosts, too.
	manyRestarts = 3
	// mostContainers bounds what is remembered of a host.
	mostContainers = 64
)

// usageJudge watches what containers use. How often canary is throttled is compared as errors are.
// Memory and restarts are judged by rules: a container's memory is one reading, however often it
// is read, so repeating it is no evidence; what is asked for is that it lasts, and on how many
// hosts. They take nothing from alpha and promise nothing about chance.
type usageJudge struct {
	gate      UsageGate
	hosts     map[string]*usageHost
	throttled *Judge
	periods   bool // there are any
}

// usageHost is what is known of one host's containers.
type usageHost struct {
	containers map[containerKey]*container
	canary     memorySum
	stable     memorySum
	over       time.Duration // since when canary has been over its allowance; negative: it is not
	at         time.Duration // of the last report that told of canary
	served     bool          // told of canary in this step
	restarts   int           // of canary's containers, and how many of them were killed
	kills      int
}

type containerKey struct {
	canary   bool
	instance string
}

// container keeps counts that never fall, over restarts.
type container struct {
	last           Usage
	periods, stuck int64 // CPU periods, and those throttled
}

// memorySum is what a track's containers on a host hold now.
type memorySum struct {
	bytes, limit int64
	containers   int64
}

func (m memorySum) mean() int64 { return m.bytes / max(1, m.containers) }

func newUsageJudge(gates Gates, g UsageGate, share int) *usageJudge {
	return &usageJudge{
		gate: g, hosts: make(map[string]*usageHost),
		throttled: NewJudge(throttling(gates, g, share)),
	}
}

func throttling(gates Gates, g UsageGate, share int) Config {
	c := gates.config(share)
	c.MaxIncrease, c.MinRequests, c.Noun = g.MaxThrottled, fewPeriods, "throttled CPU periods"
	return c
}

func (j *usageJudge) observe(r Report) bool {
	if r.Host == "" || len(r.Usage) == 0 || len(r.Usage) > mostContainers {
		return false
	}
	h := j.hosts[r.Host]
	if h == nil {
		h = &usageHost{containers: make(map[containerKey]*container), over: -1}
		j.hosts[r.Host] = h
	}
	if r.At < h.at {
		return false
	}
	if r.At-h.at >= Silence {
		h.over = -1 // nobody knows what was in between
	}
	h.take(r.Usage)
	if h.canary.containers > 0 {
		h.at, h.served = r.At, true
	}
	j.compareMemory(h, r.At)
	j.compareThrottling(r, h)
	return true
}

// take replaces what is known of the host's containers and keeps their counts.
func (h *usageHost) take(all []Usage) {
	h.canary, h.stable = memorySum{}, memorySum{}
	for _, u := range all {
		key := containerKey{u.Canary, u.Instance}
		c := h.containers[key]
		if c == nil {
			if len(h.containers) >= mostContainers {
				continue
			}
			c = &container{}
			h.containers[key] = c
		}
		before := c.last
		c.take(u)
		if u.Canary {
			h.canary = h.canary.plus(u)
			h.restarts += max(c.last.Restarts, c.last.OOMs) - max(before.Restarts, before.OOMs)
			h.kills += c.last.OOMs - before.OOMs
		} else {
			h.stable = h.stable.plus(u)
		}
	}
}

func (m memorySum) plus(u Usage) memorySum {
	if u.Memory <= 0 {
		return m
	}
	return memorySum{m.bytes + u.Memory, max(m.limit, u.Limit), m.containers + 1}
}

// take adds what is new. Docker counts from zero when a container starts again.
func (c *container) take(u Usage) {
	before := c.last
	if u.Periods < before.Periods || u.Throttled < before.Throttled {
		before = Usage{}
	}
	periods := max(0, u.Periods-before.Periods)
	c.periods += periods
	c.stuck += max(0, min(periods, u.Throttled-before.Throttled))
	c.last = u
}

// compareMemory notes since when the host's canary has been over.
func (j *usageJudge) compareMemory(h *usageHost, at time.Duration) {
	if h.canary.containers == 0 || !j.isOver(h) {
		h.over = -1
		return
	}
	if h.over < 0 {
		h.over = at
	}
}

func (j *usageJudge) isOver(h *usageHost) bool {
	canary, stable := h.canary.mean(), j.stableMemory(h)
	if limit := float64(h.canary.limit); limit > 0 && float64(canary) >= nearLimit*limit && float64(stable) < nearLimit*limit {
		return true
	}
	if stable == 0 {
		return false
	}
	allowed := float64(stable) * (1 + float64(max(0, j.gate.MaxMemory))/1e4)
	return float64(canary) > max(allowed, float64(stable+memoryFloor))
}

// stableMemory is what stable's containers hold on the host, or, where none runs, what they hold on
// the host in the middle.
func (j *usageJudge) stableMemory(h *usageHost) int64 {
	if h.stable.containers > 0 {
		return h.stable.mean()
	}
	var others []int64
	for _, o := range j.hosts {
		if o.stable.containers > 0 {
			others = append(others, o.stable.mean())
		}
	}
	if len(others) == 0 {
		return 0
	}
	slices.Sort(others)
	return others[len(others)/2]
}

func (j *usageJudge) compareThrottling(r Report, h *usageHost) {
	out := Report{Host: r.Host, Incarnation: r.Incarnation, At: r.At, Stable: make(map[string]Counts)}
	limited := false
	for key, c := range h.containers {
		n := Counts{Requests: c.periods, Errors: c.stuck}
		limited = limited || c.periods > 0
		if !key.canary {
			out.Stable[key.instance] = n
			continue
		}
		out.Canary = out.Canary.plus(n)
		out.CanaryInstances++
	}
	if limited {
		j.periods = true
		j.throttled.Observe(out)
	}
}

func (j *usageJudge) restart(now time.Duration, s Step) {
	for _, h := range j.hosts {
		h.served = false
	}
	j.throttled.later = s.Later
	j.throttled.Restart(now, j.throttled.config)
}

func (j *usageJudge) finding(now time.Duration) Finding { return j.conclude(now, j.survey()) }

// conclude is the finding that follows from a survey and from how often canary was throttled.
func (j *usageJudge) conclude(now time.Duration, s survey) Finding {
	f := j.throttled.Finding(now)
	needed := f.Needed
	f.At, f.Needed = now, 0 // more requests help where it is throttling alone that is open
	f.Hosts, f.CanaryMemory, f.StableMemory, f.Restarts = s.served, s.canary.mean(), s.stable.mean(), s.restarts
	memory := fmt.Sprintf("memory %s on canary, %s on stable, allowed +%s %%", mebibytes(f.CanaryMemory), mebibytes(f.StableMemory), points100(int64(max(0, j.gate.MaxMemory))))
	throttled := ""
	if j.periods {
		throttled = "; " + f.Reason
	}
	switch {
	case s.served == 0:
		f.Outcome, f.Reason = Wait, "nothing is known yet of what canary's containers use"
	case s.restarts > j.gate.MaxRestarts && s.broken:
		f.Outcome, f.Host = Fail, s.only
		f.Reason = fmt.Sprintf("canary's containers were started again %s, %d of them for want of memory; allowed are %d", plural(s.restarts, "time"), s.kills, j.gate.MaxRestarts)
	case s.over > 0 && s.over >= max(min(2, s.served), (s.served+overShare-1)/overShare):
		f.Outcome, f.Host = Fail, s.first
		f.Reason = fmt.Sprintf("%s; over it for %s on %d of %s", memory, sustained, s.over, plural(s.served, "host"))
	case j.periods && f.Outcome == Fail:
		f.Reason = memory + throttled
	case s.over > 0 || s.growing > 0:
		f.Outcome, f.Host, f.Reason = Wait, s.first, fmt.Sprintf("%s; over it on %d of %s", memory, max(s.over, s.growing), plural(s.served, "host"))
	case j.periods:
		f.Reason, f.Needed = memory+throttled, needed
	default:
		f.Outcome, f.Reason = Pass, memory
	}
	return f
}

// survey is the fleet at one moment.
type survey struct {
	served, over, growing  int // hosts that told of canary, are over for long, are over
	restarts, kills, wrong int // wrong: hosts with restarts
	broken                 bool
	first, only            string // a host that is over, the only one with restarts
	canary, stable         memorySum
}

func (j *usageJudge) survey() survey {
	var s survey
	for name, h := range j.hosts { // a name is told only if it is the only one
		if !h.served {
			continue
		}
		s.served++
		s.canary, s.stable = s.canary.join(h.canary), s.stable.join(h.stable)
		s.takeMemory(name, h)
		s.takeRestarts(name, h)
	}
	s.broken = s.broken || s.wrong > 0 && s.wrong >= min(2, s.served)
	if s.wrong != 1 || s.served == 1 {
		s.only = ""
	}
	if s.over != 1 || s.served == 1 {
		s.first = ""
	}
	return s
}

// takeMemory counts a host that is over its allowance. Time in which nothing is heard of it does not
// count: one reading is no leak.
func (s *survey) takeMemory(name string, h *usageHost) {
	if h.over < 0 {
		return
	}
	s.growing++
	if h.at-h.over >= sustained {
		s.over++
		s.first = cmp.Or(s.first, name)
	}
}

func (s *survey) takeRestarts(name string, h *usageHost) {
	s.restarts, s.kills = s.restarts+h.restarts, s.kills+h.kills
	if h.restarts > 0 {
		s.wrong++
		s.only = name
		s.broken = s.broken || h.restarts >= manyRestarts
	}
}

func (m memorySum) join(o memorySum) memorySum {
	return memorySum{m.bytes + o.bytes, max(m.limit, o.limit), m.containers + o.containers}
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", (n+1<<19)>>20) }
