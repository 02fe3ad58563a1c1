package live

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// What the overview shows at least of what has other pages, and of the steps.
const (
	leastHosts  = 2
	leastEvents = 3
	mostSteps   = 6
)

// title is the rollout, its phase, and how old it is.
func (w Watch) title() []string {
	d := w.detail
	if d.ID == "" {
		return []string{cmp.Or(w.note, "asks ..."), ""}
	}
	phase := w.o.Palette.Phase(d.Phase, show.PhaseWords(d.Phase))
	head := fmt.Sprintf("%s  %s  %s -> %s", d.ID, phase, cmp.Or(d.From, "nothing"), d.To)
	switch {
	case d.Ended > 0:
		head += ", took " + show.Span(show.Milli(d.Ended-d.Started))
	default:
		head += ", " + show.Span(w.o.Now.Sub(time.UnixMilli(d.Started)))
		if left := w.left(d.DeadlineLeft); left > 0 && !w.over {
			head += ", " + show.Span(left) + " to its deadline"
		}
	}
	second := ""
	if w.note != "" {
		second = w.o.Palette.Bad(fmt.Sprintf("! heard last at %s: %s", w.at.Format(time.TimeOnly), w.note))
	}
	return []string{head, second}
}

// left is what is left now of a span that was told with the last answer.
func (w Watch) left(ms int64) time.Duration {
	return max(0, show.Milli(ms)-w.o.Now.Sub(w.at))
}

// body is the page that is shown.
func (w Watch) body() []string {
	switch {
	case w.help:
		return w.helpPage()
	case w.detail.ID == "":
		return w.eventLines()
	}
	switch w.pages[w.page] {
	case "gates":
		return w.gatesPage()
	case "hosts":
		return w.hostsPage()
	case "events":
		return w.eventLines()
	}
	return w.overview(w.room())
}

// overview is all of it in so many lines, if that is possible: blank lines go
// first, then events and hosts, then the estimates, which have a page of their own.
func (w Watch) overview(room int) []string {
	steps, traffic, gates := w.steps(), w.traffic(), w.gates(w.estimates)
	hosts, events := w.hostLines(), w.eventLines()
	fixed := len(steps) + len(traffic) + len(gates)
	gap := 0
	if fixed+len(hosts)+len(events)+4 <= room {
		gap = 1
	}
	if fixed+min(len(hosts), 1+leastHosts)+min(len(events), leastEvents) > room {
		gates = w.gates(nil)
		fixed = len(steps) + len(traffic) + len(gates)
	}
	left := room - fixed - 4*gap
	forEvents := min(len(events), max(leastEvents, left-len(hosts), left/3))
	forHosts := min(len(hosts), max(1+leastHosts, left-forEvents))
	return joined(gap, steps, traffic, gates, hosts[:forHosts], events[len(events)-forEvents:])
}

// joined puts parts under each other, with so many blank lines between them; what
// is empty has none.
func joined(gap int, parts ...[]string) []string {
	var lines []string
	for _, part := range parts {
		if len(lines) > 0 && len(part) > 0 {
			lines = append(lines, make([]string, gap)...)
		}
		lines = append(lines, part...)
	}
	return lines
}

// steps are the strip: what is done, what is now, and what is to come.
func (w Watch) steps() []string {
	path := w.detail.Path
	now := slices.IndexFunc(path, func(s api.StepStatus) bool { return s.State == "now" })
	from, to := 0, len(path)
	if len(path) > mostSteps {
		from = max(0, min(now-1, len(path)-mostSteps+1))
		to = min(len(path), from+mostSteps-1)
	}
	var lines []string
	if from > 0 {
		lines = append(lines, w.o.Palette.Good(fmt.Sprintf("x 1 to %d", from)))
	}
	for i := from; i < to; i++ {
		lines = append(lines, w.step(i, path[i]))
	}
	if to < len(path) {
		last := path[len(path)-1]
		lines = append(lines, fmt.Sprintf("  and %d more, to %s on %s", len(path)-to, rollout.Percent(last.Weight), plural(last.Hosts, "host")))
	}
	return lines
}

func (w Watch) step(i int, s api.StepStatus) string {
	line := fmt.Sprintf("%d  %s on %s", i+1, rollout.Percent(s.Weight), plural(s.Hosts, "host"))
	if s.Hold > 0 {
		line += ", " + show.Span(show.Milli(s.Hold)) + " at least"
	}
	if left := w.left(w.detail.HoldLeft); s.State == "now" && left > 0 && !w.over {
		line += " (" + show.Span(left) + " left)"
	}
	if s.Approve {
		line += ", then waits for a person"
	}
	p := w.o.Palette
	switch s.State {
	case "done":
		return p.Good("x " + line)
	case "now":
		return p.Phase(w.detail.Phase, "> "+line)
	}
	return "  " + line
}

// traffic is what part of it the canary is to have and has, and what is waited
// for.
func (w Watch) traffic() []string {
	d, p := w.detail, w.o.Palette
	cells := max(8, min(30, w.columns()-50))
	share := float64(d.Weight) / rollout.Full * float64(d.Reached) / float64(max(1, d.Fleet))
	lines := []string{fmt.Sprintf("canary   %s %s: %s of all", p.Warn(show.Bar(share, cells)), show.Reach(d.RolloutStatus), percent(share))}
	if v := d.Verdict; v != nil && v.Canary.Requests+v.Stable.Requests > 0 {
		all := v.Canary.Requests + v.Stable.Requests
		got := float64(v.Canary.Requests) / float64(all)
		lines = append(lines, fmt.Sprintf("measured %s %s of %d requests in this step", p.Warn(show.Bar(got, cells)), percent(got), all))
	}
	if l := d.Latency; l != nil && l.Canary.P99 > 0 {
		lines = append(lines, "p99      "+show.Slowest(l))
	}
	if waits := w.waits(); waits != "" {
		lines = append(lines, "now      "+waits)
	}
	for _, x := range d.Excluded {
		lines = append(lines, "without  "+x.Host+": "+show.FirstLine(x.Why))
	}
	for _, host := range d.Lost {
		lines = append(lines, "without  "+host+": it was silent")
	}
	return lines
}

func (w Watch) waits() string {
	switch {
	case w.over:
		return ""
	case show.WaitsForYou(w.detail.RolloutStatus):
		return w.o.Palette.Warn("for you: serin promote " + w.detail.ID)
	}
	return show.Waiting(w.detail.RolloutStatus)
}

// gates is the table of the gates; none behind the end, where nobody asks them.
func (w Watch) gates(below func(api.Gate) []string) []string {
	v := w.detail.Verdict
	if v == nil || w.over {
		return nil
	}
	if len(v.Gates) == 0 {
		if v.Reason == "" {
			return nil
		}
		return []string{v.Reason}
	}
	return w.o.Gates(*v, w.columns(), below)
}

// estimates is the line below a gate: how much worse the canary is, where it is
// too bad, and how far the evidence has come to either bound.
func (w Watch) estimates(g api.Gate) []string {
	if g.Evidence == nil {
		return nil
	}
	line := " "
	if text := show.Estimate(g); text != "" {
		line += " " + text + " "
	}
	if text := show.Limit(g); text != "" {
		line += " limit " + text + " "
	}
	for _, cells := range []int{8, 5} {
		if full := line + " " + w.o.Bounds(g, cells); ansi.StringWidth(full) <= w.columns() {
			return []string{full}
		}
	}
	return []string{line + " " + w.o.Bounds(g, 0)}
}

func percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }

func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
