package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

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
