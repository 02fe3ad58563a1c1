package show

import (
	"fmt"
	"io"
	"strings"

	"github.com/serin-rollouts/serin/internal/api"
)

// Checkup writes a line for each thing that was looked at, with the hosts that it
// concerns, and at the end what to do.
func (o Options) Checkup(out io.Writer, up api.Checkup) error {
	width := 0
	for _, k := range up.Checks {
		width = max(width, len(k.About))
	}
	var b, next strings.Builder
	for _, k := range up.Checks {
		fmt.Fprintf(&b, "%s  %-*s  %s\n", o.grade(k.Grade), width, k.About, k.Text)
		for _, h := range k.Hosts {
			fmt.Fprintf(&b, "%*s  %s: %s\n", len("WARN  ")+width, "", h.Host, h.Why)
		}
		if more := k.Count - len(k.Hosts); more > 0 && len(k.Hosts) > 0 {
			fmt.Fprintf(&b, "%*s  and %d more\n", len("WARN  ")+width, "", more)
		}
		if k.Next != "" {
			fmt.Fprintf(&next, "  %-*s  %s\n", width, k.About, k.Next)
		}
	}
	if next.Len() > 0 {
		b.WriteString("\nWhat to do:\n" + next.String())
	} else {
		b.WriteString("\nAll is well.\n")
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("write checkup: %w", err)
	}
	return nil
}

// Private

// grade renders a grade in four columns; one of a later release is a warning.
func (o Options) grade(g string) string {
	switch g {
	case api.GradeOK:
		return o.Palette.Good("OK  ")
	case api.GradeFail:
		return o.Palette.Bad("FAIL")
	}
	return o.Palette.paint(yellow, "WARN")
}
