// Command checkreport fails unless the report of `serin demo --report FILE` says what a demo must show:
// the good version rolled out, the bad one taken back in time, and no request lost.
//
//	checkreport [-hosts 3] [-replicas 3] [-max-rollback-ms 100] [-max-errors 60] [-min-rate 100] FILE
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// report is what `serin demo --report` writes. Times are in milliseconds, or seconds where it says so.
type report struct {
	Good     goodRollout `json:"good"`
	Bad      badRollout  `json:"bad"`
	Hosts    int         `json:"hosts"`
	Replicas int         `json:"replicas"`
}

// goodRollout is the part about the version that answers as it should.
type goodRollout struct {
	Outcome  string  `json:"outcome"`
	Requests int     `json:"requests"`
	Failed   *int    `json:"failed"` // requests without an answer, or with a 5xx that the app did not give
	Seconds  float64 `json:"seconds"`
}

// badRollout is the part about the version that answers some requests with an error.
type badRollout struct {
	goodRollout

	CanaryErrors int      `json:"canary_errors"`
	DetectMS     *float64 `json:"detect_ms"`   // first bad answer to verdict
	RollbackMS   *float64 `json:"rollback_ms"` // verdict to the last host's weight 0
}

// want is what the report is held to.
type want struct {
	hosts, replicas int
	maxRollbackMS   float64
	maxErrors       int
	minRate         float64
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	var w want
	fs := flag.NewFlagSet("checkreport", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&w.hosts, "hosts", 3, "hosts that the demo must have had")
	fs.IntVar(&w.replicas, "replicas", 3, "coordinator replicas that the demo must have had")
	fs.Float64Var(&w.maxRollbackMS, "max-rollback-ms", 100, "the verdict to the last host's weight 0 must take less")
	fs.IntVar(&w.maxErrors, "max-errors", 60, "errors that users may have got of the bad version, which has 5 %: some hundred requests")
	fs.Float64Var(&w.minRate, "min-rate", 100, "requests per second that the load must have reached, of 200 asked for")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if fs.NArg() != 1 {
		fmt.Fprintln(stderr, "usage: checkreport [flags] FILE")
		return 2
	}
	r, err := read(fs.Arg(0))
	if err == nil {
		err = check(r, w)
	}
	if err != nil {
		fmt.Fprintf(stderr, "the demo's report is not as it must be:\n%v\n", err)
		return 1
	}
	fmt.Fprintf(stdout, "the demo's report is as it must be: good %s (%d requests, 0 failed), bad %s (%d requests, 0 failed, %d canary errors, detected in %.0f ms, back in %.0f ms)\n",
		r.Good.Outcome, r.Good.Requests, r.Bad.Outcome, r.Bad.Requests, r.Bad.CanaryErrors, *r.Bad.DetectMS, *r.Bad.RollbackMS)
	return 0
}

func read(file string) (report, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return report{}, err
	}
	var r report
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return report{}, fmt.Errorf("read %s: %w", file, err)
	}
	return r, nil
}

// check names everything that is wrong, not only the first.
func check(r report, w want) error {
	var errs []error
	must := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("  "+format, args...))
		}
	}
	outcome := func(part string, g goodRollout, wanted string) {
		must(g.Outcome == wanted, "%s.outcome is %q, not %q", part, g.Outcome, wanted)
		must(g.Requests > 0, "%s.requests is %d: there was no traffic to judge by", part, g.Requests)
		must(g.Failed != nil && *g.Failed == 0, "%s.failed is %s, not 0", part, number(g.Failed))
		must(g.Seconds > 0, "%s.seconds is %v", part, g.Seconds)
		must(float64(g.Requests) >= w.minRate*g.Seconds, "%s.requests is %d in %v s: less than %v a second", part, g.Requests, g.Seconds, w.minRate)
	}
	outcome("good", r.Good, "Succeeded")
	outcome("bad", r.Bad.goodRollout, "RolledBack")
	must(r.Bad.CanaryErrors > 0, "bad.canary_errors is %d: the bad version was never seen", r.Bad.CanaryErrors)
	must(r.Bad.CanaryErrors <= w.maxErrors, "bad.canary_errors is %d, more than %d", r.Bad.CanaryErrors, w.maxErrors)
	must(r.Bad.DetectMS != nil && *r.Bad.DetectMS > 0, "bad.detect_ms is %s, not a time", number(r.Bad.DetectMS))
	must(r.Bad.RollbackMS != nil && *r.Bad.RollbackMS >= 0 && *r.Bad.RollbackMS < w.maxRollbackMS,
		"bad.rollback_ms is %s, not below %v", number(r.Bad.RollbackMS), w.maxRollbackMS)
	must(r.Hosts == w.hosts, "hosts is %d, not %d", r.Hosts, w.hosts)
	must(r.Replicas == w.replicas, "replicas is %d, not %d", r.Replicas, w.replicas)
	return errors.Join(errs...)
}

// number shows an optional one.
func number[T int | float64](n *T) string {
	if n == nil {
		return "missing"
	}
	return fmt.Sprint(*n)
}
