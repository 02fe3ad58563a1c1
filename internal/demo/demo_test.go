package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func example() report {
	return report{
		Hosts: 3, Replicas: 3,
		Good: &result{from: "v1", to: "v2", Outcome: "Succeeded", Requests: 11632, Seconds: 58.3},
		Bad: &takenBack{
			result: result{from: "v2", to: "v3", Outcome: "RolledBack", Requests: 3242, Seconds: 16.4}, want: errorsGate, Gate: errorsGate,
			Reason: "5xx 5.84%", CanaryRequests: 308, CanaryErrors: 19, DetectMillis: 13_600, RollbackMillis: 46,
		},
	}
}

// For a program the result is all that stands on Out, and it is what the
// report's file gets.
func TestAProgramGetsTheResultAlone(t *testing.T) {
	for _, quiet := range []bool{false, true} {
		var out, errs bytes.Buffer
		file := filepath.Join(t.TempDir(), "report.json")
		r := newRun(Options{
			Out: &out, Err: &errs, Live: true, Quiet: quiet, Report: file,
			Result: func(v any) error { return json.NewEncoder(&out).Encode(v) },
		}, nil)
		r.say("rolling out %s", "v2")
		r.screen.show("  2041 requests")
		if err := r.tell(example()); err != nil {
			t.Fatal(err)
		}
		written, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		if err := json.Compact(&want, written); err != nil {
			t.Fatal(err)
		}
		if out.String() != want.String()+"\n" {
			t.Errorf("out has\n%s, the file\n%s", &out, &want)
		}
		if lines := strings.Count(errs.String(), "\n"); quiet != (lines == 0) || strings.Contains(errs.String(), "\r") {
			t.Errorf("quiet %v: progress is %q", quiet, &errs)
		}
	}
}

func TestAPersonGetsATable(t *testing.T) {
	var out, errs bytes.Buffer
	r := newRun(Options{Out: &out, Err: &errs}, nil)
	r.say("rolling out v2")
	if err := r.tell(example()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{" rolling out v2\n", "3 hosts, 3 coordinator replicas\n", "  v2 → v3  RolledBack       3242       0  16.4s\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("does not say %q:\n%s", want, &out)
		}
	}
	if errs.Len() > 0 {
		t.Errorf("talks: %s", &errs)
	}
}

// A result that nobody could take is no success.
func TestAResultThatIsNotTakenIsAnError(t *testing.T) {
	broken := errors.New("broken pipe")
	r := newRun(Options{Result: func(any) error { return broken }}, nil)
	if err := r.tell(example()); !errors.Is(err, broken) {
		t.Errorf("tell: %v", err)
	}
}
