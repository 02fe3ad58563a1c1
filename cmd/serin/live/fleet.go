package live

import (
	"cmp"
	"slices"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// window is the time over which rates are taken.
const window = 10 * time.Second

// Told is what the coordinator said of all services and hosts at a time.
type Told struct {
	Services []api.ServiceStatus
	Hosts    []api.HostStatus
	Now      time.Time
}

// Fleet is what `serin top` tells, also to programs.
type Fleet struct {
	Tracks []Track             `json:"tracks"`
	Hosts  []api.HostStatus    `json:"hosts"`
	Runs   []api.RolloutStatus `json:"rollouts,omitempty"` // those that run
}

// Track is one revision of a service.
type Track struct {
	Service  string `json:"service"`
	Track    string `json:"track"` // stable or canary
	Revision string `json:"revision"`
	Version  string `json:"version,omitempty"`
	Weight   int    `json:"weight"` // the largest on a host, basis points
	Hosts    int    `json:"hosts"`
	Ready    int    `json:"ready"` // containers
	// PerSecond is requests a second, and Errors the share of those that were
	// answered with a server error; nil where two reports are not there to compare.
	PerSecond *float64 `json:"requests_per_second,omitempty"`
	Errors    *float64 `json:"error_share,omitempty"`
	// P99 is known while a rollout measures it.
	P99 api.Micros `json:"p99_us,omitempty"`
}

// History is what was told in the last seconds, the oldest first.
type History []Told

// With returns the history with what was told now, without what is too old.
func (h History) With(t Told) History {
	h = append(slices.Clone(h), t)
	for len(h) > 2 && t.Now.Sub(h[1].Now) >= window {
		h = h[1:]
	}
	return h
}

// Fleet is what the history comes to, by service, stable before canary.
func (h History) Fleet() Fleet {
	if len(h) == 0 {
		return Fleet{Tracks: []Track{}, Hosts: []api.HostStatus{}}
	}
	last := h[len(h)-1]
	f := Fleet{Tracks: []Track{}, Hosts: last.Hosts}
	latency := map[string]*api.Latency{}
	for _, s := range last.Services {
		if s.Running && s.Rollout != nil {
			f.Runs = append(f.Runs, *s.Rollout)
			latency[s.Service] = s.Rollout.Latency
		}
	}
	before, now := counts(h[0]), counts(last)
	seconds := last.Now.Sub(h[0].Now).Seconds()
	sums := map[trackKey]*sum{}
	for key, c := range now {
		s := sums[key.trackKey]
		if s == nil {
			s = &sum{}
			sums[key.trackKey] = s
		}
		s.add(c, before[key], len(h) > 1)
	}
	for key, s := range sums {
		f.Tracks = append(f.Tracks, s.track(key, seconds, latency[key.service]))
	}
	slices.SortFunc(f.Tracks, func(a, b Track) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), -cmp.Compare(a.Track, b.Track), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Revision, b.Revision))
	})
	return f
}

// Private

const stable, canary = "stable", "canary"

type trackKey struct{ service, track, revision string }

// countKey is what counts can be compared of.
type countKey struct {
	trackKey

	host, counting string
}

// count is one track on one host.
type count struct {
	served        api.Counts
	version       string
	weight, ready int
}

func counts(t Told) map[countKey]*count {
	all := map[countKey]*count{}
	for _, h := range t.Hosts {
		for _, s := range h.Services {
			if s.Stable != "" {
				key := countKey{trackKey{s.Service, stable, s.Stable}, h.Host, s.Counting}
				all[key] = &count{s.StableServed, s.StableVersion, rollout.Full - s.Weight, s.StableReady}
			}
			if s.Canary != "" {
				key := countKey{trackKey{s.Service, canary, s.Canary}, h.Host, s.Counting}
				all[key] = &count{s.CanaryServed, s.CanaryVersion, s.Weight, s.CanaryReady}
			}
		}
	}
	return all
}

// sum is one track on all hosts.
type sum struct {
	Track

	served   api.Counts
	compared bool
}

// add takes in one host. What cannot be compared with before adds no traffic.
func (s *sum) add(now, before *count, later bool) {
	s.Hosts++
	s.Ready += now.ready
	s.Weight = max(s.Weight, now.weight)
	s.Version = cmp.Or(s.Version, now.version)
	if !later || before == nil || now.served.Requests < before.served.Requests {
		return
	}
	s.compared = true
	s.served.Requests += now.served.Requests - before.served.Requests
	s.served.Errors += max(0, now.served.Errors-before.served.Errors)
}

func (s *sum) track(key trackKey, seconds float64, l *api.Latency) Track {
	t := s.Track
	t.Service, t.Track, t.Revision = key.service, key.track, key.revision
	if l != nil {
		t.P99 = l.Stable.P99
		if t.Track == canary {
			t.P99 = l.Canary.P99
		}
	}
	if !s.compared || seconds <= 0 {
		return t
	}
	rate := float64(s.served.Requests) / seconds
	t.PerSecond = &rate
	if s.served.Requests > 0 {
		share := float64(s.served.Errors) / float64(s.served.Requests)
		t.Errors = &share
	}
	return t
}
