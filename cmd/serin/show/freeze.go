package show

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// FreezeSentence says what is frozen, by whom, until when and why:
//
//	the fleet is frozen by ann until 18:00:00 (in 3h): release week
func (o Options) FreezeSentence(f api.Freeze) string {
	text := Frozen(f.Service) + " is frozen by " + f.By + o.Until(f.Until)
	if f.Reason != "" {
		text += ": " + FirstLine(f.Reason)
	}
	return text
}

// Until says when a freeze ends, with a blank before it; nothing for one that has no
// end.
func (o Options) Until(unixMilli int64) string {
	if unixMilli == 0 {
		return ""
	}
	return fmt.Sprintf(" until %s (in %s)", o.at(unixMilli), Span(max(0, time.UnixMilli(unixMilli).Sub(o.Now).Round(time.Second))))
}

// Frozen is what a freeze is of: a service, or the fleet.
func Frozen(service string) string {
	if service == rollout.Fleet {
		return "the fleet"
	}
	return service
}

// Thaw is the command that ends the freeze of a service, or of the fleet.
func Thaw(service string) string {
	if service == rollout.Fleet {
		return "serin thaw"
	}
	return "serin thaw " + service
}

// Private

// frozen writes a line for each freeze in force.
func (o Options) frozen(out io.Writer, services []api.ServiceStatus) error {
	var told []string
	for _, s := range services {
		for _, f := range s.Frozen {
			if slices.Contains(told, f.Service) {
				continue
			}
			told = append(told, f.Service)
			text := "! " + o.FreezeSentence(f) + "; `" + Thaw(f.Service) + "` ends it"
			if _, err := fmt.Fprintln(out, o.Palette.paint(yellow, text)); err != nil {
				return fmt.Errorf("write freezes: %w", err)
			}
		}
	}
	if len(told) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(out); err != nil {
		return fmt.Errorf("write freezes: %w", err)
	}
	return nil
}
