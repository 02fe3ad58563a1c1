package agent

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/wire"
)

const (
	// tellApart is the least time between two tellings of the same: latencies
	// are large.
	tellApart = 2 * time.Second
	// tellRoom bounds the telemetry in one report, in bytes; what does not fit
	// comes with the next one, what was told longest ago first.
	tellRoom = 128 << 10
	// tellEntry is more than an entry takes beside its names and its sketch.
	tellEntry = 96
	// newsKey stands for all that is not a latency among the instances' names.
	newsKey = "\x00news"
)

// Private

// byTold orders services by how long ago they were at their turn.
func byTold(x, y *service) int {
	return cmp.Or(x.turnAt().Compare(y.turnAt()), strings.Compare(x.name, y.name))
}

func (s *service) turnAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.toldAt
}

// telemetry puts what gates want to know into a report, as far as there is room
// and something was not told just now. It returns the room that is left. The
// caller holds s.mu.
func (s *service) telemetry(h *wire.ServiceHealth, now time.Time, room int) int {
	as := s.post.Assigned
	if as.Rollout == "" || room <= 0 {
		return room
	}
	s.gathered.begin(as.Rollout)
	parts := []part{{key: newsKey, make: func() (int, func()) {
		var news wire.ServiceHealth
		s.gathered.news(now, &news)
		return sizeOfNews(news), func() { h.Signals, h.Usage, h.Readings = news.Signals, news.Usage, news.Readings }
	}}}
	if as.Stable != nil {
		for _, name := range s.meter.instances(as.Stable.ID) {
			parts = append(parts, latencyPart(h, name, func() []analysis.Latency { return s.meter.latency(name) }))
		}
	}
	if as.Canary != nil {
		parts = append(parts, latencyPart(h, "", func() []analysis.Latency { return s.meter.together(as.Canary.ID) }))
	}
	slices.SortFunc(parts, func(x, y part) int {
		return cmp.Or(s.told[x.key].Compare(s.told[y.key]), strings.Compare(x.key, y.key))
	})
	told := make(map[string]time.Time, len(parts))
	for _, p := range parts {
		told[p.key] = s.told[p.key]
		if now.Sub(told[p.key]) < tellApart || room <= 0 {
			continue
		}
		size, put := p.make()
		if room -= size; room < 0 { // its turn comes before that of smaller ones
			continue
		}
		put()
		told[p.key], s.toldAt = now, now
	}
	s.told = told
	return max(room, 0)
}

// part is what is told in one piece.
type part struct {
	key string
	// make returns how many bytes it takes at most, and puts it into the report.
	make func() (size int, put func())
}

func latencyPart(h *wire.ServiceHealth, instance string, encode func() []analysis.Latency) part {
	return part{key: instance, make: func() (int, func()) {
		group, size := encode(), 0
		for _, l := range group {
			size += tellEntry + len(l.Instance) + len(l.Route) + len(l.Sketch)
		}
		return size, func() { h.Latencies = append(h.Latencies, group...) }
	}}
}

func sizeOfNews(h wire.ServiceHealth) int {
	size := 0
	for gate, signal := range h.Signals {
		size += tellEntry + len(gate)
		for instance := range signal.Stable {
			size += tellEntry + len(instance)
		}
	}
	for _, u := range h.Usage {
		size += tellEntry + len(u.Instance)
	}
	for _, r := range h.Readings {
		size += tellEntry + len(r.Gate) + len(r.Variable)
	}
	return size
}
