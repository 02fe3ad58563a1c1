package analysis

import (
	"errors"
	"fmt"
	"time"

	"github.com/serin-rollouts/serin/internal/latency"
)

// LatencySums are those of a gate on latency.
type LatencySums struct {
	Quantile    int   `json:"quantile_bp"`     // 0: the whole distribution
	MaxIncrease int   `json:"max_increase_bp"` // 0: none is allowed
	Alpha       int   `json:"alpha_ppm"`
	Apart       int   `json:"apart_ppm,omitempty"`
	Among       int   `json:"among,omitempty"` // hosts of the rollout
	AlphaSafe   int   `json:"alpha_safe_ppm"`
	MinRequests int64 `json:"min_requests"`

	Windows int64 `json:"windows"`
	Refused int64 `json:"refused,omitempty"`
	Served  int   `json:"served"`
	Waiting int   `json:"waiting,omitempty"`
	Unlike  int64 `json:"unlike,omitempty"` // as in Finding
	// Seen are stable's requests that thresholds are learned from.
	Seen int64 `json:"seen"`
	// Requests and Lines are what HAProxy counted and what its log told of lately, of canary and of
	// stable, in 1/1024.
	Requests [2]int64 `json:"requests"`
	Lines    [2]int64 `json:"lines"`

	Bands []BandSums `json:"bands"`
}

// BandSums are those of one threshold.
type BandSums struct {
	Known        bool   `json:"known,omitempty"` // the threshold is in force
	Edge         int    `json:"edge,omitempty"`  // as latency.Edge
	CanaryMicros int64  `json:"canary_us,omitempty"`
	StableMicros int64  `json:"stable_us,omitempty"`
	Canary       Counts `json:"canary"`
	Stable       Counts `json:"stable"`
	Spread       int64  `json:"spread"` // as in RateSums

	Worse Evidence `json:"worse,omitzero"`
	Safer Evidence `json:"safer,omitzero"`
	Odds  Evidence `json:"odds,omitzero"`
}

// Private

func (j *latencyJudge) sums(now time.Duration, into *Sums) {
	s := &LatencySums{
		Quantile: j.gate.Quantile, MaxIncrease: j.gate.MaxIncrease,
		Alpha: j.config.Alpha, Apart: j.config.Apart, Among: j.config.Hosts, AlphaSafe: j.config.AlphaSafe, MinRequests: j.config.MinRequests,
		Windows: j.step.windows, Refused: j.refused, Seen: j.learner.seen, Unlike: j.step.groups.unlike,
	}
	for _, h := range j.hosts {
		switch {
		case h.served:
			s.Served++
		case h.hasCanary && now-h.cut.heard <= longest:
			s.Waiting++
		}
	}
	s.Requests, s.Lines = j.covered(now)
	pools := make([]*broad, len(j.bands))
	for k := range j.bands {
		pools[k] = j.bands[k].worse.aided()
	}
	of := suspect(pools, j.config)
	alone := of
	if j.cuts.known < len(j.bands) {
		alone = suspect(j.broads(), j.config)
	}
	for k := range j.bands {
		b := &j.bands[k]
		x := BandSums{
			Known: k < j.cuts.known, CanaryMicros: j.step.shown[k].canary, StableMicros: j.step.shown[k].stable,
			Canary: b.canary, Stable: b.stable, Spread: int64(b.phi * 1024),
			Worse: pools[k].sums(named(of, alone)...), Safer: b.safer.sums(), Odds: b.odds.sums(),
		}
		if x.Known {
			x.Edge = int(j.cuts.edges[k])
		}
		s.Bands = append(s.Bands, x)
	}
	into.Latency = s
}

func (s *LatencySums) judge(at time.Duration) (judge, error) {
	j := newLatencyJudge(Gates{}, LatencyGate{Quantile: s.Quantile}, 1)
	j.gate.MaxIncrease = s.MaxIncrease
	j.config.Alpha, j.config.AlphaSafe, j.config.MinRequests = s.Alpha, s.AlphaSafe, s.MinRequests
	j.config.Apart, j.config.Hosts = s.Apart, s.Among
	j.step.groups.unlike = s.Unlike
	j.step.windows, j.refused, j.learner.seen = s.Windows, s.Refused, s.Seen
	if err := crowd(s.Served, s.Waiting); err != nil {
		return nil, err
	}
	for k := range s.Served {
		j.hosts[stranger(k)] = &latencyHost{served: true, cut: &cutter[times]{heard: -farAway * time.Second}}
	}
	for k := range s.Waiting {
		j.hosts[stranger(s.Served+k)] = &latencyHost{hasCanary: true, cut: &cutter[times]{heard: at}}
	}
	all := &latencyHost{cut: &cutter[times]{heard: at}}
	for k := range s.Requests {
		all.coverage[k].rate = rate{n: float64(s.Requests[k]) / coverageGrain, x: float64(s.Lines[k]) / coverageGrain}
	}
	j.hosts[stranger(-1)] = all
	if len(s.Bands) != len(j.bands) {
		return nil, fmt.Errorf("its sums have %d thresholds; a gate on quantile %d has %d", len(s.Bands), s.Quantile, len(j.bands))
	}
	var err error
	for k, x := range s.Bands {
		err = errors.Join(err, x.fill(j, k))
	}
	return j, err
}

func (x BandSums) fill(j *latencyJudge, k int) error {
	b := &j.bands[k]
	if x.Known {
		j.cuts.known, j.cuts.edges[k] = k+1, latency.Edge(x.Edge)
	}
	j.step.shown[k] = slowness{x.CanaryMicros, x.StableMicros}
	b.canary, b.stable, b.phi = x.Canary, x.Stable, float64(x.Spread)/1024
	return errors.Join(x.Worse.broad(&b.worse), x.Safer.pool(&b.safer), x.Odds.pool(&b.odds))
}
