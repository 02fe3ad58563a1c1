package coordinator

import (
	"maps"
	"slices"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

const (
	idleInterval  = 5 * time.Second // of reports where no rollout runs
	liveFor       = 3 * idleInterval
	forgetAfter   = 24 * time.Hour
	forgetEvery   = time.Minute
	refreshAfter  = 3 * idleInterval // a host that needs nothing is answered this often
	gatherLongest = idleInterval + time.Second
)

// host is one host as the leader has heard it.
type host struct {
	health wire.Health
	seen   time.Duration // last report, on the fleet's clock
	skew   time.Duration // its wall clock less ours, for display
	meters []meter       // of its services

	answered time.Duration // last answer; negative: never
	wants    []want        // what it should work on, as of the state of index
	index    uint64
}

// want is an assignment in short.
type want struct {
	service string
	epoch   uint64
}

// fleet is all hosts that have reported to this leader. Only the loop uses it.
type fleet struct {
	hosts  map[string]*host
	forgot time.Duration // when the silent were last forgotten

	heard   time.Duration // last report of any host
	resumed time.Duration // first report after a silence of all hosts
}

// newFleet returns a fleet that is listened to from a time on.
func newFleet(since time.Duration) *fleet {
	return &fleet{hosts: map[string]*host{}, heard: since, resumed: -gatherLongest}
}

// hear takes in a report, and returns how many of the host's reports before it
// did not arrive. It reports false for one that is older than what is known, or
// a host too many.
func (f *fleet) hear(h wire.Health, now time.Duration) (known *host, missed int64, ok bool) {
	if now-f.heard >= gatherLongest {
		f.resumed = now
	}
	f.heard = now
	known = f.hosts[h.Host]
	switch {
	case known == nil:
		f.forget(now)
		if len(f.hosts) >= maxHosts {
			return nil, 0, false
		}
		known = &host{answered: -1}
		f.hosts[h.Host] = known
	case older(h, known.health), overtakes(known.health, h) && now-known.seen < liveFor:
		return nil, 0, false
	case h.Started != known.health.Started || !maps.Equal(h.Labels, known.health.Labels):
		known.answered, known.index = -1, 0
	}
	if h.Started == known.health.Started && h.Sequence > known.health.Sequence {
		missed = int64(h.Sequence - known.health.Sequence - 1)
	}
	keepLatencies(known.health.Services, h.Services)
	known.readMeters(h.Services, now)
	known.health, known.seen = h, now
	if h.Wall != 0 {
		known.skew = time.Until(time.UnixMilli(h.Wall))
	}
	return known, missed, true
}

// returning is how much longer to wait for reports after a silence of all
// hosts: then it was the bus that was away, and not they.
func (f *fleet) returning(now time.Duration) time.Duration {
	if len(f.hosts) > 0 && now-f.heard >= gatherLongest {
		return gatherLongest
	}
	return f.resumed + gatherLongest - now
}

// live returns the names of the live hosts that match, in order.
func (f *fleet) live(selector rollout.Selector, now time.Duration) []string {
	var names []string
	for name, h := range f.hosts {
		if now-h.seen < liveFor && selector.Matches(name, h.health.Labels) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// silent reports whether no host at all is live.
func (f *fleet) silent(now time.Duration) bool {
	for _, h := range f.hosts {
		if now-h.seen < liveFor {
			return false
		}
	}
	return true
}

// complained reports whether the host's last report had that problem already.
func (f *fleet) complained(name, service, problem string) bool {
	h := f.hosts[name]
	return h != nil && slices.ContainsFunc(h.health.Services, func(x wire.ServiceHealth) bool {
		return x.Service == service && x.TelemetryProblem == problem
	})
}

// needsAnswer reports whether the host's report wants an answer: it has to
// move, or has not heard from the leader for a while.
func (f *fleet) needsAnswer(h *host, s *rollout.State, now time.Duration) bool {
	if h.answered < 0 || now-h.answered >= refreshAfter {
		return true
	}
	h.update(s)
	for _, w := range h.wants {
		i := slices.IndexFunc(h.health.Services, func(x wire.ServiceHealth) bool { return x.Service == w.service })
		if i < 0 {
			return true
		}
		if x := h.health.Services[i]; x.Epoch != w.epoch || !x.Settled || x.WantsRaise {
			return true
		}
	}
	return false
}

// Private

func (h *host) update(s *rollout.State) {
	if h.index == s.Index && h.index != 0 {
		return
	}
	h.index, h.wants = s.Index, nil
	for _, a := range s.Assignments(h.health.Host, h.health.Labels) {
		h.wants = append(h.wants, want{a.Service, a.Epoch})
	}
}

// forget drops hosts that are silent for long, now and then.
func (f *fleet) forget(now time.Duration) {
	if now-f.forgot < forgetEvery {
		return
	}
	f.forgot = now
	maps.DeleteFunc(f.hosts, func(_ string, h *host) bool { return now-h.seen > forgetAfter })
}
