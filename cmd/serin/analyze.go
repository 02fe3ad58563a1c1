package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/record"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/specfile"
)

// analyze judges recorded data.
type analyze struct {
	app      *app
	from     string
	format   string
	file     string
	columns  map[string]string
	canary   string
	increase string
	requests int64
	alpha    string
	latency  []string
}

func newAnalyze(a *app) *cobra.Command {
	z := &analyze{app: a}
	cmd := &cobra.Command{
		Use:   "analyze --from FILE",
		Short: "Judge recorded data, without a coordinator",
		Long: "Judge recorded data (--from - for standard input) with the code that judges rollouts, without a\n" +
			"coordinator: when each gate would have passed or failed, after how many canary requests, and why.\n\n" +
			"FILE is one of\n" +
			"  record  what a coordinator with `record: DIR` wrote, or JSON lines of your own\n" +
			"  csv     a request log with a header: time, host, track (or version), status, and if there are,\n" +
			"          instance, duration_ms (or duration_us, duration_s) and path; --column names others\n" +
			"  events  what `serin events ROLLOUT -o json` prints: each decision is judged again by the sums\n" +
			"          that its event carries, and has to come out the same in every number\n" +
			"The gates are those of the rollout file -f, or of the record, or an errors gate with its defaults\n" +
			"and what the flags say. docs/analyze.md shows each form by an example.\n\n" +
			"It exits with 3 if the verdict is a failure (the rollout would have gone back), with 0 if it is a\n" +
			"pass or still open, and with 1 if a recorded verdict does not come out the same.",
		Example: "  serin analyze --from checkout-7.jsonl\n" +
			"  serin analyze --from requests.csv --canary 1.5.0 --latency p99=20%\n" +
			"  serin analyze --from requests.csv --column time=ts --column track=backend -f rollout.yaml\n" +
			"  serin events checkout-7 -o json | serin analyze --from -",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return z.run() },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&z.from, "from", "", "recorded data: a `file`, or - for standard input")
	f.StringVar(&z.format, "format", "", "its form: record, csv or events; if not given, it is found out")
	f.StringVarP(&z.file, "file", "f", "", "judge by the gates of this `rollout file`")
	f.StringVar(&z.increase, "max-increase", "", "of the errors gate: allowed `points`, for example 0.5%")
	f.Int64Var(&z.requests, "min-requests", 0, "of each gate: canary requests before a pass")
	f.StringVar(&z.alpha, "alpha", "", "chance to fail a version that is no worse, over all gates: for example 1%")
	f.StringArrayVar(&z.latency, "latency", nil, "a latency `gate`: p99, p99=20%, distribution, or p99=20%@/api/ for a route")
	f.StringToStringVar(&z.columns, "column", nil, "csv: the `names` of columns, for example time=ts,track=backend")
	f.StringVar(&z.canary, "canary", "", "csv: the `value` of track or version that means canary (default \"canary\")")
	_ = cmd.MarkFlagFilename("from")                                                                                    // the flag exists
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp)) // as above
	return cmd
}

func formats() []string {
	return []string{string(record.FormatRecord), string(record.FormatCSV), string(record.FormatEvents)}
}

// Private

func (z *analyze) run() error {
	if z.from == "" {
		return usagef("--from is needed: a file of recorded data, or - for standard input")
	}
	in, err := z.open()
	if err != nil {
		return err
	}
	defer in.close()
	format, err := z.formatOf(in)
	if err != nil {
		return err
	}
	gates, given, err := z.gates()
	if err != nil {
		return err
	}
	switch format {
	case record.FormatEvents:
		if given {
			return usagef("events carry the gates that they were judged by; leave out -f and the flags of gates")
		}
		err = z.repeat(in)
	case record.FormatCSV:
		err = z.judgeLog(in, gates)
	case record.FormatRecord:
		err = z.judgeRecord(in, gates, given)
	}
	if wrong, ok := errors.AsType[*record.LineError](err); ok {
		return usagef("%s: %v", z.from, wrong)
	}
	return err
}

func (z *analyze) formatOf(in *input) (record.Format, error) {
	switch f := record.Format(z.format); f {
	case "":
		return record.Detect(in.head()), nil
	case record.FormatRecord, record.FormatCSV, record.FormatEvents:
		return f, nil
	}
	return "", usagef("--format %s: use %s", z.format, strings.Join(formats(), ", "))
}

// gates are those of the rollout file or of the flags; given says whether there are any such.
func (z *analyze) gates() (gates rollout.Gates, given bool, err error) {
	flags := z.increase != "" || z.requests != 0 || z.alpha != "" || len(z.latency) > 0
	if z.file != "" {
		if flags {
			return gates, false, usagef("-f stands beside the flags of gates; write the gates into the file")
		}
		spec, _, err := z.app.readSpec(z.file, "")
		return spec.Gates, true, err
	}
	spec, err := specfile.Parse([]byte(z.asFile()))
	if err != nil {
		wrong := problemOf(err)
		return gates, false, usagef("%s %s", cmp.Or(wrong.Field, "gates:"), wrong.Message)
	}
	return spec.Gates, flags, nil
}

// asFile writes what the flags say as a rollout file: it has the same rules, and the same defaults.
func (z *analyze) asFile() string {
	var b strings.Builder
	b.WriteString("service: recorded\nimage: recorded:1\ncontainer: {port: 80}\ngates:\n")
	if z.alpha != "" {
		fmt.Fprintf(&b, "  alpha: %q\n", z.alpha)
	}
	fmt.Fprintf(&b, "  errors: {min_requests: %d", z.requests)
	if z.increase != "" {
		fmt.Fprintf(&b, ", max_increase: %q", z.increase)
	}
	b.WriteString("}\n")
	if len(z.latency) > 0 {
		b.WriteString("  latency:\n")
	}
	for _, text := range z.latency {
		text, route, routed := strings.Cut(text, "@")
		what, increase, bounded := strings.Cut(text, "=")
		fmt.Fprintf(&b, "    - {min_requests: %d", z.requests)
		if what == "distribution" {
			b.WriteString(", distribution: true")
		} else {
			fmt.Fprintf(&b, ", quantile: %q", what)
		}
		if bounded {
			fmt.Fprintf(&b, ", max_increase: %q", increase)
		}
		if routed {
			fmt.Fprintf(&b, ", route: %q", route)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// judgeRecord judges what a coordinator recorded, by its own gates if no others are given.
func (z *analyze) judgeRecord(in io.Reader, gates rollout.Gates, given bool) error {
	var head record.Head
	var c *record.Course
	spoken := spokenOf{}
	err := drain(record.NewLines(in), func(e record.Entry) {
		if h := e.Head; h != nil && c == nil {
			head, head.Wall = *h, h.Wall-e.At.Milliseconds()
			if h.Gates != nil && !given {
				gates = *h.Gates
			}
			return
		}
		if c == nil {
			c = record.NewCourse(gates.Judging())
			c.Take(record.Entry{Head: &head})
		}
		spoken.add(e)
		if e.Verdict == nil || !given { // other gates, other verdicts
			c.Take(e)
		}
	})
	if err != nil {
		return err
	}
	if c == nil {
		return usagef("%s: holds nothing to judge", z.from)
	}
	if strange := spoken.strangers(gates.Judging()); len(strange) > 0 {
		z.app.say("passed over, since there are no gates of these names: %s", strings.Join(strange, ", "))
	}
	c.End()
	return z.report(head, c, record.FormatRecord)
}

// spokenOf are the names of gates that a record has something for.
type spokenOf map[string]bool

func (s spokenOf) add(e record.Entry) {
	for _, name := range e.Gates() {
		s[name] = true
	}
}

// strangers are those that no gate has, sorted.
func (s spokenOf) strangers(gates analysis.Gates) []string {
	known := gates.Shares()
	for _, g := range gates.Conditions {
		known[g.Name] = 0
	}
	var strange []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if _, is := known[name]; !is {
			strange = append(strange, name)
		}
	}
	return strange
}

// drain takes all entries out of a source.
func drain(from record.Source, take func(record.Entry)) error {
	for {
		e, err := from.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		take(e)
	}
}

// judgeLog judges a request log, by the gates that it tells something to.
func (z *analyze) judgeLog(in *input, gates rollout.Gates) error {
	config := record.CSV{Columns: z.columns, Canary: z.canary, Routes: gates.Routes, Latency: len(gates.Latency) > 0}
	err := z.tryLog(in, gates, config)
	if errors.Is(err, record.ErrDisorder) {
		if err := in.again(); err != nil {
			return usagef("%s: %v", z.from, err)
		}
		config.Whole = true
		return z.tryLog(in, gates, config)
	}
	return err
}

func (z *analyze) tryLog(in io.Reader, gates rollout.Gates, config record.CSV) error {
	log, err := record.NewLog(in, config)
	if err != nil {
		return usagef("%s: %v", z.from, err)
	}
	if !log.Timed() && slices.ContainsFunc(gates.Latency, func(g rollout.LatencyGate) bool { return !g.Observe }) {
		without := "leave out --latency"
		if z.file != "" {
			without = "let the latency gates of " + z.file + " be observed only (observe: true)"
		}
		return usagef("%s: there is no column duration_ms; name it with --column duration_ms=NAME (or duration_us, duration_s), or %s", z.from, without)
	}
	gates, left := told(gates, log.Timed())
	if len(left) > 0 && !config.Whole {
		z.app.say("left out, since the log tells nothing of it: %s", strings.Join(left, ", "))
	}
	c := record.NewCourse(gates.Judging())
	var head record.Head
	err = drain(log, func(e record.Entry) {
		if e.Head != nil {
			head = *e.Head
		}
		c.Take(e)
	})
	if _, is := errors.AsType[*record.LineError](err); err != nil && !is {
		return usagef("%s: %v", z.from, err)
	}
	if err != nil {
		return err
	}
	c.End()
	return z.report(head, c, record.FormatCSV)
}

// told are the gates that a request log tells something to, and the names of the others.
func told(g rollout.Gates, timed bool) (kept rollout.Gates, left []string) {
	kept = rollout.Gates{Alpha: g.Alpha, Errors: g.Errors, Routes: g.Routes, OneHost: g.OneHost}
	if timed {
		kept.Latency = g.Latency
	}
	all, few := g.Judging(), kept.Judging()
	names := map[string]bool{}
	for _, l := range few.Latency {
		names[l.Name] = true
	}
	for _, l := range all.Latency {
		if !names[l.Name] {
			left = append(left, l.Name)
		}
	}
	for _, r := range all.Rates {
		left = append(left, r.Name)
	}
	if all.Usage != nil {
		left = append(left, all.Usage.Name)
	}
	for _, c := range all.Conditions {
		left = append(left, c.Name)
	}
	return kept, left
}
