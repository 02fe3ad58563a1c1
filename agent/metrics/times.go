package metrics

import (
	"context"
	"sync"

	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/metrics"
)

// bounds are those of the histogram of requests, in microseconds.
func bounds() []int64 {
	return []int64{
		1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000,
	}
}

// times sums up how long requests took, from sketches.
type times struct {
	bounds []int64

	mu  sync.Mutex
	all map[of]*taken
}

// of is whose requests.
type of struct{ service, track string }

// taken is how long they took.
type taken struct {
	upTo   []int64 // as many as bounds
	count  int64
	micros float64
}

// Timed tells how long some requests of a track took.
func (m *Metrics) Timed(service, track string, some *latency.Sketch) {
	upTo, micros := some.Histogram(m.times.bounds)
	m.times.mu.Lock()
	defer m.times.mu.Unlock()
	t := m.times.all[of{service, track}]
	if t == nil {
		t = &taken{upTo: make([]int64, len(upTo))}
		m.times.all[of{service, track}] = t
	}
	t.count += some.Count()
	t.micros += micros
	for i, n := range upTo {
		t.upTo[i] += n
	}
}

// Private

func newTimes(set *metrics.Set) *times {
	t := &times{bounds: bounds(), all: map[of]*taken{}}
	duration := set.Reading(metrics.Histogram, "serin_agent_request_duration_seconds",
		"How long requests took, as HAProxy's log says, by track; within 1 %. Missing if the log is off.", "service", "track")
	set.OnScrape(func(_ context.Context, page metrics.Page) {
		t.mu.Lock()
		defer t.mu.Unlock()
		for of, taken := range t.all {
			upTo := map[float64]uint64{}
			for i, n := range taken.upTo {
				upTo[float64(t.bounds[i])/1e6] = uint64(n)
			}
			page.Distribution(duration, uint64(taken.count), taken.micros/1e6, upTo, of.service, of.track)
		}
	}, duration)
	return t
}
