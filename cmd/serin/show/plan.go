package show

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Plan writes what a trigger would do.
func (o Options) Plan(out io.Writer, p api.Plan) error {
	b := &strings.Builder{}
	from := "nothing"
	if p.From != nil {
		from = p.From.Version
	}
	fmt.Fprintf(b, "%s: %s -> %s\n", p.Service, from, o.Palette.paint(cyan, p.To.Version))
	fmt.Fprintf(b, "image: %s\n", p.To.Image)
	for _, c := range p.Changes {
		fmt.Fprintf(b, "  ~ %s\n", c)
	}
	fmt.Fprintf(b, "hosts: %s\n", listed(p.Hosts))
	unwell(b, p.Unwell)
	b.WriteString("\n")
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	if err := path(out, p); err != nil {
		return err
	}
	b.Reset()
	b.WriteString("\n" + needs(p))
	if err := inTime(b, p); err != nil {
		return err
	}
	b.WriteString(pace(p))
	b.WriteString(duration(p))
	b.WriteString(untold(p))
	if p.Running != "" {
		fmt.Fprintf(b, "%s runs: start would be refused without --replace\n", p.Running)
	}
	for _, f := range p.Frozen {
		fmt.Fprintf(b, "%s: start would be refused without --override-freeze\n", o.FreezeSentence(f))
	}
	if p.Unchanged {
		fmt.Fprintf(b, "%s is stable already: start would do nothing without --force\n", p.To.Version)
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	return gates(out, p)
}

// Private

// unwell names the hosts that are missing, or not well, at most eight of them.
func unwell(b *strings.Builder, all []api.UnwellHost) {
	for i, h := range all {
		if i == mostListed {
			fmt.Fprintf(b, "  ! and %d more\n", len(all)-i)
			return
		}
		fmt.Fprintf(b, "  ! %s: %s\n", h.Host, h.Why)
	}
}

// inTime writes how long the steps take at the traffic that there is, and when a
// version that is worse is found.
func inTime(b *strings.Builder, p api.Plan) error {
	ofErrors := slices.ContainsFunc(p.Path, func(s api.StepStatus) bool { return len(s.Finds) > 0 })
	slow := foretoldLatency(p)
	if !ofErrors && len(slow) == 0 {
		return nil
	}
	fmt.Fprintf(b, "\nThe hosts get %s now. At that, in the median, from when the hosts of the step are ready:\n", perSecond(p.PerSecond))
	if ofErrors {
		b.WriteString("\n")
		if err := forecasts(b, p, "CANARY GETS", "THE ERRORS", func(s api.StepStatus) (string, api.GateForecast) {
			return perSecond(s.PerSecond), api.GateForecast{Takes: s.Takes, Finds: s.Finds}
		}); err != nil {
			return err
		}
	}
	for _, gate := range slow {
		fmt.Fprintf(b, "\nThe gate %s, and when it finds a version all of whose requests take so many times as long:\n\n", gate)
		if err := forecasts(b, p, "NEEDS", "AS SLOW", func(s api.StepStatus) (string, api.GateForecast) {
			f := ofGate(s, gate)
			if f.Takes == 0 {
				return "", f
			}
			return canaryRequests(f.Needs), f
		}); err != nil {
			return err
		}
	}
	b.WriteString("\n")
	return nil
}

// forecasts writes the steps by one gate, with a column of its own.
func forecasts(b *strings.Builder, p api.Plan, own, regression string, of func(api.StepStatus) (string, api.GateForecast)) error {
	head := []string{"STEP", own, "PASSES AFTER"}
	for _, s := range p.Path {
		if _, f := of(s); len(f.Finds) > 0 {
			for _, found := range f.Finds {
				head = append(head, fmt.Sprintf("FINDS %dX %s", found.Times, regression))
			}
			break
		}
	}
	t := newTable(b, head...)
	for i, s := range p.Path {
		cell, f := of(s)
		row := []string{strconv.Itoa(i + 1), cell, about(f.Takes)}
		for _, found := range f.Finds {
			row = append(row, detection(found))
		}
		for len(row) < len(head) {
			row = append(row, "")
		}
		t.row(row...)
	}
	return t.end()
}

// foretoldLatency are the gates on latency of which something is foretold.
func foretoldLatency(p api.Plan) []string {
	var gates []string
	for _, s := range p.Path {
		for _, f := range s.Latency {
			if !slices.Contains(gates, f.Gate) {
				gates = append(gates, f.Gate)
			}
		}
	}
	return gates
}

// ofGate is a step's forecast by a gate on latency; zero if there is none.
func ofGate(s api.StepStatus, gate string) api.GateForecast {
	if k := slices.IndexFunc(s.Latency, func(f api.GateForecast) bool { return f.Gate == gate }); k >= 0 {
		return s.Latency[k]
	}
	return api.GateForecast{}
}

// untold says of which gates nothing is foretold, and why.
func untold(p api.Plan) string {
	var b strings.Builder
	for _, g := range p.Gates {
		if g.Untold == "" {
			continue
		}
		if b.Len() == 0 {
			b.WriteString("How long these take, and when they find a version that is worse, is not foretold:\n")
		}
		fmt.Fprintf(&b, "  %s: %s\n", g.Name, g.Untold)
	}
	return b.String()
}

// detection says when a regression is found, and how many requests it has got by then.
func detection(f api.Detection) string {
	switch {
	case f.Allowed:
		return "is allowed"
	case f.After == 0:
		return "no telling"
	}
	return fmt.Sprintf("%s, %d requests", about(f.After), twoDigits(f.Requests))
}

// about renders a forecast of a time in ms; 0 is one that there is not.
func about(ms int64) string {
	if ms == 0 {
		return "no telling"
	}
	return Span(Milli(ms))
}

// perSecond renders a traffic to two digits; 0 is none.
func perSecond(rate float64) string {
	if rate == 0 {
		return "none"
	}
	if rate >= 10 {
		return strconv.FormatInt(twoDigits(int64(math.Round(rate))), 10) + "/s"
	}
	return strconv.FormatFloat(rate, 'g', 2, 64) + "/s"
}

// duration says how long the whole takes, at least, about, and at most.
func duration(p api.Plan) string {
	var parts []string
	if p.Holds > 0 {
		parts = append(parts, Span(Milli(p.Holds))+" at least")
	}
	if p.Takes > 0 {
		parts = append(parts, "about "+about(p.Takes)+" at this traffic")
	}
	if p.Deadline > 0 {
		parts = append(parts, Span(Milli(p.Deadline))+" at most")
	}
	if len(parts) == 0 {
		return ""
	}
	text := "It takes " + strings.Join(parts, ", ")
	switch {
	case p.Takes > p.Deadline && p.Deadline > 0:
		text += ": as it is, it would go back at its deadline"
	case p.Deadline > 0:
		text += ": what is not through by then goes back"
	}
	text += ".\n"
	if p.Takes > 0 && len(p.Untold) > 0 {
		text += fmt.Sprintf("That is for holds and what is foretold. It waits for %s, too.\n", strings.Join(p.Untold, ", "))
	}
	return text
}

// needs says what the steps' numbers of requests rest on.
func needs(p api.Plan) string {
	if !slices.ContainsFunc(p.Path, func(s api.StepStatus) bool { return gated(p, s) }) {
		return ""
	}
	if p.PerSecond > 0 && p.Stable != nil {
		return fmt.Sprintf("The errors gate lets a step pass after about so many requests to the canary, if it fails as few\nof them as %s: %s (%d of %d).\n",
			p.From.Version, rate(p.Stable.Errors, p.Stable.Requests), p.Stable.Errors, p.Stable.Requests)
	}
	const busy = "where a container gets more than four a second: in one place\nthey tell less, but they come sooner.\n"
	const head = "The errors gate lets a step pass after about so many requests to the canary, if "
	if p.Stable == nil {
		return head + "none fails on either\nversion. It takes more if some do, or " + busy
	}
	return head + fmt.Sprintf("it fails as few\nof them as %s: %s (%d of %d).\nIt takes more "+busy,
		p.From.Version, rate(p.Stable.Errors, p.Stable.Requests), p.Stable.Errors, p.Stable.Requests)
}

// gated reports whether the errors gate has a say at a step: at an install
// there is nothing to compare with, and weight 0 has no traffic.
func gated(p api.Plan, s api.StepStatus) bool {
	return p.From != nil && p.MinRequests > 0 && s.Weight > 0
}

// path writes the steps of a plan.
func path(out io.Writer, p api.Plan) error {
	t := newTable(out, "STEP", "HOSTS", "WEIGHT", "OF ALL", "HOLD", "NEEDS", "THEN")
	for i, s := range p.Path {
		next := "on"
		if i == len(p.Path)-1 {
			next = "promoted"
		}
		hold, evidence, when := "", "", "as soon as the hosts are ready"
		if s.Hold > 0 {
			hold, when = Span(Milli(s.Hold)), "after the hold"
		}
		if gated(p, s) {
			evidence, when = canaryRequests(s.Needs), "as soon as the evidence allows"
		}
		if s.Approve {
			when = "when a person promotes it"
		}
		t.row(strconv.Itoa(i+1), strconv.Itoa(s.Hosts), rollout.Percent(s.Weight), rollout.Percent(s.Share), hold, evidence, next+" "+when)
	}
	return t.end()
}

// gates writes what a plan's rollout is judged by.
func gates(out io.Writer, p api.Plan) error {
	if len(p.Gates) == 0 {
		return nil
	}
	const budget = "\nThe gates that compare take back a version that is no worse in at most %s of rollouts;\n" +
		"a tenth of that is kept for evidence that begins anew.\n"
	if _, err := fmt.Fprintf(out, budget, part(p.Alpha)); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	if then := oneHost(p.OneHost); then != "" {
		if _, err := fmt.Fprintf(out, "Of each share a tenth is for telling hosts apart: if one alone is bad, the rollout %s.\n", then); err != nil {
			return fmt.Errorf("write plan: %w", err)
		}
	}
	t := newTable(out, "GATE", "ACTS", "ALLOWED", "ALPHA SHARE", "NEEDS")
	for _, g := range p.Gates {
		acts, alpha := "yes", ""
		if g.Observe {
			acts = "observed"
		} else if g.Optional {
			acts = "if it has data"
		}
		if g.Alpha > 0 {
			alpha = part(g.Alpha)
		}
		t.row(g.Name, acts, g.Allowed, alpha, g.Needs)
	}
	return t.end()
}

// oneHost says what a rollout does once a host is found whose canary alone is bad; "" for an answer
// that a newer release gives.
func oneHost(o rollout.OneHost) string {
	switch o {
	case rollout.ExcludeHost:
		return "goes on without it"
	case rollout.PauseForHost:
		return "waits for a person"
	case rollout.FailForHost:
		return "goes back everywhere"
	}
	return ""
}

// part renders parts per million as a percentage.
func part(ppm int) string {
	return strings.TrimRight(strings.TrimRight(strconv.FormatFloat(float64(ppm)/1e4, 'f', 4, 64), "0"), ".") + "%"
}

// canaryRequests renders a forecast; 0 is one that there is not.
func canaryRequests(n int64) string {
	if n == 0 {
		return "more requests than can be told"
	}
	return fmt.Sprintf("about %d canary requests", twoDigits(n))
}

// twoDigits rounds a forecast: it is no better than that.
func twoDigits(n int64) int64 {
	unit := int64(1)
	for n/unit >= 100 {
		unit *= 10
	}
	return (n + unit/2) / unit * unit
}

// mostListed is how many hosts are named; the rest are counted.
const mostListed = 8

// listed names up to eight hosts and counts the rest.
func listed(hosts []string) string {
	if len(hosts) <= mostListed {
		return strings.Join(hosts, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(hosts[:mostListed], ", "), len(hosts)-mostListed)
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
