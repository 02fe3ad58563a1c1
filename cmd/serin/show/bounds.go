package show

import (
	"fmt"
	"strings"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Estimate is how much worse than stable the canary is by a gate: odds 1.1 (0.60
// to 2.1), with a 95 % interval. It is empty where nothing is estimated.
func Estimate(g api.Gate) string {
	if g.Odds == nil {
		return ""
	}
	return g.Odds.String()
}

// Limit is where the canary is too bad for a gate: a share of bad events, or a
// time. It is empty where that is not known.
func Limit(g api.Gate) string {
	switch {
	case g.Kind == api.KindLatency && g.Threshold > 0:
		return g.Threshold.String()
	case g.Kind == api.KindErrors || g.Kind == api.KindRate:
		if g.Allowed == nil || g.Stable == nil || g.Stable.Requests == 0 {
			return ""
		}
		share := float64(g.Stable.Errors)/float64(g.Stable.Requests) + float64(*g.Allowed)/rollout.Full
		return fmt.Sprintf("%.2f%%", 100*share)
	}
	return ""
}

// Bounds is how far a gate's evidence has come to each of the two bounds that
// decide: that the canary is within what is allowed, and beyond it; as bars of so
// many cells, 0 for none. It is empty where nothing is estimated.
func (o Options) Bounds(g api.Gate, cells int) string {
	e := g.Evidence
	if e == nil {
		return ""
	}
	within := "within " + gauge(come(e.Safe, e.SafeLimit), cells)
	beyond := "beyond " + gauge(come(e.Fail, e.FailLimit), cells)
	return o.Palette.Good(within) + "  " + o.Palette.Bad(beyond)
}

// Bar is a bar of so many cells, of which a share between 0 and 1 is filled: one
// cell at least if anything is, and not all unless all is.
func Bar(share float64, cells int) string {
	filled := int(share*float64(cells) + 0.5)
	switch {
	case share <= 0:
		filled = 0
	case share >= 1:
		filled = cells
	default:
		filled = max(min(filled, cells-1), min(1, cells))
	}
	return "[" + strings.Repeat("#", filled) + strings.Repeat("-", cells-filled) + "]"
}

// Private

func gauge(share float64, cells int) string {
	text := fmt.Sprintf("%.0f%%", 100*share)
	if cells > 0 {
		text = Bar(share, cells) + " " + text
	}
	return text
}

// come is how far a value has come to a limit, from 0 to 1.
func come(value, limit int64) float64 {
	if limit <= 0 {
		return 0
	}
	return min(1, max(0, float64(value)/float64(limit)))
}
