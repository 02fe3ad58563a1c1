package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// promptly is how long after the first commit the rollout's next action may come.
const promptly = 250 * time.Millisecond

// measured is what came of the kills, in their order.
type measured struct{ floor, commit, action, whole []time.Duration }

func (m *measured) add(floor time.Duration, f failover) {
	m.floor = append(m.floor, floor)
	m.commit, m.action, m.whole = append(m.commit, f.commit), append(m.action, f.action), append(m.whole, f.whole)
}

func (m *measured) table(out io.Writer) error {
	return table(out, len(m.floor),
		row{"bare hashicorp/raft: first new commit", m.floor},
		row{"serin: first new commit", m.commit},
		row{"serin: from there to the rollout's next action", m.action},
		row{"serin: from the kill to that action", m.whole})
}

// verdict is an error if an action came late.
func (m *measured) verdict() error {
	late := 0
	for _, took := range m.action {
		if took > promptly {
			late++
		}
	}
	if late == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d times the rollout's next action came later than %s after the first commit", late, len(m.action), promptly)
}

// row is one measurement, made many times.
type row struct {
	name string
	all  []time.Duration
}

// table writes the rows in Markdown, with percentiles by nearest rank.
func table(out io.Writer, n int, rows ...row) error {
	var b strings.Builder
	fmt.Fprintf(&b, "| after kill -9 of the leader, %d times | p50 | p90 | p99 | max |\n|---|---:|---:|---:|---:|\n", n)
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.name, r.at(50), r.at(90), r.at(99), r.at(100))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (r row) at(percent int) string {
	if len(r.all) == 0 {
		return "-"
	}
	sorted := slices.Sorted(slices.Values(r.all))
	k := max(0, (len(sorted)*percent+99)/100-1)
	return fmt.Sprintf("%d ms", sorted[k].Milliseconds())
}
