package control

import (
	"fmt"
	"slices"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// leastCoverage is the share of requests, in parts per million, that the log has
// to tell of: lines get lost when HAProxy is busy, just when it is slow.
const leastCoverage = 950_000

const million = 1_000_000

// latencies merges what the rollout's hosts said of how long requests take. It
// returns nil if nobody said anything.
func latencies(r rollout.Rollout, v View) *api.Latency {
	if r.Install() {
		return nil
	}
	ours := make(map[string]bool, len(r.Hosts))
	for _, name := range r.Hosts {
		ours[name] = true
	}
	canary, beside, elsewhere := newTrack(r.To.ID), newTrack(r.From.ID), newTrack(r.From.ID)
	for _, h := range v.Hosts {
		if !ours[h.Health.Host] {
			continue
		}
		k := slices.IndexFunc(h.Health.Services, func(x wire.ServiceHealth) bool { return x.Service == r.Service })
		if k < 0 {
			continue
		}
		x := h.Health.Services[k]
		// Like with like: hosts differ.
		stable := beside
		if !canary.add(x.CanaryLatency) {
			stable = elsewhere
		}
		stable.add(x.StableLatency)
	}
	stable := beside
	if stable.requests == 0 {
		stable = elsewhere
	}
	if canary.requests == 0 && stable.requests == 0 {
		return nil
	}
	return &api.Latency{Canary: canary.status(), Stable: stable.status()}
}

// Private

// track is one revision on several hosts.
type track struct {
	revision        string
	requests, lines int64
	times           *latency.Sketch
}

func newTrack(revision string) *track { return &track{revision: revision, times: latency.New()} }

// add takes in one host; it reports false if the revision got no request there.
func (t *track) add(l wire.Latency) bool {
	if l.Revision != t.revision || l.Requests == 0 {
		return false
	}
	t.requests += l.Requests
	if err := t.times.MergeEncoded(l.Sketch); err == nil { // an error was told of when it came in
		t.lines += min(l.Lines, l.Requests) // one host's late lines do not make up for another's lost ones
	}
	return true
}

func (t *track) status() api.Times {
	s := api.Times{Requests: t.requests}
	if t.requests > 0 {
		s.Coverage = int64(million * (float64(t.lines) / float64(t.requests)))
	}
	if s.Coverage < leastCoverage {
		return s
	}
	for q, to := range map[float64]*api.Micros{0.5: &s.P50, 0.9: &s.P90, 0.99: &s.P99} {
		if micros, known := t.times.Quantile(q); known {
			*to = api.Micros(micros)
		}
	}
	return s
}

// speeds says how long requests take, for an explanation; empty if nobody knows
// anything.
func speeds(d api.RolloutDetail) string {
	if d.Latency == nil || d.Latency.Canary.Requests == 0 {
		return ""
	}
	return fmt.Sprintf(" Time to answer (p50, p90, p99): %s on %s; %s on %s.",
		speed(d.Latency.Canary), d.To, speed(d.Latency.Stable), orNothing(d.From))
}

func speed(t api.Times) string {
	switch {
	case t.Requests == 0:
		return "no requests"
	case t.Coverage < leastCoverage:
		return fmt.Sprintf("not known (HAProxy's log told of %s of the requests)", rollout.Percent(int(t.Coverage*rollout.Full/million)))
	}
	return fmt.Sprintf("%s, %s, %s", t.P50, t.P90, t.P99)
}
