package live

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// gatesPage is each gate with all that explain tells of it.
func (w Watch) gatesPage() []string {
	lines := w.gates(func(g api.Gate) []string {
		more := w.estimates(g)
		for _, line := range show.Wrapped(g.Numbers(), w.columns()-2) {
			more = append(more, "  "+line)
		}
		return more
	})
	if len(lines) == 0 {
		return []string{"no gate is asked just now"}
	}
	return lines
}

// hostsPage is every host, the wrong and the missing ones first.
func (w Watch) hostsPage() []string {
	lines := w.hostLines()
	for _, h := range w.detail.Hosts {
		if !h.Reached {
			lines = append(lines, w.host(h))
		}
	}
	if len(lines) == 0 {
		return []string{"no host is told of: the rollout does not run"}
	}
	return lines
}

// hostLines is a line that counts, and one for each host that the rollout has
// reached, the wrong and the missing ones first.
func (w Watch) hostLines() []string {
	var reached []api.RolloutHost
	counts := map[string]int{}
	for _, h := range w.detail.Hosts {
		if h.Reached || h.Problem != "" {
			h.Reached = true
			reached = append(reached, h)
			counts[markOf(h)]++
		}
	}
	if len(reached) == 0 {
		return nil
	}
	slices.SortStableFunc(reached, func(a, b api.RolloutHost) int { return rank(a) - rank(b) })
	var parts []string
	for _, m := range hostMarks {
		if n := counts[m.mark]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, m.words))
		}
	}
	lines := []string{fmt.Sprintf("hosts    %d of %d: %s", len(reached), len(w.detail.Hosts), strings.Join(parts, ", "))}
	for _, h := range reached {
		lines = append(lines, w.host(h))
	}
	return lines
}

// hostMarks are the states of hosts, the wrong ones first, each with a sign: no
// state shows by its colour alone.
//
//nolint:gochecknoglobals // a table
var hostMarks = []struct{ mark, words string }{
	{"!", "with a problem"}, {"?", "not heard of yet"}, {"~", "at work"}, {"+", "ready"}, {" ", "not reached"},
}

func markOf(h api.RolloutHost) string {
	switch {
	case h.Problem != "":
		return "!"
	case !h.Reached:
		return " "
	case !h.Heard:
		return "?"
	case !h.Settled:
		return "~"
	}
	return "+"
}

func rank(h api.RolloutHost) int {
	mark := markOf(h)
	for i, m := range hostMarks {
		if m.mark == mark {
			return i
		}
	}
	return len(hostMarks)
}

func (w Watch) host(h api.RolloutHost) string {
	p, mark := w.o.Palette, markOf(h)
	state := "ready"
	switch mark {
	case "!":
		mark, state = p.Bad(mark), p.Bad(show.FirstLine(h.Problem))
	case "?":
		mark, state = p.Warn(mark), p.Warn("not heard of yet")
	case "~":
		state = cmp.Or(h.Doing, "at work")
	case " ":
		state = "has its step to come"
	}
	return fmt.Sprintf("%s %-20s %5s  %s", mark, h.Host, rollout.Percent(h.Weight), state)
}

// eventLines are the events so far, the oldest first.
func (w Watch) eventLines() []string {
	lines := make([]string, 0, len(w.events)+1)
	for _, e := range w.events {
		lines = append(lines, w.o.Brief(e))
	}
	if w.end != nil {
		lines = append(lines, w.o.End(*w.end))
	}
	return lines
}

// foot is what is asked or was said, the verbs, and the keys.
func (w Watch) foot() []string {
	p := w.o.Palette
	keys := "q leave  ? help  tab " + w.tabs(len(w.body()))
	said := w.said
	if w.bad {
		said = p.Bad("! " + said)
	}
	if w.ask == nil {
		return []string{said, w.verbLine(), keys}
	}
	v := w.ask.verb
	asked := p.Warn(fmt.Sprintf("%s %s: %s?", label(v.Name), w.detail.ID, v.Does))
	typed := "enter: do it, esc: do not   why: " + w.ask.reason + "_"
	return []string{asked, said, typed}
}

// verbLine lists what may be asked; what is not possible now stands in brackets.
func (w Watch) verbLine() string {
	if w.act == nil || w.over {
		return ""
	}
	var names, keys []string
	for _, v := range verbOrder {
		name, key := v.key+" "+v.label, v.key
		if verbOf(w.detail, v.verb).Why != "" {
			name, key = "("+name+")", "("+key+")"
		}
		names, keys = append(names, name), append(keys, key)
	}
	if line := strings.Join(names, "  "); len(line) <= w.columns() {
		return line
	}
	return strings.Join(keys, " ")
}

// helpPage tells the keys, and what each verb would do or why it would not.
func (w Watch) helpPage() []string {
	lines := []string{
		"q, ctrl+c      leave; the rollout goes on",
		"tab, 1 to 4    overview, gates, hosts, events",
		"up, down       scroll; also j and k, pgup and pgdown, home and end",
		"?, esc         this page, and back", "",
		"steps          x done   > now",
		"hosts          ! with a problem   ? not heard of yet   ~ at work   + ready",
		"bounds         at within 100% a gate lets the step pass,",
		"               at beyond 100% it takes the rollout back", "",
	}
	if w.act == nil {
		return append(lines, "nothing is changed from here: start it with --operate for keys that steer")
	}
	for _, v := range verbOrder {
		verb := verbOf(w.detail, v.verb)
		text := verb.Does
		if verb.Why != "" {
			text = "not now: " + verb.Why
		}
		for i, line := range show.Wrapped(text, max(20, w.columns()-16)) {
			head := ""
			if i == 0 {
				head = v.key + " " + v.label
			}
			lines = append(lines, fmt.Sprintf("%-16s%s", head, line))
		}
	}
	return lines
}
