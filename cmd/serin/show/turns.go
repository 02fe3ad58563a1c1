package show

import "io"

// Turns renders how a verdict developed: time, step, gate, outcome, canary requests, reason.
func (o Options) Turns(out io.Writer, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	t := newTable(out, "AFTER", "STEP", "GATE", "OUTCOME", "REQUESTS", "WHY")
	for _, r := range rows {
		t.row(r...)
	}
	return t.end()
}
