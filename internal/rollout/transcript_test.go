package rollout_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/specfile"
)

// TestTranscripts runs the scripted conversations in testdata/transcripts, from which a
// reader learns the machine. Regenerate with -rewrite; commit only differences
// that you understand.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		w := newWorld()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			verb, ok := verbs[d.Cmd]
			if !ok {
				t.Fatalf("unknown verb %q", d.Cmd)
			}
			w.out.Reset()
			verb(w, t, d)
			return w.out.String()
		})
	})
}

var verbs = map[string]func(*world, *testing.T, *datadriven.TestData){
	"submit":      (*world).submit,
	"report":      (*world).report,
	"verdict":     (*world).verdict,
	"pass-time":   (*world).passTime,
	"decide":      (*world).decide,
	"operator":    (*world).operator,
	"assignments": (*world).assignments,
	"state":       (*world).printState,
	"waiting":     (*world).waiting,
}

// world is a state, the evidence that a leader would hold, and a clock.
type world struct {
	state    *rollout.State
	evidence rollout.Evidence
	now      time.Duration
	index    uint64
	out      strings.Builder
}

func newWorld() *world {
	return &world{state: rollout.NewState(), evidence: rollout.Evidence{}}
}

func (w *world) apply(by string, c rollout.Command) {
	w.index++
	wall := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(w.now).UnixMilli()
	result := w.state.Apply(w.index, rollout.Entry{Stamp: rollout.Stamp{At: w.now, Wall: wall, By: by}, Command: c})
	fmt.Fprintf(&w.out, "%d %s\n", w.index, strings.TrimPrefix(fmt.Sprintf("%T", c), "rollout."))
	if result.Repeat {
		fmt.Fprintf(&w.out, "  repeated: %s\n", result.Rollout)
	}
	if result.Refused != nil {
		fmt.Fprintf(&w.out, "  refused (%s): %s\n", result.Refused.Code, result.Refused.Error())
	}
	for _, e := range result.Events {
		fmt.Fprintf(&w.out, "  event %d %s %s: %s\n", e.Seq, e.Kind, e.Rollout, e.Text)
	}
}

// submit [key=K] [hosts=(a,b)] [replace] [if-new] [back] [override] [reason=TEXT] with the rollout file as input.
func (w *world) submit(t *testing.T, d *datadriven.TestData) {
	t.Helper()
	spec, err := specfile.Parse([]byte(d.Input))
	if err != nil {
		t.Fatal(err)
	}
	key, reason, hosts := "", "", []string{"a", "b", "c"}
	for _, arg := range d.CmdArgs {
		switch arg.Key {
		case "key":
			key = arg.Vals[0]
		case "reason":
			reason = strings.Join(arg.Vals, " ")
		case "hosts":
			hosts = arg.Vals
		}
	}
	w.apply("ci", rollout.Submit{
		Key: key, Spec: spec, To: rollout.NewRevision(spec, spec.Image+"@sha256:1"),
		Hosts: hosts, Replace: d.HasArg("replace"), IfNew: d.HasArg("if-new"),
		Back: d.HasArg("back"), Override: d.HasArg("override"), Reason: reason,
	})
	delete(w.evidence, spec.Service)
}

// report [service=S] [hosts=(a,b)] [settled] [image] [weight=N] [deaths=N]
// [problem=text] [fatal] [epoch=N]: what the hosts say, all hosts by default,
// under the current epoch.
func (w *world) report(t *testing.T, d *datadriven.TestData) {
	t.Helper()
	service, hosts := "web", []string{"a", "b", "c"}
	h := rollout.HostEvidence{Settled: d.HasArg("settled"), HasImage: d.HasArg("image") || d.HasArg("settled"), Fatal: d.HasArg("fatal")}
	for _, arg := range d.CmdArgs {
		switch arg.Key {
		case "service":
			service = arg.Vals[0]
		case "hosts":
			hosts = arg.Vals
		case "weight":
			h.Weight = number(t, arg.Vals[0])
		case "deaths":
			h.Deaths = number(t, arg.Vals[0])
			h.Death = "exit code 1"
		case "problem":
			h.Problem, h.Cause = strings.ReplaceAll(arg.Vals[0], "_", " "), rollout.CauseStart
		}
	}
	h.Epoch, h.SeenAt = w.state.Services[service].Epoch, w.now
	e := w.evidence[service]
	if e.Hosts == nil {
		e = rollout.ServiceEvidence{Hosts: map[string]rollout.HostEvidence{}, SettledAt: -1}
	}
	for _, host := range hosts {
		e.Hosts[host] = h
	}
	e.SettledAt = w.settledAt(service, e)
	e.HeardAt = w.now
	w.evidence[service] = e
}

// settledAt is what a leader keeps: since when the wave is settled.
func (w *world) settledAt(service string, e rollout.ServiceEvidence) time.Duration {
	svc := w.state.Services[service]
	if svc.Active == nil {
		return -1
	}
	for _, host := range svc.Active.Hosts[:svc.Active.Wave()] {
		if h := e.Hosts[host]; !h.Settled || h.Epoch != svc.Epoch {
			return -1
		}
	}
	if e.SettledAt >= 0 {
		return e.SettledAt
	}
	return w.now
}

// verdict outcome=pass|fail|wait [reason=text] [outlier=host] [requests=N].
func (w *world) verdict(t *testing.T, d *datadriven.TestData) {
	t.Helper()
	var v analysis.Verdict
	for _, arg := range d.CmdArgs {
		switch arg.Key {
		case "outcome":
			v.Outcome = map[string]analysis.Outcome{"pass": analysis.Pass, "fail": analysis.Fail, "wait": analysis.Wait}[arg.Vals[0]]
		case "reason":
			v.Reason = strings.ReplaceAll(arg.Vals[0], "_", " ")
		case "outlier":
			v.Outlier, v.OutlierReason = arg.Vals[0], "5xx 9% there"
		case "requests":
			v.Stable.Requests = int64(number(t, arg.Vals[0]))
		}
	}
	e := w.evidence["web"]
	e.Verdict = v
	w.evidence["web"] = e
}

func (w *world) passTime(t *testing.T, d *datadriven.TestData) {
	t.Helper()
	w.now += duration(t, d.CmdArgs[0].Key)
}

// decide looks once, as a leader would, and applies what comes of it. Evidence
// from before a transition is of an older epoch and counts no more.
func (w *world) decide(_ *testing.T, _ *datadriven.TestData) {
	commands, look := rollout.Decide(w.state, w.evidence, w.now)
	for _, c := range commands {
		w.apply("serin", c)
	}
	if len(commands) > 0 {
		for name, e := range w.evidence {
			e.SettledAt = -1
			w.evidence[name] = e
		}
		return
	}
	if look == rollout.Never {
		w.out.WriteString("nothing to do, no look needed\n")
		return
	}
	fmt.Fprintf(&w.out, "nothing to do, look again in %s\n", look-w.now)
}

// operator pause|resume|approve|advance|promote|abort|rollback|finish|release [epoch=N] [host=H] [reason=TEXT];
// freeze|thaw [service=S] [for=8h] [reason=TEXT], of the fleet without a service.
func (w *world) operator(t *testing.T, d *datadriven.TestData) {
	t.Helper()
	svc := w.state.Services["web"]
	target := rollout.Target{Service: "web", Epoch: svc.Epoch}
	host, reason, service, span := "", "", rollout.Fleet, time.Duration(0)
	if r, ok := svc.Latest(); ok {
		target.Rollout = r.ID
	}
	for _, arg := range d.CmdArgs[1:] {
		switch arg.Key {
		case "epoch":
			target.Epoch = uint64(number(t, arg.Vals[0]))
		case "host":
			host = arg.Vals[0]
		case "service":
			service = arg.Vals[0]
		case "for":
			span = duration(t, arg.Vals[0])
		case "reason":
			reason = strings.Join(arg.Vals, " ")
		}
	}
	commands := map[string]rollout.Command{
		"pause":   rollout.Pause{Target: target, Why: rollout.Why{Cause: rollout.CauseOperator, Text: "lunch"}},
		"resume":  rollout.Resume{Target: target, Reason: reason},
		"approve": rollout.Approve{Target: target, Reason: reason},
		"advance": rollout.Advance{Target: target},
		"promote": rollout.Promote{Target: target},
		"abort":   rollout.Abort{Target: target, Reason: "not today"},
		"release": rollout.Release{Service: "web", Host: host, Reason: reason},
		"finish":  rollout.Finish{Target: target},
		"freeze":  rollout.Freeze{Service: service, For: span, Reason: reason},
		"thaw":    rollout.Thaw{Service: service, Reason: reason},
	}
	c, ok := commands[d.CmdArgs[0].Key]
	if !ok {
		t.Fatalf("unknown operator verb %q", d.CmdArgs[0].Key)
	}
	w.apply("ada", c)
}

// assignments [hosts=(a,b)]: what each host should be.
func (w *world) assignments(_ *testing.T, d *datadriven.TestData) {
	hosts := []string{"a", "b", "c"}
	for _, arg := range d.CmdArgs {
		if arg.Key == "hosts" {
			hosts = arg.Vals
		}
	}
	version := func(r *rollout.Revision) string {
		if r == nil {
			return "-"
		}
		return r.Version()
	}
	for _, host := range hosts {
		for _, a := range w.state.Assignments(host, nil) {
			fmt.Fprintf(&w.out, "%s %s epoch=%d stable=%s canary=%s weight=%s prefetch=%d\n",
				host, a.Service, a.Epoch, version(a.Stable), version(a.Canary), rollout.Percent(a.Weight), len(a.Prefetch))
		}
	}
	if wave, ok := w.state.Wave("web"); ok {
		fmt.Fprintf(&w.out, "broadcast epoch=%d canary=%s weight=%s\n", wave.Epoch, w.versionOf(wave.Canary), rollout.Percent(wave.Weight))
	}
}

// versionOf names the revision of that id.
func (w *world) versionOf(id string) string {
	svc := w.state.Services["web"]
	r, _ := svc.Latest()
	switch {
	case id == "":
		return "-"
	case r.To.ID == id:
		return r.To.Version()
	case svc.Stable != nil && svc.Stable.ID == id:
		return svc.Stable.Version()
	}
	return id
}

func (w *world) printState(_ *testing.T, _ *datadriven.TestData) {
	for _, name := range w.state.Names() {
		svc := w.state.Services[name]
		stable := "-"
		if svc.Stable != nil {
			stable = svc.Stable.Version()
		}
		r, _ := svc.Latest()
		fmt.Fprintf(&w.out, "%s epoch=%d stable=%s latest=%s %s active=%t history=%d\n",
			name, svc.Epoch, stable, r.ID, r.Phase, svc.Active != nil, len(svc.History))
	}
}

func (w *world) waiting(_ *testing.T, _ *datadriven.TestData) {
	fmt.Fprintln(&w.out, rollout.Waiting(w.state, "web", w.evidence["web"], w.now))
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
