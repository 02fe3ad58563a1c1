package rollout

import (
	"fmt"
	"slices"
	"strings"
)

// Private

// validateSignals checks the gates on users' own signals.
func (g Gates) validateSignals() *Problem {
	for k, m := range g.Metrics {
		if p := m.validate(fmt.Sprintf("gates.metrics[%d]", k)); p != nil {
			return p
		}
	}
	for k, q := range g.Prometheus {
		if p := q.validate(fmt.Sprintf("gates.prometheus[%d]", k)); p != nil {
			return p
		}
	}
	for k, c := range g.Checks {
		if p := c.validate(fmt.Sprintf("gates.checks[%d]", k)); p != nil {
			return p
		}
	}
	for k, f := range g.Feedback {
		if p := f.validate(fmt.Sprintf("gates.feedback[%d]", k)); p != nil {
			return p
		}
	}
	return nil
}

func (m MetricsGate) validate(field string) *Problem {
	switch {
	case !validPath(m.Path):
		return problem(field+".path", "%q does not begin with /, or contains a character that no path has unencoded", clip(m.Path))
	case m.Port < 0 || m.Port > 65535:
		return problem(field+".port", "is %d; use 1 to 65535, or leave it out for the container's own", m.Port)
	case (m.Bad == "") == (len(m.Read) == 0):
		return problem(field, "needs either bad (a counter that is compared) or read with when (readings for a condition)")
	case m.Bad == "" && m.Total != "":
		return problem(field+".total", "stands without bad; name the counter of bad events too")
	case m.Bad == "" && m.MaxIncrease != 0:
		return problem(field+".max_increase", "stands beside read; a condition has no increase, write it into when")
	case m.Bad == "" && m.MinRequests != 0:
		return problem(field+".min_requests", "stands beside read; a condition counts no requests")
	}
	if p := m.Condition.validate(field, m.Bad == "", "canary.queue < 100"); p != nil {
		return p
	}
	if m.Bad == "" {
		return m.validateRead(field + ".read")
	}
	for _, s := range []struct{ key, text string }{{"bad", m.Bad}, {"total", m.Total}} {
		if s.text == "" {
			continue
		}
		if _, err := ParseSeries(s.text); err != nil {
			return problem(field+"."+s.key, "%v", err)
		}
	}
	if strings.TrimSpace(m.Bad) == strings.TrimSpace(m.Total) {
		return problem(field+".total", "is the counter of bad; name one of all, good and bad, or leave it out for the requests that HAProxy counted")
	}
	if len(m.Bad) > maxText || len(m.Total) > maxText {
		return problem(field+".bad", "is longer than %d bytes, or total is", maxText)
	}
	return validateRate(field, m.MaxIncrease, m.MinRequests, "min_requests")
}

func (m MetricsGate) validateRead(field string) *Problem {
	if len(m.Read) > maxVariables {
		return problem(field, "has %d variables; %d are the most", len(m.Read), maxVariables)
	}
	for _, name := range sortedNames(m.Read) {
		if len(m.Read[name]) > maxText {
			return problem(field, "of %s is longer than %d bytes", clip(name), maxText)
		}
		if _, err := ParseSeries(m.Read[name]); err != nil {
			return problem(field, "of %s: %v", clip(name), err)
		}
	}
	return nil
}

// validate checks what a condition has beside its expression.
func (c Condition) validate(field string, wanted bool, example string) *Problem {
	switch {
	case wanted && strings.TrimSpace(c.When) == "":
		return problem(field, "has no condition; write one, for example `when: %s`", example)
	case !wanted && c.When != "":
		return problem(field+".when", "stands at a gate that compares; it has max_increase instead")
	case !wanted && c.Failures != 0:
		return problem(field+".failures", "stands at a gate that compares; only conditions count failures")
	case c.Every < minEvery || c.Every > maxEvery:
		return problem(field+".every", "is %s; use %s to %s", c.Every, minEvery, maxEvery)
	case wanted && (c.Failures < 1 || c.Failures > maxFailures):
		return problem(field+".failures", "is %d; use 1 to %d", c.Failures, maxFailures)
	}
	return nil
}

func (g PrometheusGate) validate(field string) *Problem {
	if p := validateURL(field+".address", g.Address, "http://10.0.0.5:9090"); p != nil {
		return p
	}
	if n := len(g.Queries); n == 0 || n > maxVariables {
		return problem(field+".queries", "are %d; use 1 to %d, for example {lag: 'sum(lag{revision=\"$revision\"})'}", n, maxVariables)
	}
	for _, name := range sortedNames(g.Queries) {
		query := g.Queries[name]
		switch wrong := unknownPlaceholder(query); {
		case strings.TrimSpace(query) == "" || len(query) > maxQuery:
			return problem(field+".queries", "%s is empty or longer than %d bytes", clip(name), maxQuery)
		case wrong != "":
			return problem(field+".queries", "%s speaks of %s; known are $revision, $service and $track", clip(name), clip(wrong))
		}
	}
	return g.Condition.validate(field, true, "canary.lag < 100")
}

// unknownPlaceholder returns the first $word that stands for nothing; a $ before anything but a
// letter is an anchor in a pattern.
func unknownPlaceholder(query string) string {
	for {
		_, rest, found := strings.Cut(query, "$")
		if !found {
			return ""
		}
		name, after := cutName(rest, false)
		if strings.HasPrefix(rest, "{") {
			name = "{"
		}
		if name != "" && !slices.Contains([]string{"revision", "service", "track"}, name) {
			return "$" + name
		}
		query = after
	}
}

// validateURL wants an absolute http or https URL without a user in it: a password would stand in
// every replica's log.
func validateURL(field, s, example string) *Problem {
	rest, secure := strings.CutPrefix(s, "https://")
	if !secure {
		rest, secure = strings.CutPrefix(s, "http://")
	}
	host, path, _ := strings.Cut(rest, "/")
	host, query, _ := strings.Cut(host, "?")
	switch {
	case strings.Contains(host, "@"):
		return problem(field, "carries a user or a password, which all who may read rollouts would see; leave it out")
	case !secure || host == "" || strings.HasPrefix(host, ":") || strings.ContainsAny(s, "\\#") || !validPath("/"+path+host+query) || len(s) > maxText:
		return problem(field, "%q is no address of a server; write for example %s", clip(s), example)
	}
	return nil
}

func (c CheckGate) validate(field string) *Problem {
	switch {
	case (c.Path == "") == (c.URL == ""):
		return problem(field, "needs either path (asked of every container) or url (asked by the coordinator)")
	case c.Path != "" && !validPath(c.Path):
		return problem(field+".path", "%q does not begin with /, or contains a character that no path has unencoded", clip(c.Path))
	case c.Path == "" && c.MaxIncrease != 0:
		return problem(field+".max_increase", "stands beside url; a condition has no increase, write it into when")
	case c.Path == "" && c.MinChecks != 0:
		return problem(field+".min_checks", "stands beside url; a condition has failures instead")
	case c.Timeout < minTimeout || c.Timeout > maxTimeout:
		return problem(field+".timeout", "is %s; use %s to %s", c.Timeout, minTimeout, maxTimeout)
	}
	if p := validateURL(field+".url", c.URL, "https://shop.example.com/health"); c.URL != "" && p != nil {
		return p
	}
	if p := c.Condition.validate(field, c.Path == "", "status == 200"); p != nil {
		return p
	}
	if c.Timeout > c.Every {
		return problem(field+".timeout", "is %s, longer than the %s from one question to the next; shorten it", c.Timeout, c.Every)
	}
	return validateRate(field, c.MaxIncrease, c.MinChecks, "min_checks")
}

func (g FeedbackGate) validate(field string) *Problem {
	if len(g.Kinds) > maxKinds {
		return problem(field+".kinds", "are %d; %d are the most", len(g.Kinds), maxKinds)
	}
	for k, kind := range g.Kinds {
		if !ValidName(kind) {
			return problem(fmt.Sprintf("%s.kinds[%d]", field, k), "%q is not usable as a kind; use 1 to 63 of a-z, 0-9, - and _", clip(kind))
		}
	}
	return validateRate(field, g.MaxIncrease, g.MinRequests, "min_requests")
}
