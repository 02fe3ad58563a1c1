// Package show renders what the coordinator answers for people: tables, lines,
// and a small live screen. It knows no bus and no clock of its own.
package show

import "github.com/serin-rollouts/serin/internal/rollout"

// Palette colours text, or leaves it alone. The zero value leaves it alone.
type Palette struct{ On bool }

// Escape sequences of terminals. All colours are equally long, so that a
// column in which every cell has one stays aligned.
const (
	plain  = "\x1b[39m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
	reset  = "\x1b[0m"
)

// Good colours what is as it should be.
func (p Palette) Good(text string) string { return p.paint(green, text) }

// Bad colours what is wrong.
func (p Palette) Bad(text string) string { return p.paint(red, text) }

// Warn colours what a person should look at.
func (p Palette) Warn(text string) string { return p.paint(yellow, text) }

// Phase colours text by what the phase means to people.
func (p Palette) Phase(phase rollout.Phase, text string) string {
	return p.paint(colourOf(phase), text)
}

// Private

func (p Palette) paint(colour, text string) string {
	if !p.On || text == "" {
		return text
	}
	return colour + text + reset
}

func colourOf(phase rollout.Phase) string {
	switch phase {
	case rollout.Succeeded:
		return green
	case rollout.RolledBack, rollout.Aborted, rollout.RollingBack:
		return red
	case rollout.Paused:
		return yellow
	case rollout.Preparing, rollout.Progressing, rollout.Promoting:
		return cyan
	}
	return plain
}
