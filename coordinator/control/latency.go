package control

import (
	"fmt"
	"slices"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// leastCoverage is the share of requests, in parts per million, that the log has
// to tell of: lines get lost when HAProxy is busy, just when it is slow.
const leastCoverage = 950_000

const million = 1_000_000

// boundsAlpha is how often the bounds of a quantile may ever be wrong.
const boundsAlpha = 0.05

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
	canary, beside, elsewhere := newTrack(), newTrack(), newTrack()
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
		if !isOrNone(x.Canary, r.To.ID) || !canary.addAll(x.Latencies, true) {
			stable = elsewhere
		}
		if isOrNone(x.Stable, r.From.ID) {
			stable.addAll(x.Latencies, false)
		}
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

// isOrNone reports whether a host runs the revision on a track, or nothing there
// just now: otherwise its latencies are of another rollout.
func isOrNone(running, revision string) bool { return running == "" || running == revision }

// track is one revision on several hosts, in all route classes.
type track struct {
	requests, lines int64
	times           *latency.Sketch
}

func newTrack() *track { return &track{times: latency.New()} }

// addAll takes in one host; it reports false if the track got no request there.
func (t *track) addAll(all []analysis.Latency, canary bool) bool {
	requests, lines := map[string]int64{}, map[string]int64{} // by instance
	for _, l := range all {
		if l.Canary != canary {
			continue
		}
		requests[l.Instance] += l.Requests
		if err := t.times.MergeEncoded(l.Sketch); err == nil { // an error was told of when it came in
			lines[l.Instance] += l.Lines
		}
	}
	some := false
	for instance, n := range requests {
		t.requests += n
		t.lines += min(lines[instance], n) // late lines of one do not make up for another's lost ones
		some = some || n > 0
	}
	return some
}

func (t *track) status() api.Times {
	s := api.Times{Requests: t.requests, Coverage: t.coverage()}
	if s.Coverage < leastCoverage {
		return s
	}
	for q, to := range map[float64]*api.Micros{0.5: &s.P50, 0.9: &s.P90, 0.99: &s.P99} {
		if micros, known := t.times.Quantile(q); known {
			*to = api.Micros(micros)
		}
	}
	s.P50Low, s.P50High = t.bounds(0.5)
	s.P99Low, s.P99High = t.bounds(0.99)
	return s
}

// coverage is the share of the requests that the log told of, in parts per million;
// 0 of none.
func (t *track) coverage() int64 {
	if t.requests == 0 {
		return 0
	}
	return int64(million * (float64(t.lines) / float64(t.requests)))
}

// bounds returns between which times a quantile lies; zeros if one is not known.
func (t *track) bounds(q float64) (low, high api.Micros) {
	below, above := analysis.QuantileInterval(t.times.Count(), q, boundsAlpha)
	least, some := t.times.Quantile(below)
	most, all := t.times.Quantile(above)
	if !some || !all {
		return 0, 0
	}
	return api.Micros(least), api.Micros(most)
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
