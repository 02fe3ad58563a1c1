package analysis

import (
	"math"
	"time"
)

// playing is a stage that is played to a judge.
type playing struct {
	stage Stage
	// Every other rehearsal is the mirror image of the one before: what came late in it comes early, so
	// that fewer give as good a median.
	numbers  func() float64
	mirrored bool

	groups int
	merged float64       // hosts that a group stands for
	tick   time.Duration // between draws
	now    time.Duration
	draws  int // made so far
}

// begin casts the stage's hosts, for a judge with windows of this length.
func (s Stage) begin(window time.Duration) *playing {
	p := &playing{stage: s, tick: window}
	// The rarer track's requests come so far apart, and a window waits for some: it is not looked at all
	// the time.
	const slow = 2
	apart := 1 / (s.PerSecond * min(s.Share, max(1-s.Share, .25)))
	for _, tick := range []time.Duration{2, 3, 4, 6, 12} { // parts of a minute
		if tick *= window; tick.Seconds() <= apart && tick <= longest {
			p.tick = tick
		}
	}
	p.groups = min(max(fewGroups, int(fewGroups*slow*apart/window.Seconds())), mostGroups, s.Hosts)
	p.merged = float64(s.Hosts) / float64(p.groups)
	return p
}

// play goes on until the question is answered, or for as long as a run may.
func (p *playing) play(judge rehearsed, asked question, effort float64) run {
	var out run
	next, restart := 0, restartEvery
	last := min(max(shortestRun, int(effort)/p.groups), longestRun)
	for tick := 1; tick <= last; tick++ {
		p.now += p.tick
		p.draws += p.groups
		judge.advance()
		if p.now >= restart {
			judge.addStart(p.now)
			restart = p.now + restartEvery
		}
		if tick < next && tick != last && tick != last/2 {
			continue
		}
		if tick >= finelyLooked {
			next = tick + int(math.Ceil(float64(tick)*coarsely))
		}
		e, limit, decided := asked(judge.standing())
		if decided {
			out.decided = p.now
			return out
		}
		out.end = standing{at: p.now, evidence: e, lack: max(0, limit-e)}
		if tick <= last/2 {
			out.half = out.end
		}
	}
	return out
}

// perTick returns how many requests canary and stable get on one host in a tick.
func (p *playing) perTick() (canary, stable float64) {
	all := p.stage.PerSecond * p.tick.Seconds()
	return all * p.stage.Share, all * (1 - p.stage.Share)
}

func (p *playing) uniform() float64 {
	u := p.numbers()
	if p.mirrored {
		return 1 - u
	}
	return u
}

// of returns how many instances a group has of which a host has so many.
func (p *playing) of(instances int) int { return int(math.Round(float64(instances) * p.merged)) }

// serving draws how many of a host's stable instances share so many requests.
func (p *playing) serving(requests int64) int {
	const grain = 1 << 53 // of a number in [0, 1)
	k := int64(max(1, p.stage.Stable))
	if requests > 8*k || k > 64 {
		return int(min(requests, k)) // one without any is hardly likely
	}
	n := 0
	var have uint64
	for range requests {
		if one := uint64(1) << (int64(p.numbers()*grain) % k); have&one == 0 {
			have |= one
			n++
		}
	}
	return n
}

// due tells whether a window closes that is so old, and in which one host has served so many requests;
// see cutter.due.
func due(age time.Duration, canary, stable int64) bool {
	return age >= longest || canary >= enough && stable >= enough ||
		stable < enough && canary >= enoughAlone
}

// hits are requests of a group's canary that were bad in the bout that goes on, and when it began.
type hits struct {
	bad   float64
	began time.Duration
}

// on is on how many of a group's hosts, in expectation, those requests were bad, with so many more.
func (h *hits) on(now time.Duration, bad int64, merged float64) float64 {
	if now-h.began > boutLength {
		h.bad = 0
	}
	if h.bad == 0 {
		h.began = now
	}
	h.bad += float64(bad)
	return max(1, merged*(1-math.Pow(1-1/merged, h.bad)))
}

// schooling is when blocks of the long scale were last taught.
type schooling struct{ taught time.Duration }

// lesson is what windows of this length of all stable instances show at that time, in expectation, if bad
// requests do not cluster, of which there are such parts. One of the long scale is complete now and then.
func (c *schooling) lesson(p *playing, window time.Duration, long int, rates []float64) []moments {
	s := p.stage
	block := window * time.Duration(long)
	complete := p.now-c.taught >= block
	if complete {
		c.taught = p.now
	}
	all := make([]moments, len(rates))
	for k, rate := range rates {
		for _, h := range []struct {
			hosts    int
			requests float64
		}{{s.Hosts, s.PerSecond * (1 - s.Share)}, {s.Others, s.PerSecond}} {
			all[k].den[0] += float64(h.hosts) * s.informs(h.requests*window.Seconds(), rate)
			if complete {
				all[k].den[1] += float64(h.hosts) * s.informs(h.requests*block.Seconds(), rate)
			}
		}
	}
	return all
}

// informs is how much a host's stable instances, with so many requests in all of which a part is bad, tell
// of how these cluster: the sum of what moments.record adds to den, in expectation.
func (s Stage) informs(requests, rate float64) float64 {
	k := float64(s.Stable)
	if k < 2 || requests <= 0 {
		return 0
	}
	n := requests / k
	v := (1 - 1/k) / k * requests * rate * (1 - rate)
	return k * v * (n - 1 + math.Exp(-n))
}
