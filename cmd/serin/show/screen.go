package show

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Bounds of the screen.
const (
	screenEvents = 6
	screenHosts  = 10
	barWidth     = 30
)

// Screen shows a rollout as a small picture that is drawn again whenever
// something has changed. It is for terminals only.
type Screen struct {
	out    io.Writer
	o      Options
	detail api.RolloutDetail
	note   string
	events []string
	drawn  int // lines of the picture that stands there
	final  bool
}

// NewScreen returns a view that draws on out.
func NewScreen(out io.Writer, o Options) *Screen { return &Screen{out: out, o: o} }

// Event adds an event to the last few; raw is not looked at.
func (s *Screen) Event(e rollout.Event, _ []byte) {
	s.events = append(s.events, s.o.Event(e))
	s.events = s.events[max(0, len(s.events)-screenEvents):]
	s.final = e.Phase.Final()
	s.draw()
}

// Status draws where the rollout stands.
func (s *Screen) Status(d api.RolloutDetail, now time.Time) {
	s.detail, s.note, s.o.Now = d, "", now
	s.draw()
}

// Final adds the end of a rollout that no event told of.
func (s *Screen) Final(status api.RolloutStatus) {
	s.final = true
	s.events = append(s.events, s.o.clock(status.Ended)+" "+s.o.Status(status))
	s.draw()
}

// Note draws a remark in the place of what the rollout waits for.
func (s *Screen) Note(text string, now time.Time) {
	s.note, s.o.Now = text, now
	s.draw()
}

// Close leaves the last picture where it is.
func (*Screen) Close() {}

// Private

func (s *Screen) draw() {
	b := &strings.Builder{}
	if s.drawn > 0 {
		fmt.Fprintf(b, "\x1b[%dA", s.drawn)
	}
	b.WriteString("\r\x1b[J" + noWrap)
	picture := s.picture()
	b.WriteString(picture + wrap)
	s.drawn = strings.Count(picture, "\n")
	_, _ = io.WriteString(s.out, b.String())
}

func (s *Screen) picture() string {
	b := &strings.Builder{}
	if s.detail.ID != "" {
		s.head(b)
		s.steps(b)
		s.traffic(b)
		s.hosts(b)
	}
	for _, e := range s.events {
		fmt.Fprintln(b, e)
	}
	return b.String()
}

func (s *Screen) head(b *strings.Builder) {
	d, p := s.detail, s.o.Palette
	from := d.From
	if from == "" {
		from = "nothing"
	}
	fmt.Fprintf(b, "%s  %s -> %s  %s  since %s (%s)\n\n", d.ID, from, d.To,
		p.phase(d.Phase, phaseWords(d.Phase)), s.o.at(d.Started), span(s.o.Now.Sub(time.UnixMilli(d.Started))))
}

func (s *Screen) steps(b *strings.Builder) {
	for i, step := range s.detail.Path {
		mark, colour := " ", plain
		switch step.State {
		case "done":
			mark, colour = "x", green
		case "now":
			mark, colour = ">", colourOf(s.detail.Phase)
		}
		line := fmt.Sprintf("%s %d  %s on %d hosts", mark, i+1, rollout.Percent(step.Weight), step.Hosts)
		if step.Hold > 0 {
			line += ", " + span(milli(step.Hold)) + " at least"
		}
		if step.Approve {
			line += ", then waits for a person"
		}
		fmt.Fprintln(b, "  "+s.o.Palette.paint(colour, line))
	}
	b.WriteString("\n")
}

func (s *Screen) traffic(b *strings.Builder) {
	d, p := s.detail, s.o.Palette
	weight := d.Weight
	if d.Phase == rollout.Promoting || d.Phase == rollout.Succeeded {
		weight = rollout.Full
	}
	filled := (barWidth*weight + rollout.Full - 1) / rollout.Full
	bar := p.paint(yellow, strings.Repeat("#", filled)) + strings.Repeat("-", barWidth-filled)
	fmt.Fprintf(b, "  canary  [%s] %s\n", bar, reach(d.RolloutStatus))
	if v := d.Verdict; v != nil && v.Canary.Requests > 0 && len(v.Gates) == 0 {
		fmt.Fprintf(b, "  5xx     %s (%d of %d) against %s (%d of %d)\n",
			rate(v.Canary.Errors, v.Canary.Requests), v.Canary.Errors, v.Canary.Requests,
			rate(v.Stable.Errors, v.Stable.Requests), v.Stable.Errors, v.Stable.Requests)
	}
	if l := d.Latency; l != nil && l.Canary.P99 > 0 {
		fmt.Fprintf(b, "  p99     %s against %s\n", l.Canary.P99, l.Stable.P99)
	}
	waits := waiting(d.RolloutStatus)
	switch {
	case s.final:
		waits = ""
	case s.note != "":
		waits = s.note
	case waitsForYou(d.RolloutStatus):
		waits = p.paint(yellow, "for you: serin promote "+d.ID)
	}
	if waits != "" {
		fmt.Fprintf(b, "  waits   %s\n", waits)
	}
	for _, x := range d.Excluded {
		fmt.Fprintf(b, "  without %s: %s\n", x.Host, firstLine(x.Why))
	}
	if !s.final {
		s.o.gates(b, d.Verdict, "  ")
	}
	b.WriteString("\n")
}

// hosts shows those that are reached, the troubled ones first.
func (s *Screen) hosts(b *strings.Builder) {
	shown, hidden := 0, 0
	for _, troubled := range []bool{true, false} {
		for _, h := range s.detail.Hosts {
			if !h.Reached || (h.Problem != "") != troubled {
				continue
			}
			if shown == screenHosts {
				hidden++
				continue
			}
			shown++
			fmt.Fprintln(b, s.host(h))
		}
	}
	if hidden > 0 {
		fmt.Fprintf(b, "  and %d more hosts\n", hidden)
	}
	if shown > 0 {
		b.WriteString("\n")
	}
}

func (s *Screen) host(h api.RolloutHost) string {
	p := s.o.Palette
	state := "ready"
	switch {
	case h.Problem != "":
		state = p.paint(red, firstLine(h.Problem))
	case !h.Heard:
		state = p.paint(yellow, "not heard of yet")
	case !h.Settled:
		state = h.Doing
	}
	return fmt.Sprintf("  %-20s %6s  %s", h.Host, rollout.Percent(h.Weight), state)
}
