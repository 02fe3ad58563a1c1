package record

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/latency"
)

// Private

// checkReport says what in a report cannot be: a judge passes over what makes no sense to it, and whoever
// wrote the record by hand would wait for a verdict in vain.
func checkReport(r *analysis.Report) error {
	switch {
	case r.Host == "":
		return errors.New("host: is needed in a report")
	case r.CanaryInstances < 0:
		return fmt.Errorf("canary_instances: %d is negative", r.CanaryInstances)
	}
	if err := checkCounts("canary", r.Canary); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(r.Stable)) {
		if err := checkCounts("stable."+name, r.Stable[name]); err != nil {
			return err
		}
	}
	for _, gate := range slices.Sorted(maps.Keys(r.Signals)) {
		if err := checkSignal("signals."+gate, r.Signals[gate]); err != nil {
			return err
		}
	}
	for k, l := range r.Latencies {
		if err := checkLatency(l); err != nil {
			return fmt.Errorf("latencies[%d].%w", k, err)
		}
	}
	for k, u := range r.Usage {
		if min(u.Memory, u.Limit, u.Periods, u.Throttled, int64(u.Restarts), int64(u.OOMs)) < 0 {
			return fmt.Errorf("usage[%d]: a number is negative; leave out what is not known", k)
		}
	}
	return nil
}

func checkSignal(field string, s analysis.Signal) error {
	for _, c := range slices.AppendSeq([]analysis.Counts{s.Canary}, maps.Values(s.Stable)) {
		if err := checkCounts(field, c); err != nil {
			return err
		}
	}
	return nil
}

// checkCounts lets more errors than requests pass: agents read one after the other, and users may have
// more to say than they ask.
func checkCounts(field string, c analysis.Counts) error {
	if c.Requests < 0 || c.Errors < 0 {
		return fmt.Errorf("%s: %d of %d is no count; counters are sums since the incarnation began", field, c.Errors, c.Requests)
	}
	return nil
}

func checkLatency(l analysis.Latency) error {
	switch {
	case l.Requests < 0 || l.Lines < 0:
		return errors.New("lines: a number is negative; counters are sums since the incarnation began")
	case l.Requests > 0 && l.Route != "":
		return errors.New("requests: stand beside a route; they are told of all routes, where route is empty")
	}
	if err := latency.Check(l.Sketch); err != nil {
		return fmt.Errorf("sketch: %w; it is a DDSketch in base64, leave it out where nothing was timed", err)
	}
	return nil
}
