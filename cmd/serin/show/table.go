package show

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Options say how to render.
type Options struct {
	Palette Palette
	Wide    bool      // show more columns
	Now     time.Time // for ages; times of day are shown in its zone
}

// Span renders a duration with one or two units: 1.9s, 94s, 12m, 3h20m, 5d.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d.Abs() < 50*time.Millisecond:
		return "0s"
	case d < 0:
		return "-" + Span(-d)
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < 2*time.Minute && d != time.Minute:
		return fmt.Sprintf("%ds", int(d.Round(time.Second).Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Round(time.Minute).Minutes()))
	case d < 2*day:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd", int(d/day))
	}
}

// Private

const under = "         " // a time of day

// table aligns columns; nothing stands in its cells but text for people.
type table struct{ w *tabwriter.Writer }

func newTable(out io.Writer, header ...string) table {
	const gap = 3
	t := table{tabwriter.NewWriter(out, 0, 0, gap, ' ', 0)}
	t.line(header)
	return t
}

func (t table) row(cells ...string) {
	for i, c := range cells {
		if c == "" {
			cells[i] = "-"
		}
	}
	t.line(cells)
}

func (t table) line(cells []string) {
	_, _ = fmt.Fprintln(t.w, strings.Join(cells, "\t")) // an error stays until end
}

func (t table) end() error {
	if err := t.w.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// at renders Unix milliseconds as a time of day, with the date if it is not
// today's.
func (o Options) at(unixMilli int64) string {
	if unixMilli == 0 {
		return ""
	}
	t := time.UnixMilli(unixMilli).In(o.Now.Location())
	if t.Format(time.DateOnly) == o.Now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// Milli makes a span of what the API tells in milliseconds.
func Milli(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// rate renders failed among all as percent: 0.41%.
func rate(failed, all int64) string {
	if all <= 0 {
		return "no traffic"
	}
	return fmt.Sprintf("%.2f%%", 100*float64(failed)/float64(all))
}
