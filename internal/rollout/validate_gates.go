package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of gates: all of them travel to every host, and are judged again and again.
const (
	maxGates     = 16
	maxRoutes    = 8
	maxVariables = 16
	maxKinds     = 16
	maxRoute     = 128       // bytes
	maxQuery     = 4 << 10   // bytes
	maxFactor    = 10 * Full // of stable's latency or memory: ten times more
	minAlpha     = 100       // shares are whole parts per million
	maxAlpha     = 500_000
	minEvery     = time.Second
	maxEvery     = 30 * time.Second // less than what counts as silence
	minTimeout   = 100 * time.Millisecond
	maxTimeout   = 10 * time.Second
	maxFailures  = 100
	maxExposure  = 1_000_000
)

// Private

// place is where a gate stands in the file, with what all gates have.
type place struct {
	Conduct

	field string
	// never says why the gate's source is never silent so that it could fail; "": it can.
	never string
}

// places are all gates in the order of the file.
func (g Gates) places() []place {
	var all []place
	add := func(c Conduct, field string) { all = append(all, place{Conduct: c, field: "gates." + field}) }
	if g.Errors != nil {
		add(g.Errors.Conduct, "errors")
		all[0].never = "what HAProxy counts comes with the hosts' own reports, and no requests are no silence; for hosts that say nothing there are lost_after and max_lost"
	}
	for k, l := range g.Latency {
		add(l.Conduct, fmt.Sprintf("latency[%d]", k))
	}
	if g.Saturation != nil {
		add(g.Saturation.Conduct, "saturation")
	}
	for k, m := range g.Metrics {
		add(m.Conduct, fmt.Sprintf("metrics[%d]", k))
	}
	for k, p := range g.Prometheus {
		add(p.Conduct, fmt.Sprintf("prometheus[%d]", k))
	}
	for k, c := range g.Checks {
		add(c.Conduct, fmt.Sprintf("checks[%d]", k))
	}
	for k, f := range g.Feedback {
		add(f.Conduct, fmt.Sprintf("feedback[%d]", k))
		all[len(all)-1].never = "nobody has to say anything, so no message is no complaint"
	}
	return all
}

// validate checks the gates but for their conditions, whose language is not known here.
func (g Gates) validate() *Problem {
	if g.Alpha < minAlpha || g.Alpha > maxAlpha {
		return problem("gates.alpha", "is %s%%; use 0.01%% to 50%%", strconv.FormatFloat(float64(g.Alpha)/10_000, 'f', -1, 64))
	}
	if o := g.OneHost; o != ExcludeHost && o != PauseForHost && o != FailForHost {
		return problem("gates.one_host", "is %q; use exclude, pause or fail", o)
	}
	places := g.places()
	if len(places) > maxGates {
		return problem("gates", "are %d; %d are the most", len(places), maxGates)
	}
	if p := validateConducts(places); p != nil {
		return p
	}
	checks := []func() *Problem{g.validateErrors, g.validateRoutes, g.validateLatency, g.validateSaturation}
	for _, check := range checks {
		if p := check(); p != nil {
			return p
		}
	}
	return g.validateSignals()
}

func validateConducts(places []place) *Problem {
	taken := map[string]string{}
	for _, at := range places {
		if at.Name == "" {
			return problem(at.field, "has no name; give it one, for example `name: queue`")
		}
		if !ValidName(at.Name) {
			return problem(at.field+".name", "%q is not usable as a name; use 1 to 63 of a-z, 0-9, - and _", clip(at.Name))
		}
		if other, twice := taken[at.Name]; twice {
			return problem(at.field, "is called %s like %s; give one of them another name, for example `name: %s-2`", at.Name, other, at.Name)
		}
		taken[at.Name] = at.field
		switch s := at.OnSilence; {
		case s == "" || s == WaitOnSilence:
		case at.never != "":
			return problem(at.field+".on_silence", "is %q; use wait, or leave it out: %s", s, at.never)
		case s != FailOnSilence:
			return problem(at.field+".on_silence", "is %q; use wait or fail", s)
		}
	}
	return nil
}

func (g Gates) validateErrors() *Problem {
	if g.Errors == nil {
		return nil
	}
	return validateRate("gates.errors", g.Errors.MaxIncrease, g.Errors.MinRequests, "min_requests")
}

// validateRate checks what all gates have that count bad events among all.
func validateRate(field string, increase int, least int64, leastKey string) *Problem {
	switch {
	case increase < 0 || increase > Full:
		return problem(field+".max_increase", "is %s; use 0%% to 100%% points", Percent(increase))
	case least < 0:
		return problem(field+"."+leastKey, "is negative")
	}
	return nil
}

func (g Gates) validateRoutes() *Problem {
	if len(g.Routes) > maxRoutes {
		return problem("gates.routes", "are %d; %d are the most", len(g.Routes), maxRoutes)
	}
	for k, route := range g.Routes {
		field := fmt.Sprintf("gates.routes[%d]", k)
		switch {
		case !validPath(route) || len(route) > maxRoute:
			return problem(field, "%q is no path prefix; write for example /api/", clip(route))
		case slices.Contains(g.Routes[:k], route):
			return problem(field, "%s is there twice", route)
		}
	}
	return nil
}

// validPath reports whether the text can be asked for in a request's first line.
func validPath(s string) bool {
	return strings.HasPrefix(s, "/") && len(s) <= maxText && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

func (g Gates) validateLatency() *Problem {
	for k, l := range g.Latency {
		field := fmt.Sprintf("gates.latency[%d]", k)
		switch {
		case l.Quantile != WholeDistribution && (l.Quantile < 100 || l.Quantile > 9_999):
			return problem(field+".quantile", "is p%s; use p1 to p99.99", strings.TrimSuffix(Percent(l.Quantile), "%"))
		case l.MaxIncrease < 0 || l.MaxIncrease > maxFactor:
			return problem(field+".max_increase", "is %s; use 0%% to %s of stable's", Percent(l.MaxIncrease), Percent(maxFactor))
		case l.MinRequests < 0:
			return problem(field+".min_requests", "is negative")
		case l.Route != "" && !slices.Contains(g.Routes, l.Route):
			return problem(field+".route", "%q is none of gates.routes (%s); add it there", clip(l.Route), strings.Join(g.Routes, ", "))
		}
	}
	return nil
}

func (g Gates) validateSaturation() *Problem {
	s := g.Saturation
	switch {
	case s == nil:
		return nil
	case s.MaxMemory < 1 || s.MaxMemory > maxFactor:
		return problem("gates.saturation.memory.max_increase", "is %s; use 0.01%% to %s of stable's", Percent(s.MaxMemory), Percent(maxFactor))
	case s.MaxThrottled < 0 || s.MaxThrottled > Full:
		return problem("gates.saturation.throttling.max_increase", "is %s; use 0%% to 100%% points", Percent(s.MaxThrottled))
	case s.MaxRestarts < 0 || s.MaxRestarts > maxFailures:
		return problem("gates.saturation.restarts", "is %d; use 0 to %d", s.MaxRestarts, maxFailures)
	}
	return nil
}

func (s Spec) validatePace() *Problem {
	if s.Pace == FixedPace {
		return nil
	}
	acting := s.Gates.Errors != nil && !s.Gates.Errors.Observe && !s.Gates.Errors.Optional
	switch a := s.Auto; {
	case s.Pace != AutoPace:
		return problem("pace", "is %q; use steps, auto, or {regression: 2%%, exposure: 50}", s.Pace)
	case s.Strategy != Canary:
		return problem("pace", "is auto, but the strategy is %s; auto chooses the steps of a canary", s.Strategy)
	case !acting:
		return problem("pace", "is auto, which goes by the errors gate; leave that gate on, required and not observed")
	case a == nil || a.Regression < 1 || a.Regression > Full:
		return problem("pace.regression", "is out of range; use 0.01%% to 100%% points of errors")
	case a.Regression <= s.Gates.Errors.MaxIncrease:
		return problem("pace.regression", "is %s, no more than the %s that gates.errors allows: it would never be found; raise it, or lower max_increase", Percent(a.Regression), Percent(s.Gates.Errors.MaxIncrease))
	case a.Exposure < 1 || a.Exposure > maxExposure:
		return problem("pace.exposure", "is %d; use 1 to %d requests that may fail", a.Exposure, maxExposure)
	}
	return nil
}

// sortedNames are the keys of a table in order, so that of several mistakes always the same is told.
func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
