package coordinator

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/analysis"
	entries "github.com/serin-rollouts/serin/internal/record"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestRecord: what a watch's panel hears is written down, and the verdicts are
// repeated exactly from it.
func TestRecord(t *testing.T) {
	r := newRecorder(t.TempDir(), zerolog.Nop())
	gates := rollout.Gates{Alpha: 10_000, Errors: &rollout.ErrorsGate{Conduct: rollout.Conduct{Name: "errors"}, MaxIncrease: 50, MinRequests: 100}}
	judging := func(n int) analysis.Gates {
		g := gates.Judging().Attempt(n)
		g.Hosts = 2
		return g
	}
	p := &taped{Panel: analysis.NewPanel(judging(0)), step: 1}
	run := &rollout.Rollout{ID: "shop-7", Service: "shop", Hosts: []string{"a", "b"}, Spec: rollout.Spec{
		Gates: gates, Steps: []rollout.Step{{Weight: 1000, Hosts: rollout.HostCount{Share: rollout.Full}}},
	}}
	at := time.Minute + 7
	p.Restart(at, analysis.Step{})
	p.record(r.tape(run.ID), run, at)
	var last analysis.Verdict
	n := int64(0)
	for ; last.Outcome != analysis.Fail && n < 400; n++ {
		at += time.Second + 3
		if n == 50 {
			p.renew(judging(1), at)
			p.step = 2
			p.Restart(at, analysis.Step{})
		}
		for _, host := range run.Hosts {
			p.Observe(analysis.Report{
				Host: host, Incarnation: "1", At: at, CanaryInstances: 1,
				Canary: analysis.Counts{Requests: 10 * n, Errors: 2 * max(0, n-70)},
				Stable: map[string]analysis.Counts{"s": {Requests: 90 * n, Errors: n / 4}},
			})
			last = p.Verdict(at)
		}
	}
	if last.Outcome != analysis.Fail {
		t.Fatal(last.Reason)
	}
	if c := replay(t, r, "shop-7.1.jsonl", gates); c.Result().Outcome != analysis.Fail {
		t.Error(c.Result().Reason)
	}
}

// TestRecordOfSilence: what was not asked, and why there was no answer, is
// written down as well, also after the evidence began anew.
func TestRecordOfSilence(t *testing.T) {
	r := newRecorder(t.TempDir(), zerolog.Nop())
	gates := rollout.Gates{Alpha: 10_000, Metrics: []rollout.MetricsGate{{
		Conduct: rollout.Conduct{Name: "queue", OnSilence: rollout.FailOnSilence}, Read: map[string]string{"queue": "queue"},
		Condition: rollout.Condition{When: "canary.queue < stable.queue", Failures: 2},
	}}}
	p := &taped{Panel: analysis.NewPanel(gates.Judging().Attempt(0)), step: 1}
	p.Restart(0, analysis.Step{})
	run := &rollout.Rollout{ID: "shop-7", Service: "shop", Spec: rollout.Spec{Gates: gates, Steps: []rollout.Step{{Weight: 1000}}}}
	p.record(r.tape(run.ID), run, 0)
	silent := func(from time.Duration) {
		unasked := from + 2*analysis.Silence // the hosts took so long to get ready
		for at := from; at < unasked+analysis.Silence; at += 10 * time.Second {
			if at <= unasked {
				p.Unasked(at)
			} else {
				p.Unanswered("queue", "no data for stable.queue", at)
			}
			if v := p.Verdict(at); v.Outcome != analysis.Wait {
				t.Fatalf("after %v: %s: %s", at, v.Outcome, v.Reason)
			}
		}
		if v := p.Verdict(unasked + analysis.Silence); v.Outcome != analysis.Fail {
			t.Fatalf("%s: %s", v.Outcome, v.Reason)
		}
	}
	silent(0)
	p.renew(gates.Judging().Attempt(1), time.Hour)
	p.Restart(time.Hour, analysis.Step{})
	silent(time.Hour)
	replay(t, r, "shop-7.1.jsonl", gates)
}

// replay judges what was recorded again: every verdict has to come out the same.
func replay(t *testing.T, r *recorder, name string, gates rollout.Gates) *entries.Course {
	t.Helper()
	files := map[string]*os.File{}
	for len(r.lines) > 0 {
		r.write(files, <-r.lines)
	}
	for _, f := range files {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(filepath.Join(r.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	c := entries.NewCourse(gates.Judging())
	for lines := entries.NewLines(bufio.NewReader(f)); ; {
		e, err := lines.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Take(e)
	}
	c.End()
	if k := c.Checks(); k.Verdicts < 2 || k.Differ != 0 {
		t.Errorf("%+v, %+v", k, k.First)
	}
	return c
}

// TestRecordIsBounded: a record ends at its size, and says so; the oldest records make room.
func TestRecordIsBounded(t *testing.T) {
	r := newRecorder(t.TempDir(), zerolog.Nop())
	tape := r.tape("shop-7")
	tape.left = 30
	for range 3 {
		tape.put(entries.Entry{Exclude: "web-01"})
	}
	if n := len(r.lines); n != 3 {
		t.Errorf("%d lines", n)
	}
	for k, name := range []string{"a.1.jsonl", "b.1.jsonl", "c.1.jsonl", "other.txt"} {
		path := filepath.Join(r.dir, name)
		old := time.Unix(int64(1000+k), 0)
		if err := errors.Join(os.WriteFile(path, make([]byte, 100), 0o600), os.Chtimes(path, old, old)); err != nil {
			t.Fatal(err)
		}
	}
	if err := prune(r.dir, 150); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(r.dir, "*"))
	if err != nil || len(left) != 2 || filepath.Base(left[0]) != "c.1.jsonl" {
		t.Errorf("%v, %v", left, err)
	}
	var none *recorder
	none.tape("shop-7").put(entries.Entry{Anew: true})
	none.run(t.Context())
}
