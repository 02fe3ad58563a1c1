package record_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/record"
	"github.com/serin-rollouts/serin/internal/rollout"
)

var update = flag.Bool("update", false, "rewrite the examples that follow from docs/examples/requests.csv")

func gates() rollout.Gates {
	return rollout.Gates{
		Alpha:  rollout.DefaultAlpha,
		Errors: &rollout.ErrorsGate{Conduct: rollout.Conduct{Name: "errors"}, MaxIncrease: 50, MinRequests: 100},
	}
}

func example(name string) string { return filepath.Join("..", "..", "docs", "examples", name) }

func drain(t *testing.T, s record.Source) []record.Entry {
	t.Helper()
	var all []record.Entry
	for {
		e, err := s.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
}

func requests(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(example("requests.csv"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func read(t *testing.T, text []byte, c record.CSV) []record.Entry {
	t.Helper()
	log, err := record.NewLog(bytes.NewReader(text), c)
	if err != nil {
		t.Fatal(err)
	}
	return drain(t, log)
}

func course(all []record.Entry) *record.Course {
	c := record.NewCourse(gates().Judging())
	for _, e := range all {
		c.Take(e)
	}
	c.End()
	return c
}

// TestEntriesTravel: what is written is read again, to the nanosecond, with the number of its line.
func TestEntriesTravel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Duration(0)
		var want []record.Entry
		var text bytes.Buffer
		for range rapid.IntRange(1, 9).Draw(t, "entries") {
			at += time.Duration(rapid.Int64Range(0, 1e10).Draw(t, "later"))
			e := drawEntry(t, at)
			line, err := record.Encode(e)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(line)
			e.Line = len(want) + 1
			want = append(want, e)
		}
		lines := record.NewLines(&text)
		for _, w := range want {
			e, err := lines.Next()
			if d := cmp.Diff(w, e); err != nil || d != "" {
				t.Fatalf("%v\n%s", err, d)
			}
		}
		if _, err := lines.Next(); !errors.Is(err, io.EOF) {
			t.Fatalf("at the end: %v", err)
		}
	})
}

func drawEntry(t *rapid.T, at time.Duration) record.Entry {
	e := record.Entry{At: at}
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 0:
		g := gates()
		e.Head = &record.Head{Rollout: "a-1", Service: "a", Wall: 5, Gates: &g}
	case 1:
		e.Step = &record.Step{Number: 2, Baseline: analysis.Counts{Requests: rapid.Int64Range(0, 9).Draw(t, "baseline")}}
	case 2:
		e.Told = &record.Told{Gate: "queue", Held: rapid.Bool().Draw(t, "held"), Text: "depth <3> & \"more\""}
	case 3:
		e.Exclude = "web-03"
	case 4:
		e.Anew = true
	case 5:
		e.Full = true
	case 6:
		e.Verdict = &analysis.Verdict{Outcome: analysis.Pass, At: at, Reason: "it is"}
	case 7:
		e.Missing = &record.Missing{Gate: "queue", Why: "no data for stable.queue"}
	case 8:
		e.Unasked = true
	default:
		e.Report = &analysis.Report{
			Host: "web-01", Incarnation: "x", At: at, Canary: analysis.Counts{Requests: 3, Errors: 1},
			Stable: map[string]analysis.Counts{"1": {Requests: 9}}, CanaryInstances: 1,
			Signals: map[string]analysis.Signal{"logins": {Canary: analysis.Counts{Requests: 1}}},
			Usage:   []analysis.Usage{{Canary: true, Instance: "c", Memory: 5, OOMs: 1}},
		}
		e.Apart = rapid.Bool().Draw(t, "apart")
		if rapid.Bool().Draw(t, "latencies") { // none is not nothing new
			e.Report.Latencies = []analysis.Latency{}
		}
		if rapid.Bool().Draw(t, "sketch") {
			slow := latency.New()
			slow.Add(rapid.Int64Range(1, 1e7).Draw(t, "micros"))
			e.Report.Latencies = []analysis.Latency{{Instance: "1", Requests: 2, Lines: 1, Sketch: slow.Encode()}}
		}
	}
	return e
}

// TestMistakes: each names its line and what is wrong.
func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"{\"at\":1,\"step\":1}\n\n{\"at\":0,\"step\":2}": "line 3: at: is before that of line 1",
		`{"step":1}`:                                       "line 1: at: is needed",
		`{"at":-1,"step":1}`:                               "line 1: at: -1 is no time",
		`{"at":1e3,"step":1}`:                              "is no time",
		`{"at":1.0000001,"step":1}`:                        "is no time",
		`{"at":1}`:                                         "line 1: says nothing",
		`{"at":1,"step":1,"exclude":"a"}`:                  "is several entries",
		`{"at":1,"host":"a","canari":{}}`:                  `unknown field "canari"`,
		`{"at":1,"canary":{"requests":1}}`:                 "host: is needed",
		`{"at":1,"told":"a"}`:                              "held: is needed",
		`{"at":1,"host":7}`:                                "host: a number cannot stand here",
		`{"at":1,"step":1}{"at":1}`:                        "more than one entry",
		`{"at":1,"step":-1}`:                               "step: -1 is none",
		`at`:                                               "line 1: ",
		`{"at":1,"host":`:                                  "line 1: the JSON ends too early; write each entry on one line",
		`{"at":1,"host":"a","canary":{"requests":-1}}`:     "canary: 0 of -1 is no count",
		`{"at":1,"host":"a","stable":{"s":{"errors":-2}}}`: "stable.s: -2 of 0 is no count",
		`{"at":1,"host":"a","canary_instances":-1}`:        "canary_instances: -1 is negative",
		`{"at":1,"host":"a","signals":{"pay":{"stable":{"s":{"requests":-1}}}}}`:        "signals.pay: 0 of -1 is no count",
		`{"at":1,"host":"a","latencies":[{"canary":true,"lines":1,"sketch":"AAAA"}]}`:   "latencies[0].sketch: ",
		`{"at":1,"host":"a","latencies":[{"canary":true,"lines":-1}]}`:                  "latencies[0].lines: a number is negative",
		`{"at":1,"host":"a","latencies":[{"canary":true,"requests":1,"route":"/pay"}]}`: "latencies[0].requests: stand beside a route",
		`{"at":1,"host":"a","usage":[{"canary":true,"instance":"c","memory":-1}]}`:      "usage[0]: a number is negative",
	} {
		lines := record.NewLines(strings.NewReader(text))
		var err error
		for err == nil {
			_, err = lines.Next()
		}
		if wrong, is := errors.AsType[*record.LineError](err); !is || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v (%v), want %s", text, err, wrong, want)
		}
	}
}

// TestLogMistakes: of request logs.
func TestLogMistakes(t *testing.T) {
	const header = "time,host,track,status\n"
	for text, want := range map[string]string{
		"":                                      "the log is empty",
		"time,host,track\n":                     "there is no column status; there are time, host, track",
		"time,status\n":                         "no column track or version",
		header:                                  "holds no request",
		header + "1,a,stable,200\n":             `no request is of "canary"; there are stable`,
		header + "1,a,stable,200\n2,a,canary\n": "line 3: has 3 fields, and the first line names 4 columns; leave none out, they may be empty",
		header + "soon,a,canary,200\n":          `line 2: time: "soon" is none`,
		header + "1,a,canary,ok\n":              `line 2: status: "ok" is none`,
		header + "1000,a,canary,200\n900,a,canary,200\n":  "line 3: the log is not in the order of time",
		"time,track,status,duration_ms\n1,canary,200,x\n": `line 2: duration: "x" is none`,
		"time,track,status,duration_ms,duration_s\n":      "two columns of durations",
	} {
		log, err := record.NewLog(strings.NewReader(text), record.CSV{})
		for err == nil {
			_, err = log.Next()
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := record.NewLog(strings.NewReader(header), record.CSV{Columns: map[string]string{"host": "server"}}); err == nil ||
		!strings.Contains(err.Error(), `no column "server" for host`) {
		t.Errorf("a column that is not there: %v", err)
	}
	if _, err := record.NewLog(strings.NewReader(header), record.CSV{Columns: map[string]string{"hosts": "host"}}); err == nil {
		t.Error("a column for nothing is taken")
	}
}

// TestLog: every request is counted once, on its host and track, with its duration and its route.
func TestLog(t *testing.T) {
	text := "when;srv;version;instance;code;took;path\n" +
		"2026-11-22 23:56:00.5;a;1.5;c1;200;10.5;/api/x\n" +
		"1795391760;a;1.4;s1;502;3;/\n" +
		"1795391761000;a;1.5;c2;503;;/api/v2/y\n" +
		"2026-11-22T23:56:01Z;b;1.4;s1;404;7;/\n" +
		"1795391767.25;a;1.4;s2;-1;-;/\n"
	all := read(t, []byte(text), record.CSV{
		Columns: map[string]string{"time": "when", "host": "SRV", "status": "code", "duration_ms": "took"},
		Canary:  "1.5", Routes: []string{"/api/", "/api/v2/"}, Latency: true,
	})
	last := map[string]*analysis.Report{}
	times := map[string][]analysis.Latency{}
	for _, e := range all[1:] {
		last[e.Report.Host] = e.Report
		if len(e.Report.Latencies) > 0 {
			times[e.Report.Host] = e.Report.Latencies
		}
	}
	if all[0].Head.Wall != 1795391760000 || all[1].Report.At != 0 || last["a"].At != 8*time.Second {
		t.Errorf("times: %+v, %s, %s", all[0].Head, all[1].Report.At, last["a"].At)
	}
	want := map[string]analysis.Counts{"s1": {Requests: 1, Errors: 1}, "s2": {Requests: 1}}
	if d := cmp.Diff(want, last["a"].Stable); d != "" || last["a"].Canary != (analysis.Counts{Requests: 2, Errors: 1}) || last["a"].CanaryInstances != 2 {
		t.Errorf("%+v\n%s", last["a"], d)
	}
	var said []string
	for _, l := range times["a"] {
		said = append(said, strings.Join([]string{l.Instance, l.Route}, " "))
		timed := l.Route != "" || l.Instance == "s1"
		if timed != (l.Lines == 1) || timed != (l.Sketch != nil) {
			t.Errorf("%+v: of a known duration: %t", l, timed)
		}
	}
	if d := cmp.Diff([]string{" ", " /api/", "s1 ", "s2 "}, said); d != "" {
		t.Error(d)
	}
}

// TestLogOrder: the order of lines changes nothing, whether the log is read as it comes or as a
// whole.
func TestLogOrder(t *testing.T) {
	text := requests(t)
	want := read(t, text, record.CSV{Latency: true})
	lines := strings.SplitAfter(strings.TrimSpace(string(text))+"\n", "\n")
	head, rest := lines[0], lines[1:len(lines)-1]
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(rest), func(i, k int) { rest[i], rest[k] = rest[k], rest[i] })
	shuffled := []byte(head + strings.Join(rest, ""))
	if d := cmp.Diff(want, read(t, shuffled, record.CSV{Latency: true, Whole: true})); d != "" {
		t.Error(d)
	}
	log, err := record.NewLog(bytes.NewReader(shuffled), record.CSV{})
	for err == nil {
		_, err = log.Next()
	}
	if !errors.Is(err, record.ErrDisorder) {
		t.Errorf("as it comes: %v", err)
	}
}

// TestExamples: the examples are what becomes of the request log; each form gives the same verdict,
// and one that was tampered with is found out.
func TestExamples(t *testing.T) {
	entries := read(t, requests(t), record.CSV{})
	g := gates()
	entries[0].Head.Rollout, entries[0].Head.Service, entries[0].Head.Gates = "checkout-7", "checkout", &g
	v := course(entries).Result()
	if v.Outcome != analysis.Fail || v.Gate != "errors" {
		t.Fatalf("%+v", v)
	}
	var text bytes.Buffer
	told := false
	for _, e := range entries {
		if e.At > v.At && !told {
			told = true
			write(t, &text, record.Entry{At: v.At, Verdict: &v})
		}
		write(t, &text, e)
	}
	golden(t, "record.jsonl", text.Bytes())
	c := course(drain(t, record.NewLines(bytes.NewReader(text.Bytes()))))
	if d := cmp.Diff(v, c.Result()); d != "" || c.Checks().Verdicts != 1 || c.Checks().Differ != 0 {
		t.Errorf("%+v\n%s", c.Checks(), d)
	}
	tampered := strings.Replace(text.String(), `"worse":`, `"worse":1`, 1)
	if c := course(drain(t, record.NewLines(strings.NewReader(tampered)))); c.Checks().Differ != 1 || !strings.Contains(c.Checks().First.Differs, "Worse is") {
		t.Errorf("tampered with: %+v", c.Checks())
	}
	encoded, err := event.Encode(event.Source(""), rollout.Event{
		Seq: 12, Index: 34, Wall: 1_795_391_817_815, Kind: rollout.KindRollingBack, Service: "checkout", Rollout: "checkout-7",
		Phase: rollout.RollingBack, Cause: rollout.CauseGate, By: "serin", Text: "rolling back at step 1 of 4: " + v.Reason, Verdict: &v,
	})
	if err != nil {
		t.Fatal(err)
	}
	encoded = append(encoded, '\n')
	golden(t, "events.jsonl", encoded)
	repeated(t, encoded, "")
	repeated(t, []byte(strings.Replace(string(encoded), `"worse":`, `"worse":1`, 1)), "errors: Worse is")
	for form, head := range map[record.Format][]byte{
		record.FormatEvents: encoded, record.FormatRecord: text.Bytes(), record.FormatCSV: requests(t),
	} {
		if got := record.Detect(head[:min(len(head), 4096)]); got != form {
			t.Errorf("%s is taken for %s", form, got)
		}
	}
}

// TestDeadlineIsNoDecision: what was known when a rollout's time was up decided nothing, and what
// comes after it is judged all the same.
func TestDeadlineIsNoDecision(t *testing.T) {
	from := rollout.Revision{ID: "old"}
	spec := rollout.Spec{Service: "checkout", Deadline: time.Hour, Gates: gates(), Steps: []rollout.Step{{Hosts: rollout.HostCount{Count: 1}, Weight: 100}}}
	s := rollout.NewState()
	s.Services["checkout"] = &rollout.Service{Name: "checkout", Epoch: 5, Stable: &from, Active: &rollout.Rollout{
		ID: "checkout-1", Service: "checkout", Spec: spec, From: &from, Hosts: []string{"a"}, Phase: rollout.Progressing,
	}}
	const late = 2 * time.Hour
	commands, _ := rollout.Decide(s, rollout.Evidence{"checkout": {
		Hosts: map[string]rollout.HostEvidence{"a": {Epoch: 5, Settled: true}}, Verdict: analysis.NewPanel(gates().Judging()).Verdict(late),
	}}, late)
	if len(commands) != 1 {
		t.Fatalf("%+v", commands)
	}
	result := s.Apply(7, rollout.Entry{Stamp: rollout.Stamp{At: late, By: "serin"}, Command: commands[0]})
	if len(result.Events) != 1 || result.Events[0].Cause != rollout.CauseDeadline || result.Events[0].Verdict == nil {
		t.Fatalf("%+v", result)
	}
	text, err := event.Encode(event.Source(""), result.Events[0])
	if err != nil {
		t.Fatal(err)
	}
	decided, err := os.ReadFile(example("events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	others, err := record.Repeat(io.MultiReader(bytes.NewReader(append(text, '\n')), bytes.NewReader(decided)), func(record.Repeated) { n++ })
	if err != nil || n != 1 || others != 1 {
		t.Errorf("%d decisions, %d others: %v", n, others, err)
	}
	// A decision that carries nothing is a mistake.
	cut := bytes.ReplaceAll(text, []byte(`"outcome":"wait"`), []byte(`"outcome":"fail"`))
	if _, err := record.Repeat(bytes.NewReader(append(cut, '\n')), func(record.Repeated) {}); !errors.Is(err, analysis.ErrNoSums) {
		t.Errorf("a decision without sums: %v", err)
	}
}

func repeated(t *testing.T, events []byte, differs string) {
	t.Helper()
	n := 0
	others, err := record.Repeat(bytes.NewReader(events), func(r record.Repeated) {
		if n++; !strings.HasPrefix(r.Differs, differs) || (r.Differs == "") != (differs == "") {
			t.Errorf("differs: %q, want %q", r.Differs, differs)
		}
	})
	if err != nil || n != 1 || others != 0 {
		t.Errorf("%d decisions, %d others: %v", n, others, err)
	}
}

func write(t *testing.T, out *bytes.Buffer, e record.Entry) {
	t.Helper()
	line, err := record.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(line)
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(example(name), got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(example(name))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (rewrite with -update):\n%s", name, d)
	}
}
