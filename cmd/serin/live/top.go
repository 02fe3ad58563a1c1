package live

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Top is the picture of the whole fleet. Make it with NewTop.
type Top struct {
	frame

	o       show.Options
	history History
	sort    string
	note    string
}

// NewTop returns the picture before anything is known.
func NewTop(o show.Options) Top {
	return Top{o: o, sort: "service", frame: frame{pages: []string{"services", "hosts", "rollouts"}}}
}

// Of is the picture of what was told.
func (m Top) Of(h History) Top {
	m.history = h
	return m
}

// Init implements tea.Model.
func (Top) Init() tea.Cmd { return nil }

// Update implements tea.Model.
func (m Top) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case Told:
		m.history, m.o.Now, m.note = m.history.With(msg), msg.Now, ""
	case Remark:
		m.note, m.o.Now = msg.Text, msg.Now
	case Over:
		return m, tea.Quit
	case tea.KeyPressMsg:
		return m.key(msg)
	}
	m.scroll = m.clamp(m.scroll, len(m.body()))
	return m, nil
}

// View implements tea.Model.
func (m Top) View() tea.View {
	v := tea.NewView(m.Picture())
	v.AltScreen = true
	return v
}

// Picture is what stands on the screen.
func (m Top) Picture() string {
	body := m.body()
	keys := "q leave  ? help  tab " + m.tabs(len(body))
	return m.draw(m.title(), body, []string{"", "sort by: s service  r requests  e errors  l latency   now " + m.sort, keys})
}

// Text is the whole for a pipe: every table, however long.
func (m Top) Text() string {
	parts := [][]string{m.trackLines(), m.hostLines()}
	if runs := m.history.Fleet().Runs; len(runs) > 0 {
		parts = append(parts, m.runLines())
	}
	return strings.Join(joined(1, parts...), "\n")
}

// Private

func (m Top) key(k tea.KeyPressMsg) (tea.Model, tea.Cmd) {
	sorts := map[string]string{"s": "service", "r": "requests", "e": "errors", "l": "latency"}
	switch key := k.String(); key {
	case "q", "ctrl+c":
		return m, tea.Quit
	case "ctrl+z":
		return m, tea.Suspend
	case "s", "r", "e", "l":
		m.sort = sorts[key]
	default:
		if moved, ok := m.moved(key, len(m.body())); ok {
			m.frame = moved
		}
	}
	return m, nil
}

func (m Top) title() []string {
	if len(m.history) == 0 {
		return []string{cmp.Or(m.note, "asks ..."), ""}
	}
	last := m.history[len(m.history)-1]
	f := m.history.Fleet()
	silent := 0
	for _, h := range f.Hosts {
		if !h.Live {
			silent++
		}
	}
	text := fmt.Sprintf("%s  %s, %s, %s", last.Now.Format(time.TimeOnly),
		plural(len(last.Services), "service"), plural(len(f.Hosts), "host"), plural(len(f.Runs), "rollout")+" running")
	if silent > 0 {
		text += ", " + m.o.Palette.Bad(plural(silent, "host")+" silent")
	}
	if m.note == "" {
		return []string{text, ""}
	}
	return []string{text, m.o.Palette.Bad("! heard last at " + last.Now.Format(time.TimeOnly) + ": " + m.note)}
}

func (m Top) body() []string {
	switch {
	case m.help:
		return []string{
			"q, ctrl+c      leave", "tab, 1 to 3    services, hosts, rollouts", "up, down       scroll", "s r e l        sort the services", "",
			"REQ/S and ERRORS are of the last ten seconds, - where hosts have not told twice;",
			"P99 is known while a rollout measures it.", "Behind a service stands + for a canary, ~ for work, ! for a problem, = for held back.",
		}
	case len(m.history) == 0:
		return nil
	}
	switch m.pages[m.page] {
	case "hosts":
		return m.hostLines()
	case "rollouts":
		return m.runLines()
	}
	return m.trackLines()
}

func (m Top) trackLines() []string {
	tracks := m.history.Fleet().Tracks
	by := map[string]func(Track) float64{
		"requests": func(t Track) float64 { return known(t.PerSecond) },
		"errors":   func(t Track) float64 { return known(t.Errors) },
		"latency":  func(t Track) float64 { return float64(t.P99) },
	}[m.sort]
	if by != nil {
		slices.SortStableFunc(tracks, func(a, b Track) int { return cmp.Compare(by(b), by(a)) })
	}
	rows := [][]string{{"SERVICE", "TRACK", "VERSION", "WEIGHT", "HOSTS", "READY", "REQ/S", "ERRORS", "P99"}}
	for _, t := range tracks {
		perSecond, errors := "-", "-"
		if t.PerSecond != nil {
			perSecond = fmt.Sprintf("%.1f", *t.PerSecond)
		}
		if t.Errors != nil {
			errors = fmt.Sprintf("%.2f%%", 100**t.Errors)
		}
		rows = append(rows, []string{
			t.Service, t.Track, cmp.Or(t.Version, t.Revision), rollout.Percent(t.Weight), strconv.Itoa(t.Hosts), strconv.Itoa(t.Ready), perSecond, errors, t.P99.String(),
		})
	}
	return aligned(rows)
}

// hostLines are the hosts, the silent ones first.
func (m Top) hostLines() []string {
	hosts := slices.Clone(m.history.Fleet().Hosts)
	slices.SortStableFunc(hosts, func(a, b api.HostStatus) int { return trouble(a) - trouble(b) })
	var out bytes.Buffer
	if err := m.o.Hosts(&out, hosts); err != nil {
		return []string{err.Error()}
	}
	return strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
}

func (m Top) runLines() []string {
	lines := []string{}
	for _, r := range m.history.Fleet().Runs {
		lines = append(lines, m.o.Status(r))
	}
	if len(lines) == 0 {
		return []string{"no rollout runs"}
	}
	return lines
}

// trouble ranks hosts: silent, with a problem, well.
func trouble(h api.HostStatus) int {
	switch {
	case !h.Live:
		return 0
	case slices.ContainsFunc(h.Services, func(s api.HostService) bool { return s.Problem != "" }):
		return 1
	}
	return 2
}

func known(v *float64) float64 {
	if v == nil {
		return -1
	}
	return *v
}

// aligned puts cells into columns.
func aligned(rows [][]string) []string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for c, cell := range row {
			widths[c] = max(widths[c], len([]rune(cell))+2)
		}
	}
	lines := make([]string, len(rows))
	for i, row := range rows {
		for c, cell := range row {
			lines[i] += fmt.Sprintf("%-*s", widths[c], cell)
		}
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}
