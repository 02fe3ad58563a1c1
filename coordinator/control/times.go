package control

import (
	"fmt"
	"maps"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Private

// spans is how long the requests of a stable version took on all hosts.
type spans struct {
	all    *track
	routes map[string]*latency.Sketch
}

// times merges what the hosts that live say of a stable revision.
func (v View) times(service, revision string) spans {
	s := spans{all: newTrack(), routes: map[string]*latency.Sketch{}}
	for _, h := range v.Hosts {
		for _, x := range h.Health.Services {
			if h.Live && x.Service == service && x.Stable == revision {
				s.all.addAll(x.Latencies, false)
				s.addRoutes(x.Latencies)
			}
		}
	}
	return s
}

func (s spans) addRoutes(all []analysis.Latency) {
	for _, l := range all {
		if l.Canary || l.Route == "" {
			continue
		}
		if s.routes[l.Route] == nil {
			s.routes[l.Route] = latency.New()
		}
		_ = s.routes[l.Route].MergeEncoded(l.Sketch) // an error was told of when it came in
	}
}

// sketches is what a forecast goes by, see rollout.Traffic; nil if the log told of
// too few requests.
func (s spans) sketches() map[string]*latency.Sketch {
	if s.all.coverage() < leastCoverage {
		return nil
	}
	all := map[string]*latency.Sketch{"": s.all.times}
	maps.Copy(all, s.routes)
	return all
}

// lack says why nothing is foretold of a gate on latency.
func (s spans) lack(g rollout.LatencyGate) string {
	times, of := s.all.times, ""
	if g.Route != "" {
		of = " below " + g.Route
		if times = s.routes[g.Route]; times == nil {
			times = latency.New()
		}
	}
	if told := s.all.coverage(); s.all.times.Count() > 0 && told < leastCoverage {
		return fmt.Sprintf("HAProxy's log told of %s of the requests", rollout.Percent(int(told*rollout.Full/million)))
	}
	return fmt.Sprintf("of %d requests%s it is known how long they take, of %d that are needed",
		times.Count(), of, analysis.Learns(g.Quantile))
}
