package coordinator

import (
	"maps"
	"slices"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/wire"
)

// mostKept bounds the latencies that are kept of one service on one host: an
// agent might name other instances in each report.
const mostKept = 1 << 10

// Private

// keepLatencies fills in what reports before said of the same incarnation:
// agents do not say it each time, nor all of it at once.
func keepLatencies(before, now []wire.ServiceHealth) {
	eachLife(before, now, func(was, is *wire.ServiceHealth) {
		for _, l := range was.Latencies {
			said := slices.ContainsFunc(is.Latencies, func(x analysis.Latency) bool {
				return x.Canary == l.Canary && x.Instance == l.Instance && x.Route == l.Route
			})
			if !said && len(is.Latencies) < mostKept {
				is.Latencies = append(is.Latencies, l)
			}
		}
	})
}

// keepNews takes over from a report that nobody has read what the next one does
// not say again. In one that was read, silence has a meaning.
func keepNews(before, now []wire.ServiceHealth) {
	eachLife(before, now, func(was, is *wire.ServiceHealth) {
		if len(was.Signals) > 0 {
			all := maps.Clone(was.Signals)
			maps.Copy(all, is.Signals)
			is.Signals = all
		}
		if is.Usage == nil {
			is.Usage = was.Usage
		}
		for _, r := range was.Readings {
			if !slices.ContainsFunc(is.Readings, func(x wire.Reading) bool { return x.Gate == r.Gate && x.Variable == r.Variable }) {
				is.Readings = append(is.Readings, r)
			}
		}
	})
}

// eachLife calls f with the accounts of one incarnation of a service in both
// reports.
func eachLife(before, now []wire.ServiceHealth, f func(was, is *wire.ServiceHealth)) {
	for i := range now {
		is := &now[i]
		k := slices.IndexFunc(before, func(b wire.ServiceHealth) bool {
			return b.Service == is.Service && b.Incarnation == is.Incarnation
		})
		if k >= 0 {
			f(&before[k], is)
		}
	}
}
