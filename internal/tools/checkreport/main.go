// Command checkreport fails unless the report of `serin demo --report FILE` says what a demo must show:
// good versions rolled out, others taken back in time by the gate that is there for them, and no request lost.
//
//	checkreport [-scenario good,bad] [-repeat 1] [-hosts 3] [-replicas 3] [-max-rollback-ms 100] [-max-errors 60]
//	            [-min-canary-requests 60] [-max-canary-requests 1200] [-max-slow-ms 180000] [-min-leak-ms 30000]
//	            [-max-leak-ms 120000] [-min-rate 100] FILE
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// report is what `serin demo --report` writes. Times are in milliseconds, or seconds where it says so.
type report struct {
	Good     *goodRollout `json:"good"`
	GoodRuns *goodRuns    `json:"good_runs"`
	Bad      *badRollout  `json:"bad"`
	Slow     *badRollout  `json:"slow"`
	Leak     *badRollout  `json:"leak"`
	Hosts    int          `json:"hosts"`
	Replicas int          `json:"replicas"`
}

// goodRollout is the part about the version that answers as it should.
type goodRollout struct {
	Outcome  string  `json:"outcome"`
	Requests int     `json:"requests"`
	Failed   *int    `json:"failed"` // requests without an answer, or with a 5xx that the app did not give
	Seconds  float64 `json:"seconds"`
}

// badRollout is the part about a version that has to go back.
type badRollout struct {
	goodRollout

	Gate           string   `json:"gate"`
	Reason         string   `json:"reason"`
	CanaryRequests int      `json:"canary_requests"` // that the verdict rests on
	CanaryErrors   int      `json:"canary_errors"`
	DetectMS       *float64 `json:"detect_ms"`   // first sign to verdict
	RollbackMS     *float64 `json:"rollback_ms"` // verdict to the last host's weight 0
}

// goodRuns is the part about many rollouts of good versions.
type goodRuns struct {
	Runs           int     `json:"runs"`
	Succeeded      int     `json:"succeeded"`
	FalseRollbacks *int    `json:"false_rollbacks"`
	FalseAlarms    *int    `json:"false_alarms"` // of gates that are only observed, or about one host
	Requests       int     `json:"requests"`
	Failed         *int    `json:"failed"`
	Seconds        float64 `json:"seconds"`
}

// want is what the report is held to.
type want struct {
	scenarios         []string
	repeat            int
	hosts, replicas   int
	maxRollbackMS     float64
	maxErrors         int
	minCanaryRequests int
	maxCanaryRequests int
	maxSlowMS         float64
	minLeakMS         float64
	maxLeakMS         float64
	minRate           float64
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	var w want
	fs := flag.NewFlagSet("checkreport", flag.ContinueOnError)
	fs.SetOutput(stderr)
	scenarios := fs.String("scenario", "good,bad", "what the demo must have shown, and nothing else")
	fs.IntVar(&w.repeat, "repeat", 1, "good rollouts that the demo must have shown")
	fs.IntVar(&w.hosts, "hosts", 3, "hosts that the demo must have had")
	fs.IntVar(&w.replicas, "replicas", 3, "coordinator replicas that the demo must have had")
	fs.Float64Var(&w.maxRollbackMS, "max-rollback-ms", 100, "the verdict to the last host's weight 0 must take less")
	fs.IntVar(&w.maxErrors, "max-errors", 60, "errors that users may have got of the bad version, which has 5 %: some hundred requests")
	fs.IntVar(&w.minCanaryRequests, "min-canary-requests", 60, "requests that the verdict on the bad version must have taken: of 20,000 simulated fleets none needs fewer")
	fs.IntVar(&w.maxCanaryRequests, "max-canary-requests", 1200, "requests that the verdict on the bad version may have taken; of 20,000 simulated fleets one or two need more")
	fs.Float64Var(&w.maxSlowMS, "max-slow-ms", 180_000, "the slow version must be found in that time: simulated fleets take two thirds of it at most")
	fs.Float64Var(&w.minLeakMS, "min-leak-ms", 30_000, "the leak must be watched for that time: what is over its allowance for less is no finding")
	fs.Float64Var(&w.maxLeakMS, "max-leak-ms", 120_000, "the leak must be found in that time: it is over its allowance within seconds, and has to be so for half a minute")
	fs.Float64Var(&w.minRate, "min-rate", 100, "requests per second that the load must have reached, of 200 asked for")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	w.scenarios = strings.Split(*scenarios, ",")
	if fs.NArg() != 1 {
		fmt.Fprintln(stderr, "usage: checkreport [flags] FILE")
		return 2
	}
	r, err := read(fs.Arg(0))
	if err == nil {
		err = w.check(r)
	}
	if err != nil {
		fmt.Fprintf(stderr, "the demo's report is not as it must be:\n%v\n", err)
		return 1
	}
	fmt.Fprintf(stdout, "the demo's report is as it must be: %s\n", strings.Join(r.summary(), ", "))
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

// summary tells what is in a report that is as it must be.
func (r report) summary() []string {
	var parts []string
	if g := r.Good; g != nil {
		parts = append(parts, fmt.Sprintf("good %s (%d requests, 0 failed)", g.Outcome, g.Requests))
	}
	if g := r.GoodRuns; g != nil {
		parts = append(parts, fmt.Sprintf("%d of %d good runs Succeeded (%d requests, 0 failed, %s false alarms)", g.Succeeded, g.Runs, g.Requests, number(g.FalseAlarms)))
	}
	for _, p := range r.backs() {
		if b := p.back; b != nil {
			parts = append(parts, fmt.Sprintf("%s %s by %s (%d requests, 0 failed, %d canary errors, detected in %.0f ms after %d canary requests, back in %.0f ms)",
				p.name, b.Outcome, b.Gate, b.Requests, b.CanaryErrors, *b.DetectMS, b.CanaryRequests, *b.RollbackMS))
		}
	}
	return parts
}

// part is what a report has of a version that has to go back, and which gate has to see it.
type part struct {
	name string
	back *badRollout
	gate string
}

func (r report) backs() []part {
	return []part{{"bad", r.Bad, "errors"}, {"slow", r.Slow, "latency-p99"}, {"leak", r.Leak, "saturation"}}
}

// wrong gathers everything that is wrong, not only the first.
type wrong struct {
	want

	errs []error
}

func (w want) check(r report) error {
	x := wrong{want: w}
	good := slices.Contains(w.scenarios, "good")
	x.must((r.Good != nil) == (good && w.repeat == 1), "good is %s", presence(r.Good != nil))
	x.must((r.GoodRuns != nil) == (good && w.repeat > 1), "good_runs is %s", presence(r.GoodRuns != nil))
	if r.Good != nil {
		x.rollout("good", *r.Good, "Succeeded")
	}
	if r.GoodRuns != nil {
		x.runs(*r.GoodRuns)
	}
	for _, p := range r.backs() {
		x.must((p.back != nil) == slices.Contains(w.scenarios, p.name), "%s is %s", p.name, presence(p.back != nil))
		if p.back != nil {
			x.back(p)
		}
	}
	x.must(r.Hosts == w.hosts, "hosts is %d, not %d", r.Hosts, w.hosts)
	x.must(r.Replicas == w.replicas, "replicas is %d, not %d", r.Replicas, w.replicas)
	return errors.Join(x.errs...)
}

func (x *wrong) must(ok bool, format string, args ...any) {
	if !ok {
		x.errs = append(x.errs, fmt.Errorf("  "+format, args...))
	}
}

func (x *wrong) rollout(part string, g goodRollout, wanted string) {
	x.must(g.Outcome == wanted, "%s.outcome is %q, not %q", part, g.Outcome, wanted)
	x.must(g.Requests > 0, "%s.requests is %d: there was no traffic to judge by", part, g.Requests)
	x.must(g.Failed != nil && *g.Failed == 0, "%s.failed is %s, not 0", part, number(g.Failed))
	x.must(g.Seconds > 0, "%s.seconds is %v", part, g.Seconds)
	x.must(float64(g.Requests) >= x.minRate*g.Seconds, "%s.requests is %d in %v s: less than %v a second", part, g.Requests, g.Seconds, x.minRate)
}

func (x *wrong) runs(g goodRuns) {
	x.must(g.Runs == x.repeat, "good_runs.runs is %d, not %d", g.Runs, x.repeat)
	x.must(g.Succeeded == g.Runs, "good_runs.succeeded is %d, not %d", g.Succeeded, g.Runs)
	x.must(g.FalseRollbacks != nil && *g.FalseRollbacks == 0, "good_runs.false_rollbacks is %s, not 0", number(g.FalseRollbacks))
	x.must(g.FalseAlarms != nil && *g.FalseAlarms == 0, "good_runs.false_alarms is %s, not 0", number(g.FalseAlarms))
	x.must(g.Failed != nil && *g.Failed == 0, "good_runs.failed is %s, not 0", number(g.Failed))
	x.must(g.Seconds > 0 && float64(g.Requests) >= x.minRate*g.Seconds,
		"good_runs.requests is %d in %v s: less than %v a second", g.Requests, g.Seconds, x.minRate)
}

func (x *wrong) back(p part) {
	b := *p.back
	x.rollout(p.name, b.goodRollout, "RolledBack")
	x.must(b.Gate == p.gate, "%s.gate is %q, not %q", p.name, b.Gate, p.gate)
	x.must(b.CanaryRequests > 0, "%s.canary_requests is %d: it was never asked", p.name, b.CanaryRequests)
	x.must(b.DetectMS != nil && *b.DetectMS > 0, "%s.detect_ms is %s, not a time", p.name, number(b.DetectMS))
	x.must(b.RollbackMS != nil && *b.RollbackMS >= 0 && *b.RollbackMS < x.maxRollbackMS,
		"%s.rollback_ms is %s, not below %v", p.name, number(b.RollbackMS), x.maxRollbackMS)
	if p.name != "bad" {
		x.took(p)
		x.must(b.CanaryErrors == 0, "%s.canary_errors is %d, not 0", p.name, b.CanaryErrors)
		return
	}
	x.must(b.CanaryErrors > 0, "bad.canary_errors is %d: the bad version was never seen", b.CanaryErrors)
	x.must(b.CanaryErrors <= x.maxErrors, "bad.canary_errors is %d, more than %d", b.CanaryErrors, x.maxErrors)
	x.must(b.CanaryRequests >= x.minCanaryRequests, "bad.canary_requests is %d, fewer than %d", b.CanaryRequests, x.minCanaryRequests)
	x.must(b.CanaryRequests <= x.maxCanaryRequests, "bad.canary_requests is %d, more than %d", b.CanaryRequests, x.maxCanaryRequests)
}

// took holds how long it took to find a version that gives no bad answers against what was predicted.
func (x *wrong) took(p part) {
	d := p.back.DetectMS
	if d == nil {
		return
	}
	if p.name == "slow" {
		x.must(*d <= x.maxSlowMS, "slow.detect_ms is %v, more than %v", *d, x.maxSlowMS)
	} else {
		x.must(*d >= x.minLeakMS, "leak.detect_ms is %v, less than %v", *d, x.minLeakMS)
		x.must(*d <= x.maxLeakMS, "leak.detect_ms is %v, more than %v", *d, x.maxLeakMS)
	}
}

func presence(there bool) string {
	if there {
		return "there, and was not asked for"
	}
	return "missing"
}

// number shows an optional one.
func number[T int | float64](n *T) string {
	if n == nil {
		return "missing"
	}
	return fmt.Sprint(*n)
}
