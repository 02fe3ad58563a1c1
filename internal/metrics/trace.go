package metrics

import (
	"context"

	"github.com/serin-rollouts/serin/internal/trace"
)

// Traces adds the readings of what exports traces. It returns nil until there is
// something, and where traces are off.
func (s *Set) Traces(exporter func() *trace.Exporter) {
	exported := s.Reading(Counter, "serin_trace_exported_spans_total", "Spans that the collector of traces has taken; missing where traces are off.")
	dropped := s.Reading(Counter, "serin_trace_dropped_spans_total", "Spans that it has not, or not in time; missing where traces are off.")
	s.OnScrape(func(_ context.Context, page Page) {
		if now, on := exporter().Stats(); on {
			page.Put(exported, float64(now.Exported))
			page.Put(dropped, float64(now.Dropped))
		}
	}, exported, dropped)
}
