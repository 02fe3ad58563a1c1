package live

import (
	"cmp"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// The size of a terminal that has not told its own.
const (
	usualWidth  = 80
	usualHeight = 24
)

// endless is the height of a picture that nothing is left out of.
const endless = 1 << 20

// frame is what every picture has: a size, pages of which one is shown, and how
// far that is scrolled.
type frame struct {
	width, height int
	pages         []string
	page, scroll  int
	help          bool
}

// moved is the frame after a key that turns or scrolls pages; false for other
// keys. lines is how long the page is that is shown.
func (f frame) moved(key string, lines int) (frame, bool) {
	step := max(1, f.room()-1)
	switch key {
	case "?":
		f.help, f.scroll = !f.help, 0
	case "esc":
		f.help, f.scroll = false, 0
	case "tab", "right", "l":
		f.page, f.scroll, f.help = (f.page+1)%len(f.pages), 0, false
	case "shift+tab", "left", "h":
		f.page, f.scroll, f.help = (f.page+len(f.pages)-1)%len(f.pages), 0, false
	case "down", "j":
		f.scroll = f.clamp(f.scroll+1, lines)
	case "up", "k":
		f.scroll = f.clamp(f.scroll-1, lines)
	case "pgdown", "space":
		f.scroll = f.clamp(f.scroll+step, lines)
	case "pgup":
		f.scroll = f.clamp(f.scroll-step, lines)
	case "home", "g":
		f.scroll = 0
	case "end", "G":
		f.scroll = f.clamp(lines, lines)
	default:
		k := slices.Index([]string{"1", "2", "3", "4", "5"}, key)
		if k < 0 || k >= len(f.pages) {
			return f, false
		}
		f.page, f.scroll, f.help = k, 0, false
	}
	return f, true
}

// low is the height below which a screen has no lines to spare.
const low = 12

// The lines that stand above and below a page, and how many of them a low screen
// has: a title and a remark; what is asked or was said, the verbs, and the keys.
const (
	titleLines, lowTitle = 2, 1
	footLines, lowFoot   = 3, 2
)

func (f frame) isLow() bool { return f.size() < low }

// room is how many lines a page has on the screen.
func (f frame) room() int {
	if f.isLow() {
		return max(1, f.size()-lowTitle-lowFoot)
	}
	return f.size() - titleLines - footLines
}

func (f frame) size() int {
	if f.height > 0 {
		return f.height
	}
	return usualHeight
}

func (f frame) columns() int {
	if f.width > 0 {
		return f.width
	}
	return usualWidth
}

// clamp bounds how far a page of so many lines can be scrolled.
func (f frame) clamp(scroll, lines int) int { return max(0, min(scroll, lines-f.room())) }

// draw puts a title, the part of a page that is to be seen, and a foot under each
// other. On a low screen a remark takes the title's place, and what was said that
// of the verbs.
func (f frame) draw(title, body, foot []string) string {
	if f.isLow() {
		title = []string{cmp.Or(title[1], title[0])}
		foot = []string{cmp.Or(foot[0], foot[1]), foot[2]}
	}
	scroll := f.clamp(f.scroll, len(body))
	body = body[scroll:min(len(body), scroll+f.room())]
	lines := append(slices.Clone(title), body...)
	for len(lines)+len(foot) < f.size() {
		lines = append(lines, "")
	}
	lines = append(lines, foot...)
	return f.joined(lines[:min(len(lines), f.size())])
}

// joined cuts lines at the edge and puts them under each other.
func (f frame) joined(lines []string) string {
	cut := make([]string, len(lines))
	for i, line := range lines {
		cut[i] = strings.TrimRight(ansi.Truncate(line, f.columns(), ""), " ")
	}
	return strings.Join(cut, "\n")
}

// tabs names the pages, the one that is shown in brackets, and how much of it is
// above and below.
func (f frame) tabs(lines int) string {
	names := make([]string, len(f.pages))
	for i, name := range f.pages {
		names[i] = " " + name + " "
		if i == f.page && !f.help {
			names[i] = "[" + name + "]"
		}
	}
	text := strings.Join(names, " ")
	if above := f.clamp(f.scroll, lines); above > 0 {
		text += "  up: " + plural(above, "line")
	}
	if below := lines - f.room() - f.clamp(f.scroll, lines); below > 0 {
		text += "  down: " + plural(below, "line")
	}
	return text
}
