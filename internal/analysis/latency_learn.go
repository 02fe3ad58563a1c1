package analysis

import (
	"time"

	"github.com/serin-rollouts/serin/internal/latency"
)

// learner gathers sketches over a fleet without keeping any host's. In each round the first
// sketches that a host tells are added up. Since they are cumulative, a round holds all of the
// past: thresholds are learned from stable's, and the difference of two rounds of the same hosts
// is what happened between, which is shown.
type learner struct {
	number int64 // of the round, from 1 on
	origin int64 // of the round that is the base; 0: none yet
	ends   time.Duration
	due    bool // thresholds are to be learned anew
	seen   int64

	past          *latency.Sketch // stable's, on all hosts
	now, base     gathered
	same, parties int // hosts of this round that are in base, and hosts in base
	all           int // hosts of this round that count in shown
}

// gathered are sketches of both tracks.
type gathered struct{ canary, stable *latency.Sketch }

func newGathered() gathered { return gathered{latency.New(), latency.New()} }

// slowness is what a quantile was in a step, in microseconds; 0 is not known.
type slowness struct{ canary, stable int64 }

// restart begins a round, and forgets what others began with.
func (l *learner) restart(now, length time.Duration) {
	l.due = true
	l.base, l.origin, l.parties = gathered{}, 0, 0
	l.begin(now, length)
}

func (l *learner) begin(now, length time.Duration) {
	l.number++
	l.ends = now + length
	l.past, l.now = latency.New(), newGathered()
	l.same, l.all = 0, 0
}

// gather adds a host's sketches to the round, once. Those of a host that is not tested yet, since
// its canary is cold, are not shown either.
func (j *latencyJudge) gather(r Report, h *latencyHost) {
	l := &j.learner
	if h.round != l.number {
		h.round = l.number
		j.sum(r, false, l.past)
	}
	if h.warm == l.number || h.cold || h.cuts.known == 0 {
		return
	}
	h.warm = l.number
	l.all++
	if l.origin > 0 && h.base == l.origin {
		l.same++
	}
	j.sum(r, true, l.now.canary)
	j.sum(r, false, l.now.stable)
}

// sum adds a track's sketches of a report that has been read.
func (j *latencyJudge) sum(r Report, canary bool, to *latency.Sketch) {
	for i, x := range r.Latencies {
		if x.Canary == canary && j.concerns(x) {
			to.MergeBuckets(&j.told[i])
		}
	}
}

// learn ends a round.
func (j *latencyJudge) learn(at time.Duration) {
	l := &j.learner
	j.show()
	l.seen = l.past.Count()
	complete := true
	for k := range j.bands {
		known := k < j.cuts.known
		if known && !l.due {
			continue
		}
		edge, ok := j.bands[k].learn(l.past)
		if complete = complete && (ok || known); !complete {
			break
		}
		if ok {
			j.cuts.edges[k] = edge
		}
		j.cuts.known = max(j.cuts.known, k+1)
	}
	if l.seen >= j.bands[0].needs() {
		l.due = false
	}
	l.begin(at, j.config.Window)
}

// show sets what is shown, if the round holds the hosts of the base, all and no other; otherwise
// it becomes the base itself.
func (j *latencyJudge) show() {
	l := &j.learner
	if l.all == 0 {
		return
	}
	if l.same != l.parties || l.all != l.parties {
		l.base, l.origin, l.parties = l.now, l.number, l.all
		for _, h := range j.hosts {
			if h.warm == l.number {
				h.base = l.number
			}
		}
		return
	}
	canary, stable := l.now.canary.Without(l.base.canary), l.now.stable.Without(l.base.stable)
	for k, b := range j.bands {
		c, okCanary := canary.Quantile(b.share())
		s, okStable := stable.Quantile(b.share())
		if okCanary && okStable {
			j.step.shown[k] = slowness{c, s}
		}
	}
}
