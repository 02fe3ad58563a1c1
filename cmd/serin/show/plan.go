package show

import (
	"fmt"
	"io"
	"maps"
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
	fmt.Fprintf(b, "hosts: %s\n\n", listed(p.Hosts))
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	if err := o.path(out, p.Path); err != nil {
		return err
	}
	b.Reset()
	fmt.Fprintf(b, "\nat least %s", span(milli(p.Holds)))
	if p.MinRequests > 0 {
		fmt.Fprintf(b, "; the errors gate wants %d canary requests at each step", p.MinRequests)
	}
	b.WriteString("\n")
	if p.Running != "" {
		fmt.Fprintf(b, "%s runs: start would be refused without --replace\n", p.Running)
	}
	if p.Unchanged {
		fmt.Fprintf(b, "%s is stable already: start would do nothing without --force\n", p.To.Version)
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	return nil
}

// Explain writes why a rollout stands where it does, and every decision with
// its numbers.
func (o Options) Explain(out io.Writer, d api.RolloutDetail) error {
	b := &strings.Builder{}
	text := d.Explanation
	if text == "" {
		text = o.Status(d.RolloutStatus)
	}
	fmt.Fprintln(b, text)
	if len(d.Decisions) > 0 {
		b.WriteString("\n")
	}
	for _, e := range d.Decisions {
		fmt.Fprintln(b, o.Event(e))
		for _, line := range evidence(e) {
			fmt.Fprintln(b, "         "+line)
		}
	}
	if waitsForYou(d.RolloutStatus) {
		fmt.Fprintf(b, "\nnext: serin promote %s, or serin abort %s\n", d.ID, d.ID)
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("write explanation: %w", err)
	}
	return nil
}

// Private

// evidence are the numbers behind a decision, and the hosts that gave it.
func evidence(e rollout.Event) []string {
	var lines []string
	if v := e.Verdict; v != nil {
		lines = append(lines, fmt.Sprintf("canary %s (%d of %d failed), stable %s (%d of %d failed)",
			rate(v.Canary.Errors, v.Canary.Requests), v.Canary.Errors, v.Canary.Requests,
			rate(v.Stable.Errors, v.Stable.Requests), v.Stable.Errors, v.Stable.Requests))
		if v.Reason != "" {
			lines = append(lines, v.Reason)
		}
	}
	if len(e.Blame) > 0 {
		lines = append(lines, "because of "+listed(e.Blame))
	}
	if len(e.Lost) > 0 {
		lines = append(lines, "not followed yet: "+listed(e.Lost))
	}
	return lines
}

// path writes the steps of a rollout.
func (o Options) path(out io.Writer, steps []api.StepStatus) error {
	t := newTable(out, "STEP", "HOSTS", "WEIGHT", "OF ALL", "HOLD", "THEN")
	for i, s := range steps {
		next := "on"
		if i == len(steps)-1 {
			next = "promoted"
		}
		note := next + " as soon as the evidence allows"
		if s.Approve {
			note = next + " when a person promotes it"
		}
		hold := ""
		if s.Hold > 0 {
			hold = span(milli(s.Hold))
		}
		t.row(strconv.Itoa(i+1), strconv.Itoa(s.Hosts), rollout.Percent(s.Weight), rollout.Percent(s.Share), hold, note)
	}
	return t.end()
}

// listed names up to eight hosts and counts the rest.
func listed(hosts []string) string {
	const most = 8
	if len(hosts) <= most {
		return strings.Join(hosts, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(hosts[:most], ", "), len(hosts)-most)
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
